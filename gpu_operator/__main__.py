"""`gpu-operator`: the command line."""

import node_core.startup

# isort: split
import sys

from gpu_operator.agent import build_operator
from gpu_operator.cluster.writer import NAME
from gpu_operator.settings import OperatorSettings, operator_settings
from node_core.runtime.command import agent_command, parse_command
from node_core.runtime.process import Program, run_program
from node_core.runtime.settings import CommonSettings, common_settings

node_core.startup.freeze_gc()

_NOT_ON_A_NODE = ("node_name", "simulate", "host_root", "lock_dir")
"""Settings of agents that run on a node."""

command = agent_command(
    NAME,
    OperatorSettings,
    CommonSettings,
    agent="GPU_OPERATOR",
    changes={
        "http_address": {"default": ":8085"},
        **{name: {"flags": ()} for name in _NOT_ON_A_NODE},
    },
    help="Installs the drivers that NVIDIADriver objects request, with one DaemonSet for each pool of Nodes that need the same image. Of"
    " several controllers, one works and the others wait.",
    examples=(
        ("--operator-namespace gpunode --driver-manager-image IMAGE --kubeconfig FILE", "run outside of the cluster"),
    ),
)


def parse(arguments: list[str]) -> Program | None:
    """Returns the program for a command line and the environment; None after --help. Raises SettingsError."""
    values = parse_command(command, arguments, NAME)
    if values is None:
        return None
    settings = operator_settings(values)
    common = common_settings(values, CommonSettings)
    return Program(common=common, build=lambda services: build_operator(settings, common, services))


def main() -> int:
    return run_program(lambda: parse(sys.argv[1:]), NAME)


if __name__ == "__main__":
    sys.exit(main())
