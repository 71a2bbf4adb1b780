"""`gpunode run`: the three agents in one process, for nodes where memory counts. One NVML session, one inventory, one watch."""

import node_core.lean

# isort: split
import sys
from collections.abc import Sequence
from typing import Any

import click

from device_plugin.agent import build_agent as build_plugin
from device_plugin.options import FIXED as PLUGIN_FIXED
from device_plugin.options import plugin_options, plugin_settings
from device_plugin.settings import PluginSettings
from device_plugin.settings import Reread as RereadPlugin
from gfd.agent import GfdSettings
from gfd.agent import Reread as RereadGfd
from gfd.agent import build_agent as build_gfd
from gfd.options import FIXED, gfd_options, gfd_settings
from nfd_lite.agent import NfdSettings
from nfd_lite.agent import build_agent as build_nfd
from nfd_lite.options import nfd_options, nfd_settings
from node_core.assembly import Edges, node_program
from node_core.runtime.command import AgentCommand, parse_command
from node_core.runtime.flags import common_options
from node_core.runtime.named_options import reread_with
from node_core.runtime.nvidia_config import nvidia_options
from node_core.runtime.process import Program, run_program
from node_core.runtime.settings import common_settings

node_core.lean.settle()

PROG = "gpunode run"


@click.command(cls=AgentCommand, name="run")
@nfd_options
@gfd_options
@plugin_options
@nvidia_options("gfd", "plugin")
@common_options(agent="GPUNODE", address=":8080")
def command(**_: Any) -> None:
    """Runs nfd-lite, gfd and gpu-device-plugin in one process."""


def all_agents(
    edges: Edges,
    nfd: NfdSettings,
    gfd: GfdSettings,
    plugin: PluginSettings,
    *,
    reread_gfd: RereadGfd | None = None,
    reread_plugin: RereadPlugin | None = None,
) -> Program:
    """The three agents over the same edges. reread_*: an agent's settings with another config file."""
    return node_program(
        edges,
        lambda services: (
            build_nfd(nfd, edges, services),
            build_gfd(gfd, edges, services, reread=reread_gfd),
            build_plugin(plugin, edges, services, reread=reread_plugin),
        ),
    )


def parse(arguments: Sequence[str]) -> Program | None:
    """The program that the command line, environment and config files ask for; None for --help."""
    values = parse_command(command, arguments, PROG)
    if values is None:
        return None
    edges = Edges(common_settings(values), "gpunode", values["driver_root"], values["device_discovery_strategy"])
    return all_agents(
        edges,
        nfd_settings(values),
        gfd_settings(values),
        plugin_settings(values),
        reread_gfd=reread_with(command, arguments, PROG, gfd_settings, fixed=FIXED),
        reread_plugin=reread_with(command, arguments, PROG, plugin_settings, fixed=PLUGIN_FIXED),
    )


def main(arguments: Sequence[str]) -> int:
    return run_program(lambda: parse(arguments), PROG)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
