"""The list of commands, and imports that a command does not need."""

import subprocess
import sys

import pytest

from gpunode.__main__ import SECTIONS, gpunode
from tests.gpunode.verbs import run_verb

NAMES = [name for section in SECTIONS.values() for name in section]


@pytest.mark.parametrize("name", NAMES)
def test_each_command_has_help(name: str) -> None:
    result = run_verb(name, "--help")
    assert result.exit_code == 0
    assert "Usage:" in result.stdout


def test_the_help_lists_each_command_once() -> None:
    lines = run_verb("--help").stdout.splitlines()
    assert [line.split()[0] for line in lines if line.startswith("  ") and line.split()[0] in NAMES] == NAMES


def test_the_plugin_of_kubectl_has_its_own_name() -> None:
    assert "Usage: kubectl gpu release" in run_verb("release", "--help", program="kubectl gpu").stdout


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["docter"], "unknown command 'docter' (did you mean doctor?)"),
        (["config", "chek"], "unknown command 'chek' (did you mean check?)"),
        (["cdi", "\x1b[31m"], r"unknown command '\x1b[31m'"),
    ],
)
def test_an_unknown_command_is_a_usage_error_with_the_nearest_name(arguments: list[str], message: str) -> None:
    result = run_verb(*arguments)
    assert result.exit_code == 2
    assert message in result.stderr


def test_no_module_of_a_command_is_imported_before_the_command_runs() -> None:
    modules = [entry.module for section in SECTIONS.values() for entry in section.values()]
    code = f"import sys, gpunode.__main__; print([name for name in {modules!r} + ['yaml', 'msgspec'] if name in sys.modules])"
    ended = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert ended.stdout == "[]\n"


def test_the_parameters_of_each_command_are_known_to_completion() -> None:
    with gpunode.make_context("gpunode", [], resilient_parsing=True) as context:
        commands = {name: gpunode.get_command(context, name) for name in NAMES}
    assert all(
        (command is not None and command.params) or hasattr(command, "commands") for command in commands.values()
    )
