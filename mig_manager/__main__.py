"""`mig-manager`: the command line."""

import node_core.startup

# isort: split
import sys

from gpu_core.assembly import gpu_dependencies, node_program
from gpu_core.settings.nvidia_settings import GpuSettings
from mig_manager.agent import NAME, build_agent
from mig_manager.settings import MIG, mig_settings
from node_core.runtime.command import agent_command, parse_command
from node_core.runtime.process import Program, run_program

node_core.startup.freeze_gc()

command = agent_command(
    NAME,
    *MIG,
    GpuSettings,
    agent="MIG_MANAGER",
    changes={
        "http_address": {"default": ":8084"},
        "mig_config_file": {
            "flags": ("--mig-config-file", "--config-file", "-f"),
            "env": ("MIG_PARTED_CONFIG_FILE", "CONFIG_FILE"),
        },
    },
    help="Give the GPUs of this node the MIG layout that the label nvidia.com/mig.config of the Node names. Devices that the new layout"
    " retains stay in use.",
    examples=(
        ("--node-name n1 --kubeconfig FILE", "follow the label of the Node n1"),
        ("--node-name n1 --kubeconfig FILE --mig-config-file mig.yaml", "the same with own configs"),
    ),
)


def parse(arguments: list[str]) -> Program | None:
    """Returns the program for a command line and the environment; None after --help. Raises SettingsError."""
    values = parse_command(command, arguments, NAME)
    if values is None:
        return None
    settings = mig_settings(values)
    dependencies = gpu_dependencies(values, NAME)
    return node_program(dependencies, lambda services: (build_agent(settings, dependencies, services),))


def main() -> int:
    return run_program(lambda: parse(sys.argv[1:]), NAME)


if __name__ == "__main__":
    sys.exit(main())
