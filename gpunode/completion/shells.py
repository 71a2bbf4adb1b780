"""The completion of click for bash, zsh and fish, changed where this is necessary.

- bash divides words at `=` and `:`. This module reads the line itself, so that `-l key=value` is one word.
- Programs that a kubeconfig runs for credentials, and the log of this program, write nothing into the line that a person edits.

Source: bash(1), Programmable Completion; documentation of click, Shell Completion.
"""

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager

from click.shell_completion import (
    BashComplete,
    CompletionItem,
    FishComplete,
    ShellComplete,
    ZshComplete,
    add_completion_class,
    split_arg_string,
)

VARIABLE = "_GPUNODE_COMPLETE"
"""The environment variable by which the scripts of the shells request completion. click derives the name from that of the program."""

_BASH = """\
%(complete_func)s() {
    local response completion kind value IFS=$'\\n'
    response=$(env COMP_LINE="$COMP_LINE" COMP_POINT="$COMP_POINT" COMP_WORDBREAKS="$COMP_WORDBREAKS" \\
        %(complete_var)s=bash_complete "$1" 2>/dev/null)
    for completion in $response; do
        kind=${completion%%%%,*} value=${completion#*,}
        case $kind in
            dir) compopt -o dirnames ;;
            file) compopt -o default ;;
            plain)
                COMPREPLY+=("$value")
                [[ $value == *= ]] && compopt -o nospace
                ;;
        esac
    done
    return 0
}

complete -o nosort -F %(complete_func)s %(prog_name)s
"""


class _Quiet(ShellComplete):
    def get_completions(self, args: list[str], incomplete: str) -> list[CompletionItem[str]]:
        with _silence():
            return super().get_completions(args, incomplete)


class Bash(_Quiet, BashComplete):
    source_template = _BASH

    def source(self) -> str:
        """Replaces the method of click, which starts a bash to read its version."""
        return self.source_template % self.source_vars()

    def get_completion_args(self) -> tuple[list[str], str]:
        return split_line(os.environ["COMP_LINE"], int(os.environ["COMP_POINT"]))

    def get_completions(self, args: list[str], incomplete: str) -> list[CompletionItem[str]]:
        start = joined_part(incomplete, os.environ.get("COMP_WORDBREAKS", ""))
        items = super().get_completions(args, incomplete)
        for item in items:
            item.value = item.value.removeprefix(start)
        return items


class Zsh(_Quiet, ZshComplete):
    pass


class Fish(_Quiet, FishComplete):
    pass


SHELLS: dict[str, type[ShellComplete]] = {"bash": Bash, "zsh": Zsh, "fish": Fish}


def register_shells() -> None:
    for name, shell in SHELLS.items():
        add_completion_class(shell, name)


def split_line(line: str, point: int) -> tuple[list[str], str]:
    """Returns the words after the command, and the word at the cursor, which may be empty. point: the position of the cursor."""
    *words, last = split_arg_string(f"{line[:point]}|")
    return words[1:], last.removesuffix("|")


def joined_part(incomplete: str, word_breaks: str) -> str:
    """Returns the start of the value at the cursor that bash does not replace: `key=` of `key=val`. The flag of `--flag=val` is no part."""
    value = incomplete.partition("=")[2] if incomplete.startswith("-") else incomplete
    end = max((value.rfind(letter) for letter in "=:" if letter in word_breaks), default=-1)
    return value[: end + 1]


@contextmanager
def _silence() -> Iterator[None]:
    """Discards everything that is written to standard error, also by other programs, until the block ends."""
    sys.stderr.flush()
    saved = os.dup(2)
    silent = os.open(os.devnull, os.O_WRONLY)
    os.dup2(silent, 2)
    try:
        yield
    finally:
        sys.stderr.flush()
        os.dup2(saved, 2)
        os.close(saved)
        os.close(silent)
