"""Completion of `kubectl gpu`, also with a real kubectl."""

import subprocess
import sys
from pathlib import Path

import pytest

from gpunode.__main__ import SECTIONS
from gpunode.completion.kubectl import complete

NAMES = [name for section in SECTIONS.values() for name in section]


def values(lines: list[str]) -> list[str]:
    return [line.partition("\t")[0] for line in lines[:-1]]


def test_the_commands_have_help_and_there_is_no_completion_of_files() -> None:
    lines = complete([""])
    assert values(lines) == NAMES
    assert all("\t" in line for line in lines[:-1])
    assert lines[-1] == ":4"


@pytest.mark.parametrize(
    ("words", "found", "directive"),
    [
        (("topo", "--sim"), ["--simulate"], ":4"),
        (("topo", "--simulate", "t"), ["t4x1"], ":4"),
        (("topo", "--simulate=t"), ["--simulate=t4x1"], ":4"),
        (("topo", "--simulate", "./x"), [], ":0"),
        (("cdi", "list", ""), [], ":0"),
        ((), NAMES, ":4"),
    ],
    ids=["flag", "value", "flag=value", "file", "path", "nothing"],
)
def test_the_last_word_is_completed(words: tuple[str, ...], found: list[str], directive: str) -> None:
    lines = complete(words)
    assert (values(lines), lines[-1]) == (found, directive)


def test_kubectl_completes_its_plugin(tmp_path: Path) -> None:
    for name, call in (
        ("kubectl-gpu", "from gpunode.__main__ import kubectl_plugin as main"),
        ("kubectl_complete-gpu", "from gpunode.completion.kubectl import main"),
    ):
        program = tmp_path / name
        program.write_text(f"#!{sys.executable}\n{call}\nmain()\n")
        program.chmod(0o755)
    kubectl = str(Path(sys.executable).parent / "kubectl")  # a locked dependency
    environment = {"PATH": f"{tmp_path}:/usr/bin:/bin", "HOME": str(tmp_path), "PYTHONPATH": str(Path.cwd())}
    command = [kubectl, "__complete", "gpu", "topo", "--simulate", "h"]
    ended = subprocess.run(command, capture_output=True, text=True, timeout=60, check=True, env=environment)
    assert ended.stdout.split() == ["h100x8", "h100x8-mig-mixed", ":4"]
