"""Completion in the shells: words, scripts, and a real bash."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import click
import pytest
from click.shell_completion import CompletionItem

from gpunode.__main__ import SECTIONS
from gpunode.completion.shells import SHELLS, VARIABLE, Bash, Fish, Zsh, joined_part, split_line
from tests.exhaustive import params
from tests.gpunode.verbs import run_verb
from tests.nvml.build import IN_CI

NAMES = [name for section in SECTIONS.values() for name in section]
LINES = {
    "gpunode ": NAMES,
    "gpunode re": ["release"],
    "gpunode cdi ": ["generate", "list", "validate"],
    "gpunode topo --sim": ["--simulate"],
    "gpunode topo --simulate h": ["h100x8", "h100x8-mig-mixed"],
    "gpunode topo --simulate=h": ["h100x8", "h100x8-mig-mixed"],
    "gpunode run --mig-strategy s": ["single"],
    "gpunode run --simulate t4": ["t4x1"],
    "gpunode doctor --output=": ["text", "json"],
    "gpunode cdi generate --mig-s": ["--mig-strategy"],
    "gpunode demo scenario l4": ["l40sx4"],
    "gpunode rules ": ["test", "validate"],
    "gpunode 'unfinished": [],
}
"""The completions of a line."""


@pytest.fixture
def bash(tmp_path: Path) -> "Shell":
    return Shell(tmp_path)


class Shell:
    """A bash that has read the script."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        program = folder / "gpunode"
        program.write_text(f'#!/bin/sh\nexec {sys.executable} -m gpunode "$@"\n')
        program.chmod(0o755)

    def complete(self, line: str, point: int | None = None) -> list[str]:
        """Returns COMPREPLY for a line with the cursor at `point`, by default at the end."""
        script = (
            'eval "$(gpunode completion bash)"; COMP_LINE=$1 COMP_POINT=$2; _gpunode_completion gpunode;'
            ' printf "%s\\n" "${COMPREPLY[@]}"'
        )
        environment = {"PATH": f"{self.folder}:/usr/bin:/bin", "HOME": str(self.folder), "PYTHONPATH": str(Path.cwd())}
        command = ["bash", "--norc", "-c", script, "bash", line, str(len(line) if point is None else point)]
        ended = subprocess.run(command, capture_output=True, text=True, timeout=60, check=True, env=environment)
        return ended.stdout.split()


@pytest.mark.skipif(shutil.which("bash") is None and not IN_CI, reason="bash is not installed")
@pytest.mark.parametrize(
    ("line", "found"),
    params(
        LINES.items(),
        fast=("gpunode ", "gpunode topo --simulate=h", "gpunode run --mig-strategy s", "gpunode 'unfinished"),
        ids=LINES,
    ),
)
def test_a_real_bash_completes(bash: Shell, line: str, found: list[str]) -> None:
    assert bash.complete(line) == found


@pytest.mark.skipif(shutil.which("bash") is None and not IN_CI, reason="bash is not installed")
def test_words_after_the_cursor_do_not_matter(bash: Shell) -> None:
    assert bash.complete("gpunode re --end", len("gpunode re")) == ["release"]


@pytest.mark.parametrize("shell", SHELLS)
def test_each_shell_has_a_script(shell: str) -> None:
    script = run_verb("completion", shell).stdout
    assert f"{VARIABLE}={shell}_complete" in script
    assert "_gpunode_completion" in script


def test_another_shell_is_a_usage_error() -> None:
    result = run_verb("completion", "tcsh")
    assert (result.exit_code, result.stdout) == (2, "")
    assert "'bash', 'zsh', 'fish'" in result.stderr


@pytest.mark.parametrize(
    ("line", "point", "words", "incomplete"),
    [
        ("gpunode ", 8, [], ""),
        ("gpunode nodes -l a=b", 20, ["nodes", "-l"], "a=b"),
        ("gpunode nodes -l a=b", 13, [], "nodes"),
        ("gpunode run --x='a b' ", 22, ["run", "--x=a b"], ""),
        ("gpunode run 'a b", 16, ["run"], "a b"),
        ("gpunode run a\\ b", 16, ["run"], "a b"),
        ("", 0, [], ""),
    ],
)
def test_a_line_is_divided_as_the_shell_divides_it(line: str, point: int, words: list[str], incomplete: str) -> None:
    assert split_line(line, point) == (words, incomplete)


@pytest.mark.parametrize(
    ("incomplete", "word_breaks", "start"),
    [
        ("key=va", "=:", "key="),
        ("key=va", ":", ""),
        ("a=b,key=va", "=:", "a=b,key="),
        ("--flag=va", "=:", ""),
        ("--flag=key=va", "=:", "key="),
        ("plain", "=:", ""),
    ],
)
def test_bash_replaces_only_the_part_after_the_last_break(incomplete: str, word_breaks: str, start: str) -> None:
    assert joined_part(incomplete, word_breaks) == start


def noisy(_: click.Context, __: click.Parameter, incomplete: str) -> list[CompletionItem[str]]:
    """Writes as a program for credentials writes."""
    os.write(2, b"python")
    subprocess.run(["sh", "-c", "echo program >&2"], check=True)
    return [CompletionItem(f"{incomplete}x")]


@pytest.mark.parametrize("shell", [Bash, Zsh, Fish])
def test_nothing_is_written_into_the_line_of_the_person(
    shell: type[Bash | Zsh | Fish], capfd: pytest.CaptureFixture[str]
) -> None:
    command = click.Command("c", params=[click.Argument(["name"], shell_complete=noisy)])
    items = shell(command, {}, "c", "").get_completions([], "a")
    assert [item.value for item in items] == ["ax"]
    print("later", file=sys.stderr)
    assert capfd.readouterr() == ("", "later\n")
