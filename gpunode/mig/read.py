"""Reads the MIG layouts of this node or of a scenario, the users of MIG devices, and the MIG configs."""

from collections.abc import Mapping, Sequence
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
from gpu_core.pods.processes import PROC
from gpunode.output.flags import render_flags
from mig_manager.usage import UsageReader
from node_core.decode import parse_yaml, read_input
from node_core.errors import MigError, NodeError
from node_core.kubelet.podresources import SOCKET, list_pod_devices
from node_core.kubelet.sockets import DEVICE_PLUGIN_DIR
from node_core.runtime.command import parse_command

PROGRAM = "gpunode mig"
PLUGIN_FLAGS = ("simulate", "host_root", "lock_dir")
"""The flags that are passed on to the settings of gpu-device-plugin, for NVML and the host."""

Users = Mapping[str, tuple[str, ...]]
"""UUID of a GPU or MIG device -> the pods, `namespace/name`, and the processes outside of pods that use the device."""
_NO_PROC = Path("/dev/null")
"""The processes of a scenario do not exist."""


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
    with dependencies.nvml() as nvml:
        gpus, faults = read_mig_gpus(nvml)
    if not gpus and not faults:
        raise NodeError("this node has no GPU that supports MIG")
    users, notes = _read_users(dependencies, open_usage(dependencies, values["pod_resources_socket"]))
    return MigNode(
        gpus=gpus,
        faults=faults,
        users=users,
        notes=(*(f"{fault.name} cannot be read: {fault.reason}." for fault in faults), *notes),
        is_simulated=dependencies.simulated is not None,
    )


def open_dependencies(values: Mapping[str, Any]) -> Dependencies:
    """Raises SettingsError, and NodeError while NVML is released."""
    flags = render_flags(values, PLUGIN_FLAGS)
    dependencies = gpu_dependencies(parse_command(plugin_command, flags, PROGRAM) or {}, PROGRAM)
    released = [each.sentence for each in dependencies.nvml_release.requests if each.problem is None]
    if released:
        raise NodeError(f"NVML is released: {'; '.join(released)}", hint="run the command again afterwards")
    return dependencies


def open_usage(dependencies: Dependencies, socket: str | None) -> UsageReader:
    """socket: of the kubelet. None: the default, or only processes if the GPUs are simulated or the machine has no kubelet."""
    path = Path(socket) if socket else SOCKET
    has_pods = socket is not None or (dependencies.simulated is None and path.exists())
    return UsageReader(
        socket=path,
        folder=path.parent.parent / DEVICE_PLUGIN_DIR.name,
        proc=PROC if dependencies.simulated is None else _NO_PROC,
        list_pods=list_pod_devices if has_pods else lambda _: (),
    )


def read_file(file: str | None) -> MigConfigs:
    """Returns the configs of a file; none for None. `-` is standard input. Raises SettingsError."""
    return {} if file is None else decode_mig_configs(parse_yaml(read_input(file)), source=file)


def add_generated(configs: MigConfigs, gpus: Sequence[MigGpu]) -> MigConfigs:
    """Adds the configs of these GPUs that have other names."""
    return {**generate_configs(gpus), **configs}


def _read_users(dependencies: Dependencies, reader: UsageReader) -> tuple[Users, tuple[str, ...]]:
    """Returns the users, and sentences about what is not known."""
    notes = ("The GPUs are simulated.",) if dependencies.simulated else ()
    inventory = dependencies.inventory.discover()
    try:
        with dependencies.nvml() as nvml:
            usage = reader.read(nvml, inventory.gpus)
    except MigError as error:
        return {}, (f"{error.message[:1].upper()}{error.message[1:]}.", *notes)
    users = {
        uuid: tuple(f"{each.namespace}/{each.pod}" if each.pod else each.process for each in holders)
        for uuid, holders in usage.items()
    }
    return users, notes
