"""Reads which pods and processes use each GPU and MIG device: from the kubelet, and from NVML for processes.

The kubelet knows a pod from the moment at which it gives the device to the pod. NVML knows processes that no pod has requested.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import suppress
from pathlib import Path

import msgspec

from gpu_core.domain.inventory import Gpu
from gpu_core.nvml.api import Nvml
from gpu_core.nvml.queries import GpuQueries
from gpu_core.nvml.usage import list_processes
from gpu_core.pods.cgroups import ProcessFacts
from gpu_core.pods.checkpoint import parse_checkpoint, read_checkpoint, select_identities
from gpu_core.pods.holders import Holders, PodIdentity, select_holders
from gpu_core.pods.processes import PROC, read_processes
from mig_manager.policy import Holder, Usage
from node_core.errors import KubeletError, MigError, NvmlError
from node_core.kubelet.podresources import PodDevices, list_pod_devices
from node_core.values import replace

Pids = Mapping[str, frozenset[int]]
"""UUID of a GPU or MIG device -> its processes."""
COMMAND_BYTES = 64


class UsageReader(msgspec.Struct, frozen=True, kw_only=True):
    """socket: of the kubelet's pod-resources API. folder: of the kubelet's device plugins, with the checkpoint. proc: of the host."""

    socket: Path
    folder: Path
    proc: Path = PROC
    list_pods: Callable[[Path], tuple[PodDevices, ...]] = list_pod_devices

    def read(self, nvml: Nvml, gpus: Iterable[Gpu]) -> Usage:
        """Raises MigError if the kubelet does not respond: without the pods, no device may be destroyed."""
        listed = tuple(gpus)
        try:
            pods = self.list_pods(self.socket)
        except KubeletError as error:
            why = f"the users of the MIG devices are not known: {error.message}"
            raise MigError(why, hint=error.hint or "check that the kubelet runs") from error
        pids = read_pids(nvml, listed)
        processes = read_processes({pid for each in pids.values() for pid in each}, self.proc)
        return select_usage(listed, pods, self._holders(listed, pods), pids, processes, self._name_process)

    def _holders(self, gpus: tuple[Gpu, ...], pods: tuple[PodDevices, ...]) -> Holders:
        """Returns the holders with the UIDs of the pods, by which a process belongs to its pod."""
        content = read_checkpoint(self.folder)
        identities: tuple[PodIdentity, ...] = ()
        with suppress(ValueError):  # the process is then named by its pid
            identities = select_identities(pods, parse_checkpoint(content) if content else ())
        return select_holders(pods, gpus, identities)

    def _name_process(self, pid: int) -> str:
        try:
            with (self.proc / str(pid) / "comm").open("rb") as file:
                command = file.read(COMMAND_BYTES).decode(errors="replace").strip()
        except OSError:
            command = ""
        return f"process {pid} ({command})" if command.isprintable() and command else f"process {pid}"


def read_pids(nvml: Nvml, gpus: Iterable[Gpu]) -> Pids:
    """Reads the processes of each device. A GPU that cannot be read has none: the driver itself refuses to destroy an instance in use."""
    found: dict[str, set[int]] = {}
    for gpu in gpus:
        uuids = {(each.gpu_instance, each.compute_instance): each.uuid for each in gpu.mig_devices}
        with suppress(NvmlError):
            device = nvml.device_get_handle_by_uuid(gpu.uuid)
            for process in list_processes(nvml, device, GpuQueries()) or ():
                instance, compute = process.gpu_instance, process.compute_instance
                key = None if instance is None or compute is None else (instance, compute)
                found.setdefault(gpu.uuid if key is None else uuids.get(key, gpu.uuid), set()).add(process.pid)
    return {uuid: frozenset(pids) for uuid, pids in found.items()}


def select_usage(
    gpus: Iterable[Gpu],
    pods: Iterable[PodDevices],
    holders: Holders,
    pids: Pids,
    processes: Mapping[int, ProcessFacts],
    name_process: Callable[[int], str],
) -> Usage:
    """Returns the users of each device. A process of a pod that the kubelet knows is reported as the pod."""
    listed = tuple(pods)
    found: dict[str, set[Holder]] = {uuid: {*users} for gpu in gpus for uuid, users in _pods_of(gpu, listed)}
    for uuid, each in pids.items():
        for pid in each:
            facts = processes.get(pid)
            holder = None if facts is None else holders.of_process(facts.pods)
            known = holder is not None and holder.pod
            user = Holder(namespace=holder.namespace, pod=holder.pod) if holder and known else None
            found.setdefault(uuid, set()).add(user or Holder(process=name_process(pid)))
    return {uuid: tuple(sorted(users)) for uuid, users in found.items() if users}


def _pods_of(gpu: Gpu, pods: tuple[PodDevices, ...]) -> Iterator[tuple[str, tuple[Holder, ...]]]:
    """Yields the pods of the whole GPU and of each MIG device, which also has the pods of its whole GPU instance."""
    parts = [
        (gpu.uuid, None, replace(gpu, mig_devices=())),
        *((each.uuid, each.gpu_instance, replace(gpu, mig_devices=(each,))) for each in gpu.mig_devices),
    ]
    for uuid, instance, part in parts:
        found = select_holders(pods, (part,)).of_device(gpu.uuid, instance)
        yield uuid, tuple({Holder(namespace=each.namespace, pod=each.pod) for each in found})
