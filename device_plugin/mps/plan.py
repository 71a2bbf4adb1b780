"""Which MPS daemons a plan needs, with which settings. PURE. Source: NVIDIA MPS documentation, control daemon commands."""

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass

from device_plugin.allocate.strategies import MpsAccess
from device_plugin.devices import Plan
from gpu_core.domain.inventory import GpuUuid, Inventory
from gpu_core.domain.resources import ResourceName
from gpu_core.domain.sharing import SharingStrategy

MPS_MOUNT = "/mps"
"""The mount path of the MPS root in containers, including the plugin's own container."""
STARTING = "its MPS daemon is starting"
MIB = 1 << 20


@dataclass(frozen=True, slots=True, kw_only=True)
class MpsGpu:
    """memory_mib: None if NVML does not report it; the memory of clients is then not limited. replicas: how many clients share the GPU."""

    uuid: GpuUuid
    memory_mib: int | None
    replicas: int


@dataclass(frozen=True, slots=True, kw_only=True)
class MpsSettings:
    """The start parameters of a daemon. visible: CUDA_VISIBLE_DEVICES. commands: sent through the control program, in order."""

    visible: str
    commands: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class MpsDaemonSpec:
    """The desired daemon of one resource. gpus: in NVML's order, because the daemon numbers GPUs in this order."""

    resource: ResourceName
    gpus: tuple[MpsGpu, ...]

    @property
    def settings(self) -> MpsSettings:
        return MpsSettings(visible=",".join(gpu.uuid for gpu in self.gpus), commands=self._commands())

    def _commands(self) -> tuple[str, ...]:
        """Each client gets an equal share of memory, and an equal share of threads on the GPU with the most clients."""
        limits = (
            f"set_default_device_pinned_mem_limit {ordinal} {gpu.memory_mib // gpu.replicas}M"
            for ordinal, gpu in enumerate(self.gpus)
            if gpu.memory_mib
        )
        share = 100 // max(gpu.replicas for gpu in self.gpus)
        return (*limits, f"set_default_active_thread_percentage {max(1, share)}")


def plan_mps(
    plan: Plan, inventory: Inventory, before: Mapping[ResourceName, MpsDaemonSpec] | None = None
) -> Mapping[ResourceName, MpsDaemonSpec]:
    """Plans one daemon for each resource with devices that are shared by MPS.

    before: the daemons planned so far. A GPU that is temporarily unreadable remains in the specification, so that one lost GPU does not
    restart the daemon of the other GPUs.
    """
    memory = {gpu.uuid: gpu.memory_mib for each in (before or {}).values() for gpu in each.gpus}
    memory |= {gpu.uuid: None if gpu.memory_bytes is None else gpu.memory_bytes // MIB for gpu in inventory.gpus}
    specs = {}
    for resource, offer in plan.resources.items():
        replicas = Counter(device.gpu for device in offer.devices if device.replica is not None)
        if offer.sharing is SharingStrategy.MPS and replicas:
            gpus = (MpsGpu(uuid=uuid, memory_mib=memory.get(uuid), replicas=count) for uuid, count in replicas.items())
            specs[resource] = MpsDaemonSpec(resource=resource, gpus=tuple(gpus))
    return specs


def mps_access(resource: ResourceName, host_root: str) -> MpsAccess:
    """Returns the paths through which containers connect to the daemon. host_root: the MPS root on the host (--mps-root)."""
    root = host_root.rstrip("/")
    return MpsAccess(pipe=f"{root}/{resource}/pipe", shm=f"{root}/shm", container_pipe=f"{MPS_MOUNT}/{resource}/pipe")
