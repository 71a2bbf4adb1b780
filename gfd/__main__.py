"""`gfd`: the command line."""

import node_core.startup

# isort: split
import sys

from gfd.agent import build_agent
from gfd.settings import DESTINATION, GFD, OUTPUT_FILE, gfd_settings
from gpu_core.assembly import gpu_dependencies, label_program
from gpu_core.settings.nvidia_config import nvidia_config_option
from gpu_core.settings.nvidia_settings import GFD_NAMES, GpuSettings
from node_core.runtime.command import agent_command, parse_command
from node_core.runtime.config_selector import settings_reader
from node_core.runtime.process import Program, run_program

node_core.startup.freeze_gc()

command = agent_command(
    "gfd",
    *DESTINATION,
    *GFD,
    nvidia_config_option("gfd"),
    GpuSettings,
    agent="GFD",
    changes={
        **GFD_NAMES,
        "output_file": {"default": OUTPUT_FILE},
        "http_address": {"default": ":8081"},
        "device_discovery_strategy": {"choices": ("auto", "nvml", "tegra", "vfio")},
    },
    help="Labels this node with the properties of its NVIDIA GPUs. Without an NVIDIA driver or GPU, gfd continues to run and publishes a"
    " timestamp and nvidia.com/vgpu.present=false.",
    examples=(
        ("--oneshot --publish stdout", "print the labels of this machine, without a cluster"),
        ("--oneshot --publish stdout --simulate h100x8", "print the labels of simulated GPUs"),
        ("--node-name n1 --kubeconfig FILE", "label the Node n1, and follow changes"),
    ),
)


def parse(arguments: list[str]) -> Program | None:
    """Returns the program for a command line, the environment and the config file; None after --help."""
    values = parse_command(command, arguments, "gfd")
    if values is None:
        return None
    settings = gfd_settings(values)
    dependencies = gpu_dependencies(values, "gfd")
    reread = settings_reader(command, arguments, "gfd", gfd_settings)
    return label_program(
        dependencies, settings.publish, lambda services: build_agent(settings, dependencies, services, reread=reread)
    )


def main() -> int:
    return run_program(lambda: parse(sys.argv[1:]), "gfd")


if __name__ == "__main__":
    sys.exit(main())
