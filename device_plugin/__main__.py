"""`gpu-device-plugin`: parses the command line and starts the agent."""

import node_core.startup

# isort: split
import sys

from device_plugin.agent import NAME, build_agent
from device_plugin.settings import PLUGIN, plugin_settings
from gpu_core.assembly import gpu_dependencies, node_program
from gpu_core.settings.nvidia_config import nvidia_config_option
from gpu_core.settings.nvidia_settings import GpuSettings
from node_core.runtime.command import agent_command, parse_command
from node_core.runtime.config_selector import settings_reader
from node_core.runtime.process import Program, run_program

node_core.startup.freeze_gc()

command = agent_command(
    NAME,
    *PLUGIN,
    nvidia_config_option("plugin"),
    GpuSettings,
    agent="DEVICE_PLUGIN",
    changes={"http_address": {"default": ":8082"}},
    help="Advertise the GPUs of this node to the kubelet while the Node has the label nvidia.com/gpu.present=true.",
    examples=(
        ("--node-name n1 --kubeconfig FILE", "advertise the GPUs of the Node n1"),
        (
            "--node-name n1 --kubeconfig FILE --mig-strategy mixed --config-file sharing.yaml",
            "the same with MIG devices and sharing",
        ),
    ),
)


def parse(arguments: list[str]) -> Program | None:
    """Returns the program that the command line, environment and config file specify; None after --help. Raises SettingsError."""
    values = parse_command(command, arguments, NAME)
    if values is None:
        return None
    settings = plugin_settings(values)
    dependencies = gpu_dependencies(values, NAME)
    reread = settings_reader(command, arguments, NAME, plugin_settings)
    return node_program(dependencies, lambda services: (build_agent(settings, dependencies, services, reread=reread),))


def main() -> int:
    return run_program(lambda: parse(sys.argv[1:]), NAME)


if __name__ == "__main__":
    sys.exit(main())
