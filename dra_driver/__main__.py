"""`gpu-dra-driver`: the command line."""

import node_core.startup

# isort: split
import sys

from dra_driver.agent import NAME
from dra_driver.build import build_agent
from dra_driver.settings import DRA, dra_settings
from gpu_core.assembly import gpu_dependencies, node_program
from gpu_core.settings.nvidia_settings import GpuSettings
from node_core.runtime.command import agent_command, parse_command
from node_core.runtime.process import Program, run_program

node_core.startup.freeze_gc()

command = agent_command(
    NAME,
    *DRA,
    GpuSettings,
    agent="GPU_DRA_DRIVER",
    changes={"http_address": {"default": ":8088"}},
    help="Offer the GPUs of this node by Dynamic Resource Allocation: as ResourceSlices to the scheduler, and as a DRA driver to the"
    " kubelet. Do not run gpu-device-plugin on the same node.",
    examples=(
        ("--node-name n1 --kubeconfig FILE", "offer the GPUs and existing MIG devices of the Node n1"),
        ("--node-name n1 --kubeconfig FILE --dra-dynamic-mig", "also create MIG devices for claims"),
    ),
)


def parse(arguments: list[str]) -> Program | None:
    """Returns the program for a command line and the environment; None after --help. Raises SettingsError."""
    values = parse_command(command, arguments, NAME)
    if values is None:
        return None
    settings = dra_settings(values)
    dependencies = gpu_dependencies(values, NAME)
    return node_program(dependencies, lambda services: (build_agent(settings, dependencies, services),))


def main() -> int:
    return run_program(lambda: parse(sys.argv[1:]), NAME)


if __name__ == "__main__":
    sys.exit(main())
