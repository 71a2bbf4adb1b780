"""`gfd`: the command line, and where this agent's concrete edges meet."""

import node_core.lean

# isort: split
import sys
from typing import Any

import click

from gfd.agent import OUTPUT_FILE, build_agent
from gfd.options import FIXED, destination_options, gfd_options, gfd_settings
from node_core.assembly import Edges, label_program
from node_core.runtime.command import AgentCommand, parse_command
from node_core.runtime.flags import common_options, publish_options
from node_core.runtime.named_options import named_options, reread_with
from node_core.runtime.nvidia_config import nvidia_options
from node_core.runtime.process import Program, run_program
from node_core.runtime.settings import common_settings

node_core.lean.settle()


@click.command(
    cls=AgentCommand,
    epilog="Without an NVIDIA driver and GPU the agent stays up and labels little: a timestamp, and that there is no vGPU.",
)
@publish_options(agent="GFD", output_file=str(OUTPUT_FILE), destinations=("node", "node-feature", "file", "stdout"))
@destination_options
@gfd_options
@named_options
@nvidia_options("gfd")
@common_options(agent="GFD", address=":8081")
def command(**_: Any) -> None:
    """Labels this node with facts about its NVIDIA GPUs."""


def parse(arguments: list[str]) -> Program | None:
    """The program that the command line, environment and config file ask for; None for --help."""
    values = parse_command(command, arguments, "gfd")
    if values is None:
        return None
    settings = gfd_settings(values)
    edges = Edges(common_settings(values), "gfd", values["driver_root"], values["device_discovery_strategy"])
    reread = reread_with(command, arguments, "gfd", gfd_settings, fixed=FIXED)
    return label_program(
        edges, settings.publish, lambda services: build_agent(settings, edges, services, reread=reread)
    )


def main() -> int:
    return run_program(lambda: parse(sys.argv[1:]), "gfd")


if __name__ == "__main__":
    sys.exit(main())
