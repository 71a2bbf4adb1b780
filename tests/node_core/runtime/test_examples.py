"""The help of commands with examples, and their exit statuses."""

import click
import pytest
from click.testing import CliRunner

from node_core.runtime.examples import STATUSES, ExamplesCommand, ExamplesGroup

SHOW = ExamplesCommand("show", examples=(("", "everything"), ("-o json", "for programs")), help="Show it.")
PLAIN = ExamplesCommand("plain", help="Plain.")
GROUP = ExamplesGroup("tool", commands={"show": SHOW, "plain": PLAIN}, examples=[("show", "see it")])


def help_of(command: click.Command, *arguments: str) -> str:
    return CliRunner().invoke(command, [*arguments, "--help"], prog_name="tool").output


def test_the_help_begins_with_the_examples_of_the_command() -> None:
    lines = help_of(GROUP, "show").splitlines()
    assert [line.split(maxsplit=2) for line in lines[:3]] == [
        ["Examples:"],
        ["tool", "show", "everything"],
        ["tool", "show", "-o json  for programs"],
    ]
    assert lines[4] == "Usage: tool show [OPTIONS]"
    assert "Show it." in "\n".join(lines)


def test_without_examples_the_help_begins_with_the_usage() -> None:
    assert help_of(GROUP, "plain").startswith("Usage: tool plain [OPTIONS]\n")
    assert help_of(GROUP).startswith("Examples:\n  tool show  see it\n")


def test_a_command_adds_statuses_or_replaces_their_meaning() -> None:
    assert PLAIN.statuses == STATUSES
    command = ExamplesCommand("c", statuses={"1": "A check failed.", "2": "Wrong."})
    assert command.statuses == {"0": STATUSES["0"], "1": "A check failed.", "2": "Wrong."}


@pytest.mark.parametrize(("word", "hint"), [("sho", " (did you mean show?)"), ("zzz", "")])
def test_the_error_for_an_unknown_command_names_the_nearest_one(word: str, hint: str) -> None:
    result = CliRunner().invoke(GROUP, [word])
    assert result.exit_code == 2
    assert f"unknown command {word!r}{hint}\n" in result.output
    assert CliRunner().invoke(GROUP, ["plain"]).exit_code == 0
