"""`gpu-device-plugin`: the command line, and where this agent's concrete edges meet."""

import node_core.lean

# isort: split
import sys
from typing import Any

import click

from device_plugin.agent import NAME, build_agent
from device_plugin.options import FIXED, plugin_options, plugin_settings
from node_core.assembly import Edges, node_program
from node_core.runtime.command import AgentCommand, parse_command
from node_core.runtime.flags import common_options
from node_core.runtime.named_options import reread_with
from node_core.runtime.nvidia_config import nvidia_options
from node_core.runtime.process import Program, run_program
from node_core.runtime.settings import common_settings

node_core.lean.settle()


@click.command(cls=AgentCommand)
@plugin_options
@nvidia_options("plugin")
@common_options(agent="DEVICE_PLUGIN", address=":8082")
def command(**_: Any) -> None:
    """Advertises this node's GPUs to the kubelet while the Node is labelled nvidia.com/gpu.present=true."""


def parse(arguments: list[str]) -> Program | None:
    """The program that the command line, environment and config file ask for; None for --help."""
    values = parse_command(command, arguments, NAME)
    if values is None:
        return None
    settings = plugin_settings(values)
    edges = Edges(common_settings(values), NAME, values["driver_root"], values["device_discovery_strategy"])
    reread = reread_with(command, arguments, NAME, plugin_settings, fixed=FIXED)
    return node_program(edges, lambda services: (build_agent(settings, edges, services, reread=reread),))


def main() -> int:
    return run_program(lambda: parse(sys.argv[1:]), NAME)


if __name__ == "__main__":
    sys.exit(main())
