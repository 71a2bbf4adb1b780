"""`nfd-lite`: the command line, and where this agent's concrete edges meet."""

import node_core.lean

# isort: split
import sys
from typing import Any

import click

from nfd_lite.agent import OUTPUT_FILE, build_agent
from nfd_lite.options import nfd_options, nfd_settings
from node_core.assembly import Edges, label_program
from node_core.runtime.command import AgentCommand, parse_command
from node_core.runtime.flags import common_options, publish_options
from node_core.runtime.process import Program, run_program
from node_core.runtime.settings import common_settings

node_core.lean.settle()

PROGRAM = "nfd-lite"


@click.command(
    cls=AgentCommand,
    epilog="nfd-lite rules test FILE shows the author of a rule what it makes of a node and why; see nfd-lite rules --help.",
)
@click.option(
    "--export", type=click.Choice(["features", "labels"]), help="Print what this host is, and publish nothing."
)
@click.option("--export-format", type=click.Choice(["json", "yaml"]), default="json", help="How --export prints it.")
@publish_options(agent="NFD", output_file=str(OUTPUT_FILE), destinations=("node", "node-feature", "file", "stdout"))
@nfd_options
@common_options(agent="NFD", address=":8080")
def command(**_: Any) -> None:
    """Labels this node with what its host is: OS, kernel, CPU, memory, storage, network, PCI and USB."""


def parse(arguments: list[str]) -> Program | None:
    """The program that the command line, environment and config file ask for; None for --help and --export, which is then done."""
    values = parse_command(command, arguments, PROGRAM)
    if values is None:
        return None
    settings = nfd_settings(values)
    edges = Edges(common_settings(values), PROGRAM)
    if values["export"]:
        from nfd_lite.export import export  # noqa: PLC0415 - an agent need not pay for it

        sys.stdout.write(export(values["export"], values["export_format"], settings, edges))
        return None
    return label_program(edges, settings.publish, lambda services: build_agent(settings, edges, services))


def main() -> int:
    arguments = sys.argv[1:]
    if arguments[:1] == ["rules"]:
        from nfd_lite.rules_command import rules  # noqa: PLC0415 - an agent need not pay for it

        rules(arguments[1:], prog_name=f"{PROGRAM} rules")
    return run_program(lambda: parse(arguments), PROGRAM)


if __name__ == "__main__":
    sys.exit(main())
