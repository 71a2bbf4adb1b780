"""`gpunode run`: the agents in one process, with one NVML session, one inventory and one watch of the Node. Needs less memory."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

from device_plugin.agent import build_agent as build_plugin
from device_plugin.health.build import pod_resources_socket
from device_plugin.settings import PLUGIN, PluginSettings, plugin_settings
from gfd.agent import build_agent as build_gfd
from gfd.settings import GFD, GfdSettings, gfd_settings
from gpu_core.assembly import Dependencies, gpu_dependencies, node_program
from gpu_core.settings.nvidia_config import nvidia_config_option
from gpu_core.settings.nvidia_settings import GFD_NAMES, GpuSettings
from gpu_exporter.agent import build_agent as build_exporter
from gpu_exporter.settings import EXPORTER, ExporterSettings, exporter_settings
from mig_manager.agent import build_agent as build_mig_manager
from mig_manager.settings import MIG, MigSettings, mig_settings
from nfd_lite.agent import build_agent as build_nfd
from nfd_lite.settings import NFD, NfdSettings, nfd_settings
from node_core.runtime.command import agent_command, parse_command
from node_core.runtime.config_selector import ReadSettings, settings_reader
from node_core.runtime.process import Agent, Program, run_program
from node_core.runtime.services import Services
from node_core.runtime.setting import setting
from node_core.values import replace

PROGRAM = "gpunode run"


@dataclass(frozen=True, slots=True, kw_only=True)
class RunSettings:
    """The agents that run only on request."""

    HEADING: ClassVar = "MIG layouts"

    has_mig_manager: bool = setting(
        "--with-mig-manager GPUNODE_WITH_MIG_MANAGER",
        False,
        "Also run mig-manager, which changes the MIG layouts of the GPUs. Needs root. gpu-device-plugin then waits for it.",
    )


command = agent_command(
    "run",
    *NFD,
    *GFD,
    *PLUGIN,
    *EXPORTER,
    RunSettings,
    *MIG,
    nvidia_config_option("gfd", "plugin"),
    GpuSettings,
    agent="GPUNODE",
    changes={**GFD_NAMES, "http_address": {"default": ":8080"}},
    help="Run nfd-lite, gfd, gpu-device-plugin and gpu-exporter in one process, and mig-manager on request.",
    examples=(
        ("--node-name n1 --kubeconfig FILE", "label the Node n1, and advertise and export its GPUs"),
        ("--node-name n1 --kubeconfig FILE --simulate h100x8", "the same with simulated GPUs"),
    ),
)


def all_agents(
    dependencies: Dependencies,
    nfd: NfdSettings,
    gfd: GfdSettings,
    plugin: PluginSettings,
    exporter: ExporterSettings | None = None,
    mig: MigSettings | None = None,
    *,
    reread_gfd: ReadSettings[GfdSettings] | None = None,
    reread_plugin: ReadSettings[PluginSettings] | None = None,
) -> Program:
    """The agents with the same dependencies. reread_*: reads the settings of an agent with another config file.

    exporter: None, or an empty address, for no gpu-exporter. mig: None for no mig-manager.
    """
    if mig is not None:
        plugin = replace(plugin, waits_for_mig_manager=True)

    def build(services: Services) -> list[Agent]:
        agents: list[Agent] = [
            build_nfd(nfd, dependencies, services),
            build_gfd(gfd, dependencies, services, reread=reread_gfd),
            build_plugin(plugin, dependencies, services, reread=reread_plugin),
        ]
        if exporter is not None and exporter.listen:
            socket = exporter.pod_resources_socket or pod_resources_socket(plugin)
            agents.append(build_exporter(replace(exporter, pod_resources_socket=socket), dependencies, services))
        if mig is not None:
            socket = mig.mig_pod_resources_socket or pod_resources_socket(plugin)
            agents.append(build_mig_manager(replace(mig, mig_pod_resources_socket=socket), dependencies, services))
        return agents

    return node_program(dependencies, build)


def parse(arguments: Sequence[str]) -> Program | None:
    """Returns the program for a command line, the environment and the config files; None for --help and --version."""
    values = parse_command(command, arguments, PROGRAM)
    if values is None:
        return None
    return all_agents(
        gpu_dependencies(values, "gpunode"),
        nfd_settings(values),
        gfd_settings(values),
        plugin_settings(values),
        exporter_settings(values),
        mig_settings(values) if values["with_mig_manager"] else None,
        reread_gfd=settings_reader(command, arguments, PROGRAM, gfd_settings),
        reread_plugin=settings_reader(command, arguments, PROGRAM, plugin_settings),
    )


def main(arguments: Sequence[str]) -> int:
    return run_program(lambda: parse(arguments), PROGRAM)
