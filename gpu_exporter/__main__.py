"""`gpu-exporter`: the command line."""

import node_core.startup

# isort: split
import sys

from gpu_core.assembly import gpu_dependencies, host_program
from gpu_core.settings.nvidia_settings import GpuSettings
from gpu_exporter.agent import NAME, build_agent
from gpu_exporter.settings import EXPORTER, exporter_settings
from node_core.errors import SettingsError
from node_core.runtime.command import agent_command, parse_command
from node_core.runtime.process import Program, run_program

node_core.startup.freeze_gc()

command = agent_command(
    NAME,
    *EXPORTER,
    GpuSettings,
    agent="GPU_EXPORTER",
    changes={"http_address": {"default": ":8083"}},
    help="Exports metrics of the NVIDIA GPUs of this node, and of the pods that use them, to Prometheus. The names of metrics, labels,"
    " flags and environment variables are those of dcgm-exporter.",
    examples=(
        ("--kubernetes=false", "export the GPUs of this machine, without a cluster"),
        ("--kubernetes=false --simulate h100x8", "export simulated GPUs"),
        (
            "--node-name n1 --collectors counters.csv",
            "export the fields of a file of dcgm-exporter, and the pods of the Node n1",
        ),
    ),
)


def parse(arguments: list[str]) -> Program | None:
    """Returns the program for a command line and the environment; None after --help. Raises SettingsError."""
    values = parse_command(command, arguments, NAME)
    if values is None:
        return None
    settings = exporter_settings(values)
    if not settings.listen:
        raise SettingsError(["--address: is empty. Set an address, such as :9400."])
    dependencies = gpu_dependencies(values, NAME)
    return host_program(dependencies, lambda services: (build_agent(settings, dependencies, services),))


def main() -> int:
    return run_program(lambda: parse(sys.argv[1:]), NAME)


if __name__ == "__main__":
    sys.exit(main())
