"""Reads the GPUs of this node or of a scenario, and plans their devices with the settings of gpu-device-plugin."""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

from device_plugin.__main__ import command as plugin_command
from device_plugin.agent import NAME
from device_plugin.devices import Plan
from device_plugin.health.build import pod_resources_socket
from device_plugin.health.examine import examine
from device_plugin.settings import PluginSettings
from gpu_core.domain.inventory import Inventory
from gpunode.doctor.agents import AgentState, find_agent
from gpunode.doctor.settings import CommandLine, ResolvedSettings, environment_of, resolve_settings, use_config_of
from node_core.errors import HostReadError, KubeletError, NodeError
from node_core.host.root import HostRoot
from node_core.kubelet.podresources import list_pod_devices
from node_core.runtime.services import Services

PROGRAM = "gpunode topo"
CPU_LISTS = "/sys/devices/system/node/node{}/cpulist"
"""Source: kernel documentation, ABI/stable/sysfs-devices-node."""


@dataclass(frozen=True, slots=True, kw_only=True)
class NodeReading:
    """cpus: see Topology. plan: the devices that the plugin advertises. is_agent: the settings are those of the running plugin."""

    inventory: Inventory
    plan: Plan
    settings: PluginSettings
    cpus: Mapping[int, str]
    is_agent: bool

    @property
    def config_note(self) -> str | None:
        """Which part of the settings cannot be read, as a sentence."""
        if self.settings.named is None:
            return None
        return "The config that a label of the Node selects is not applied. Name a config with --config-file."


def read_node(flags: Sequence[str]) -> NodeReading:
    """flags: of gpu-device-plugin; they take precedence over those of the running plugin.

    Raises SettingsError, and NodeError if the GPUs cannot be read or there are none.
    """
    own = CommandLine(command=plugin_command, arguments=tuple(flags), program=PROGRAM, overrides={}, is_agent=False)
    values = own.read_values()
    plugin = _find_plugin(values)
    with environment_of(plugin):
        resolved = resolve_settings(own, values, plugin)
    examination = examine(NAME, resolved.settings, resolved.dependencies, Services())
    inventory, assessment = examination.inventory, examination.assessment
    if inventory is None or not (inventory.gpus or inventory.faults):
        raise NodeError(assessment.sentence, hint=assessment.todo)
    return NodeReading(
        inventory=inventory,
        plan=examination.plan,
        settings=resolved.settings,
        cpus=_read_cpus(resolved, inventory),
        is_agent=resolved.is_agent,
    )


def read_devices_in_use(node: NodeReading) -> dict[str, str]:
    """Returns id of a device -> the pod that has it, `namespace/name`; empty for the GPUs of --simulate. Raises KubeletError."""
    if node.inventory.simulated and not node.is_agent:
        return {}
    return dict(_devices_of_pods(node.settings))


def _devices_of_pods(settings: PluginSettings) -> Iterator[tuple[str, str]]:
    for pod in list_pod_devices(pod_resources_socket(settings)):
        for container in pod.containers:
            yield from ((id_, f"{pod.namespace}/{pod.name}") for id_ in container.devices)


def describe_unknown_use(error: KubeletError) -> str:
    return f"{error}. So every healthy device counts as available. Name the available devices with --available."


def _find_plugin(values: Mapping[str, Any]) -> AgentState:
    """Returns the running plugin of this node. The settings for simulated GPUs are only those of the command line."""
    if values["simulate"] is not None:
        return AgentState(agent=NAME, is_running=False, sentence="")
    return use_config_of(values, find_agent(values["lock_dir"], NAME, values["node_name"]))


def _read_cpus(resolved: ResolvedSettings, inventory: Inventory) -> dict[int, str]:
    """A scenario has no CPUs."""
    nodes = {gpu.numa_node for gpu in inventory.gpus if gpu.numa_node is not None}
    root = resolved.dependencies.root
    return {} if inventory.simulated else {node: cpus for node in sorted(nodes) if (cpus := _read_cpu_list(root, node))}


def _read_cpu_list(root: HostRoot, node: int) -> str | None:
    with suppress(HostReadError):
        return root.text(CPU_LISTS.format(node))
    return None
