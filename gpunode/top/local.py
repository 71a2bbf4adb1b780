"""Reads the use of the GPUs of this node from NVML, and the pods that have them from the kubelet.

Each reading opens NVML and closes it again, so that `gpunode release` need not wait for this program.
"""

from collections.abc import Sequence
from pathlib import Path

from device_plugin.__main__ import command as plugin_command
from gpu_core.assembly import Dependencies, gpu_dependencies
from gpu_core.domain.inventory import Gpu, Inventory
from gpu_core.domain.usage import GpuUsage
from gpu_core.nvml.api import Nvml
from gpu_core.nvml.usage import read_usage
from gpu_core.pods.holders import Holders, select_holders
from gpunode.top.use import DeviceUse, describe_use
from node_core.errors import KubeletError, NodeError, NvmlError
from node_core.kubelet.podresources import SOCKET, list_pod_devices
from node_core.runtime.command import parse_command

PROGRAM = "gpunode top"


class LocalReader:
    """The node on which the program runs. Used by one thread."""

    def __init__(self, dependencies: Dependencies, pod_resources: Path = SOCKET) -> None:
        self._dependencies = dependencies
        self._pod_resources = pod_resources
        self.notes: tuple[str, ...] = ()

    def read(self) -> tuple[DeviceUse, ...]:
        """Returns the devices. Afterwards `notes` has sentences about what is not known. Raises NodeError if the GPUs cannot be read."""
        released = [each.sentence for each in self._dependencies.nvml_release.requests if each.problem is None]
        if released:
            raise NodeError(f"NVML is released: {'; '.join(released)}", hint="the use is shown again afterwards")
        inventory = self._dependencies.inventory.discover()
        if not inventory.gpus and not inventory.faults:
            raise NodeError("this node has no NVIDIA GPU", hint="set --node or -l to see other nodes")
        self._dependencies.inventory.invalidate()
        with self._dependencies.nvml() as nvml:
            usages = {str(gpu.uuid): self._read_gpu(nvml, gpu) for gpu in inventory.gpus}
        return describe_use(inventory, usages, self._read_holders(inventory))

    def _read_gpu(self, nvml: Nvml, gpu: Gpu) -> GpuUsage:
        try:
            handle = nvml.device_get_handle_by_uuid(gpu.uuid)
        except NvmlError as error:
            return GpuUsage(gpu=gpu.uuid, fault=str(error))
        return read_usage(nvml, handle, gpu)

    def _read_holders(self, inventory: Inventory) -> Holders:
        self.notes = ()
        if inventory.simulated:
            self.notes = ("The GPUs are simulated.",)
        try:
            return select_holders(list_pod_devices(self._pod_resources), inventory.gpus)
        except KubeletError as error:
            if not inventory.simulated:
                self.notes = (f"The pods are not known: {error}.",)
            return Holders()


def open_local(flags: Sequence[str], pod_resources: str | None) -> LocalReader:
    """flags: of gpu-device-plugin, for NVML and the host. Raises SettingsError."""
    values = parse_command(plugin_command, flags, PROGRAM) or {}
    return LocalReader(gpu_dependencies(values, PROGRAM), Path(pod_resources) if pod_resources else SOCKET)
