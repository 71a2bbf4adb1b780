"""`nfd-lite-topology`: the command line."""

import node_core.startup

# isort: split
import sys

from gpu_core.assembly import Dependencies, host_program, node_program
from nfd_lite.topology.agent import NAME, build_agent
from nfd_lite.topology.settings import TOPOLOGY, topology_settings
from node_core.errors import SettingsError
from node_core.runtime.command import agent_command, parse_command
from node_core.runtime.process import Program, run_program
from node_core.runtime.services import Services
from node_core.runtime.settings import CommonSettings, common_settings
from node_core.values import replace

node_core.startup.freeze_gc()

command = agent_command(
    NAME,
    *TOPOLOGY,
    CommonSettings,
    agent="NFD_TOPOLOGY",
    changes={"http_address": {"default": ":8080"}},
    help="Publishes the NUMA nodes of this node, and what is available in each, as a NodeResourceTopology object for schedulers that place"
    " pods by NUMA node. Flags and config file are those of nfd-topology-updater.",
    examples=(
        ("--oneshot --no-publish", "print the object of this machine, without a cluster"),
        ("--node-name n1 --kubeconfig FILE", "publish the object of the Node n1, and follow changes"),
    ),
)


def parse(arguments: list[str]) -> Program | None:
    """Returns the program for a command line, the environment and the config file; None after --help. Raises SettingsError."""
    values = parse_command(command, arguments, NAME)
    if values is None:
        return None
    dependencies = Dependencies(common_settings(values, CommonSettings), NAME)
    settings = topology_settings(values, dependencies.common.node_name)
    if not settings.config_uri:
        raise SettingsError(["--kubelet-config-uri: is missing. Set it, or --node-address, or --kubelet-state-dir."])
    make_program = host_program if settings.no_publish else node_program
    program = make_program(dependencies, lambda services: (build_agent(settings, dependencies, services),))

    def once(services: Services) -> bool:
        return build_agent(settings, dependencies, services).controller.run_once()

    return replace(program, once=once)


def main() -> int:
    return run_program(lambda: parse(sys.argv[1:]), NAME)


if __name__ == "__main__":
    sys.exit(main())
