"""`gpunode config check`: checks config files, and shows the settings that agents have with them.

The exit status is 1 if a file is not valid, and 2 if a file cannot be read or is not a config file.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import click

from gpunode.config_check.agents import select_agents
from gpunode.config_check.find import ConfigFile, Kind, find_configs
from gpunode.config_check.settings import EffectiveSetting, Result, read_settings
from gpunode.output.formats import output_option, print_document
from gpunode.output.paragraph import render_paragraph
from gpunode.output.table import Column, TableWriter
from gpunode.output.terminal import Cell, Styled, Terminal, open_terminal
from gpunode.output.verb import FAILED, Verb
from node_core.decode import read_input
from node_core.errors import SettingsError
from node_core.runtime.examples import ExamplesGroup

NAMES = {Kind.NVIDIA: "NVIDIA's config file", Kind.NFD: "config file of Node Feature Discovery"}
COLUMNS = (
    Column(header="SETTING"),
    Column(header="VALUE", max_width=60),
    Column(header="FROM"),
    Column(header="AGENTS", priority=1),
)
FLAGS = "gpunode.flags"
"""Key in a click context: the arguments after `--`."""


class Check(Verb):
    """Arguments after `--` are flags of the agents."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """Replaces the method of click, for which words after `--` are arguments as well."""
        end = args.index("--") if "--" in args else len(args)
        ctx.meta[FLAGS] = args[end + 1 :]
        return super().parse_args(ctx, args[:end])


@click.group(
    cls=ExamplesGroup,
    examples=[("check config.yaml", "the errors of the file, or the settings with this file")],
    context_settings={"help_option_names": ["-h", "--help"]},
)
def config() -> None:
    """Check config files of the agents."""


@config.command(
    "check",
    cls=Check,
    examples=[
        ("config.yaml", "the errors of the file; without errors, the settings of gfd and gpu-device-plugin"),
        ("nfd-worker.conf --all", "all settings of nfd-lite, also those that no file can contain"),
        ("configs.yaml", "all files of a ConfigMap, or in the values of a chart"),
        ("config.yaml -- --mig-strategy mixed", "the settings with the file and this flag of the agents"),
    ],
    help="Check config files, and show the settings that agents have with each file, this environment and these flags. FILE is"
    " NVIDIA's config file, nfd-worker.conf, nfd-master.conf, a manifest with ConfigMaps, or values of a Helm chart that contain such"
    " files. - reads standard input. The exit status is 1 if a file is not valid.",
)
@click.argument("files", metavar="FILE... [-- FLAG...]", nargs=-1, required=True)
@click.option(
    "--kind",
    type=click.Choice([each.value for each in Kind]),
    help="The kind of the files. Default: the keys of the file show the kind.",
)
@click.option(
    "--all",
    "has_all",
    is_flag=True,
    help="Also show settings that no file of this kind can contain, and that have their defaults.",
)
@output_option("json", "yaml")
@click.pass_context
def check(
    ctx: click.Context, files: tuple[str, ...], kind: str | None, has_all: bool, output: Literal["json", "yaml"] | None
) -> None:
    found = _find(files, None if kind is None else Kind(kind))
    reports = tuple(_check(each, ctx.meta[FLAGS]) for each in found)
    if output is not None:
        print_document({"files": [_to_document(each) for each in reports]}, output)
    else:
        _print(open_terminal(), reports, has_all=has_all)
    if any(each.problems for each in reports):
        ctx.exit(FAILED)


@dataclass(frozen=True, slots=True, kw_only=True)
class Report:
    """One file, and a result for each agent that reads the file."""

    file: ConfigFile
    results: tuple[Result, ...]

    @property
    def agents(self) -> tuple[str, ...]:
        return tuple(each.agent for each in self.results)

    @property
    def problems(self) -> tuple[str, ...]:
        return tuple(dict.fromkeys(problem for each in self.results for problem in each.problems))

    @property
    def notes(self) -> tuple[str, ...]:
        return tuple(dict.fromkeys(note for each in self.results for note in each.notes))

    @property
    def settings(self) -> dict[EffectiveSetting, list[str]]:
        """Each setting, with the agents that have the value."""
        found: dict[EffectiveSetting, list[str]] = {}
        for result in self.results:
            for each in result.settings:
                found.setdefault(each, []).append(result.agent)
        return found


def _find(files: Sequence[str], kind: Kind | None) -> Iterator[ConfigFile]:
    """Returns the config files in all files. Raises SettingsError with the problems of all files."""
    found: list[ConfigFile] = []
    problems: list[str] = []
    for file in dict.fromkeys(files):
        try:
            found += find_configs(read_input(file), kind)
        except SettingsError as error:
            problems += error.problems
    if problems:
        raise SettingsError(problems)
    return iter(found)


def _check(file: ConfigFile, arguments: Sequence[str]) -> Report:
    agents = select_agents(file.kind, arguments)
    return Report(file=file, results=tuple(read_settings(each, file, arguments) for each in agents))


def _print(terminal: Terminal, reports: Sequence[Report], *, has_all: bool) -> None:
    for index, report in enumerate(reports):
        click.echo("\n" * bool(index) + "\n".join(_head(terminal, report)), color=terminal.has_colors)
        if report.problems:
            continue
        click.echo()
        TableWriter(terminal, COLUMNS).write(
            [
                (each.name, _value(each), each.origin, ", ".join(agents))
                for each, agents in report.settings.items()
                if has_all or each.is_in_files or not each.is_default
            ]
        )


def _value(setting: EffectiveSetting) -> Cell:
    return setting.value if setting.is_default else Styled(setting.value, "bold")


def _head(terminal: Terminal, report: Report) -> Iterator[str]:
    name, count = terminal.render(report.file.document.source), len(report.problems)
    verdict = Styled("valid", "green") if not count else Styled(f"{count} problem{'s' * (count > 1)}", "red")
    yield f"{name}: {NAMES[report.file.kind]} for {' and '.join(report.agents)}: {terminal.render(verdict)}"
    for sentence in (*report.problems, *(f"note: {each}" for each in report.notes)):
        yield from render_paragraph(terminal, sentence, indent=2)


def _to_document(report: Report) -> dict[str, Any]:
    return {
        "file": report.file.document.source,
        "kind": str(report.file.kind),
        "agents": list(report.agents),
        "isValid": not report.problems,
        "problems": list(report.problems),
        "notes": list(report.notes),
        "settings": [
            {"name": each.name, "value": each.value, "from": each.origin, "agents": agents}
            for each, agents in report.settings.items()
        ],
    }
