"""Reads the MIG layouts of this node or of a scenario, the pods that use MIG devices, and the MIG configs."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from device_plugin.__main__ import command as plugin_command
from gpu_core.assembly import Dependencies, gpu_dependencies
from gpu_core.domain.inventory import Fault
from gpu_core.mig.config import MigConfigs, decode_mig_configs
from gpu_core.mig.generated import generate_configs
from gpu_core.mig.model import MigGpu
from gpu_core.nvml.mig_reader import read_mig_gpus
from gpu_core.pods.holders import Holder, select_holders
from gpunode.output.flags import render_flags
from node_core.decode import parse_yaml, read_input
from node_core.errors import KubeletError, NodeError
from node_core.kubelet.podresources import SOCKET, list_pod_devices
from node_core.runtime.command import parse_command

PROGRAM = "gpunode mig"
PLUGIN_FLAGS = ("simulate", "host_root", "lock_dir")
"""The flags that are passed on to the settings of gpu-device-plugin, for NVML and the host."""

Users = Mapping[str, tuple[str, ...]]
"""UUID of a GPU or MIG device -> the pods that have the device, `namespace/name`."""


@dataclass(frozen=True, slots=True, kw_only=True)
class MigNode:
    """gpus: those that support MIG. faults: the GPUs that cannot be read. notes: a sentence for each thing that is not known."""

    gpus: tuple[MigGpu, ...]
    faults: tuple[Fault, ...]
    users: Users
    notes: tuple[str, ...]
    is_simulated: bool


def read_node(values: Mapping[str, Any]) -> MigNode:
    """values: of the command line. Raises SettingsError, and NodeError if the GPUs cannot be read or none supports MIG."""
    dependencies = open_dependencies(values)
    released = [each.sentence for each in dependencies.nvml_release.requests if each.problem is None]
    if released:
        raise NodeError(f"NVML is released: {'; '.join(released)}", hint="run the command again afterwards")
    with dependencies.nvml() as nvml:
        gpus, faults = read_mig_gpus(nvml)
    if not gpus and not faults:
        raise NodeError("this node has no GPU that supports MIG")
    users, notes = _read_users(dependencies, values["pod_resources_socket"])
    return MigNode(
        gpus=gpus,
        faults=faults,
        users=users,
        notes=(*(f"{fault.name} cannot be read: {fault.reason}." for fault in faults), *notes),
        is_simulated=dependencies.simulated is not None,
    )


def open_dependencies(values: Mapping[str, Any]) -> Dependencies:
    """Raises SettingsError."""
    flags = render_flags(values, PLUGIN_FLAGS)
    return gpu_dependencies(parse_command(plugin_command, flags, PROGRAM) or {}, PROGRAM)


def read_configs(file: str | None, gpus: Sequence[MigGpu]) -> MigConfigs:
    """Returns the configs of the file, and the generated ones with other names. file: `-` is standard input. Raises SettingsError."""
    return {**generate_configs(gpus), **({} if file is None else _read_file(file))}


def _read_file(file: str) -> MigConfigs:
    return decode_mig_configs(parse_yaml(read_input(file)), source=file)


def _read_users(dependencies: Dependencies, socket: str | None) -> tuple[Users, tuple[str, ...]]:
    """Returns the users, and sentences about what is not known. Pods have no GPUs of a scenario, except with a socket of their own."""
    notes = ("The GPUs are simulated.",) if dependencies.simulated else ()
    if notes and socket is None:
        return {}, notes
    try:
        pods = list_pod_devices(Path(socket) if socket else SOCKET)
    except KubeletError as error:
        return {}, (f"The pods are not known: {error}.", *notes)
    found: dict[str, tuple[str, ...]] = {}
    for gpu in dependencies.inventory.discover().gpus:
        holders = select_holders(pods, (gpu,))
        found[gpu.uuid] = _names(holders.of_device(gpu.uuid))
        found |= {each.uuid: _names(holders.of_device(gpu.uuid, each.gpu_instance)) for each in gpu.mig_devices}
    return found, notes


def _names(holders: Iterable[Holder]) -> tuple[str, ...]:
    return tuple(sorted({f"{each.namespace}/{each.pod}" for each in holders}))
