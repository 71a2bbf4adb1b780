"""Commands as data."""

import subprocess
import sys

import click
import pytest

from gpunode.__main__ import gpunode
from gpunode.completion import descriptions
from gpunode.completion.descriptions import build_command, describe
from gpunode.completion.shells import Zsh
from gpunode.completion.values import name_of_values
from gpunode.run import command as run
from node_core.runtime.setting import Parsed, parse_path

SAMPLE = click.Group(
    "g",
    params=[click.Option(["--all"], is_flag=True, help="Show all. And more.")],
    commands={
        "show": click.Command(
            "show",
            help="Show a file.",
            params=[
                click.Option(["-f", "--file"], type=Parsed(parse_path, "path"), help="A file."),
                click.Option(["--output", "-o"], type=click.Choice(["json", "yaml"]), help="A format."),
                click.Option(["--simulate"], help="A scenario."),
                click.Option(["--secret"], hidden=True),
                click.Argument(["files"], nargs=-1, type=click.Path()),
            ],
        )
    },
)


def complete(command: click.Command, *words: str) -> list[tuple[str, str | None]]:
    *args, incomplete = words
    return [(each.type, each.value) for each in Zsh(command, {}, "g", "").get_completions(args, incomplete)]


@pytest.mark.parametrize(
    "words",
    [
        ("",),
        ("s",),
        ("--",),
        ("show", "--"),
        ("show", "-o", ""),
        ("show", "a"),
        ("show", "--all", ""),
    ],
    ids=" ".join,
)
def test_a_described_command_completes_as_the_command_itself(words: tuple[str, ...]) -> None:
    assert complete(build_command("g", describe(SAMPLE)), *words) == complete(SAMPLE, *words)


def test_the_shell_completes_paths() -> None:
    assert complete(build_command("g", describe(SAMPLE)), "show", "-f", "x") == [("file", "x")]


def test_the_names_of_scenarios_are_completed_for_each_flag_simulate() -> None:
    assert ("plain", "h100x8") in complete(build_command("g", describe(SAMPLE)), "show", "--simulate", "h")


def test_the_help_of_a_flag_is_its_first_sentence() -> None:
    assert describe(SAMPLE)["params"][0] == {"names": ["--all"], "help": "Show all", "flag": True}


@pytest.mark.parametrize(
    ("command", "parameter", "kind"),
    [
        ("why", click.Option(["--context"]), None),
        ("why", click.Option(["--kubeconfig"]), "path"),
        ("why", click.Option(["-f", "files"], metavar="FILE"), "path"),
        ("doctor", click.Option(["--node"]), "node"),
        ("demo", click.Option(["--gpus"]), "scenario"),
        ("nodes", click.Option(["--gpus"]), None),
    ],
)
def test_the_values_of_a_parameter_depend_on_its_name_and_its_command(
    command: str, parameter: click.Parameter, kind: str | None
) -> None:
    assert name_of_values(command, parameter) == kind


def test_a_command_that_is_not_described_completes_itself(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(descriptions, "read_descriptions", dict)
    assert ("plain", "--simulate") in complete(gpunode, "topo", "--sim")


def test_no_module_of_a_command_is_imported_to_complete_it() -> None:
    code = (
        "import sys; from gpunode.__main__ import gpunode; from gpunode.completion.shells import Zsh;"
        "Zsh(gpunode, {}, 'g', '').get_completions(['doctor'], '--');"
        "print([name for name in ('gpunode.doctor.command', 'msgspec', 'yaml', 'urllib3') if name in sys.modules])"
    )
    ended = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert ended.stdout == "[]\n"


def test_every_flag_of_an_agent_is_completed() -> None:
    flags = {name for each in run.params if isinstance(each, click.Option) and not each.hidden for name in each.opts}
    values = {value for _, value in complete(gpunode, "run", "--")}
    assert values >= {name for name in flags if name.startswith("--")}
