"""The program `kubectl_complete-gpu`, which kubectl runs to complete `kubectl gpu`.

kubectl passes the words after `kubectl gpu`; the last one is the incomplete word. The program prints one completion a line, with a tab
before its help, and then `:` and the sum of the directives. Source: Kubernetes enhancement 2379, Shell Completion Support; cobra,
ShellCompDirective.
"""

import sys
from collections.abc import Sequence

from click.shell_completion import CompletionItem

from gpunode.completion.shells import Zsh

NO_SPACE, NO_FILES, ONLY_FOLDERS = 2, 4, 16
"""Directives: no space after the completion; do not complete file names; complete names of folders."""


def complete(words: Sequence[str]) -> list[str]:
    """Returns the lines for kubectl."""
    from gpunode.__main__ import gpunode  # noqa: PLC0415

    *args, incomplete = words or [""]
    items = Zsh(gpunode, {}, "kubectl gpu", "").get_completions(args, incomplete)
    flag = f"{incomplete.partition('=')[0]}=" if incomplete.startswith("--") and "=" in incomplete else ""
    values = [f"{flag}{item.value}" + (f"\t{item.help}" if item.help else "") for item in items if item.type == "plain"]
    return [*values, f":{_directive(items)}"]


def _directive(items: Sequence[CompletionItem[str]]) -> int:
    kinds = {item.type for item in items}
    if "dir" in kinds:
        return ONLY_FOLDERS
    if "file" in kinds:
        return 0
    return NO_FILES | (NO_SPACE if any(item.value.endswith("=") for item in items) else 0)


def main() -> None:
    print("\n".join(complete(sys.argv[1:])))
