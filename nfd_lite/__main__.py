"""`nfd-lite`: the command line, and where this agent's concrete edges meet."""

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


@click.command(cls=AgentCommand)
@publish_options(agent="NFD", output_file=str(OUTPUT_FILE))
@nfd_options
@common_options(agent="NFD", address=":8080")
def command(**_: Any) -> None:
    """Labels this node with what its host is: OS, kernel, CPU, memory, storage, network, PCI and USB."""


def parse(arguments: list[str]) -> Program | None:
    """The program that the command line, environment and config file ask for; None for --help."""
    values = parse_command(command, arguments, "nfd-lite")
    if values is None:
        return None
    settings = nfd_settings(values)
    edges = Edges(common_settings(values), "nfd-lite")
    return label_program(edges, settings.publish, lambda services: build_agent(settings, edges, services))


def main() -> int:
    return run_program(lambda: parse(sys.argv[1:]), "nfd-lite")


if __name__ == "__main__":
    sys.exit(main())
