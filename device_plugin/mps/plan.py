"""What an MPS control daemon is told. PURE. Source: NVIDIA Multi-Process Service documentation, control daemon commands."""

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass

from device_plugin.allocate.strategies import MpsAccess
from device_plugin.devices import Offer, Plan
from node_core.domain.inventory import GpuUuid, Inventory
from node_core.domain.resources import ResourceName
from node_core.domain.sharing import SharingStrategy

INSIDE = "/mps"
"""Where containers, ours among them, see the MPS root."""
MIB = 1 << 20


@dataclass(frozen=True, slots=True, kw_only=True)
class MpsGpu:
    """memory_mib: None where the board does not say; then its memory is not limited. replicas: how many share it."""

    uuid: GpuUuid
    memory_mib: int | None
    replicas: int


@dataclass(frozen=True, slots=True, kw_only=True)
class MpsWanted:
    """gpus: in NVML's order, which is the order in which the daemon counts them."""

    resource: ResourceName
    gpus: tuple[MpsGpu, ...]

    @property
    def commands(self) -> tuple[str, ...]:
        """An equal share of memory for each client of a GPU, and of its threads for each client of the most shared one."""
        limits = (
            f"set_default_device_pinned_mem_limit {ordinal} {gpu.memory_mib // gpu.replicas}M"
            for ordinal, gpu in enumerate(self.gpus)
            if gpu.memory_mib
        )
        share = 100 // max(gpu.replicas for gpu in self.gpus)
        return (*limits, f"set_default_active_thread_percentage {max(1, share)}")

    @property
    def visible(self) -> str:
        """CUDA_VISIBLE_DEVICES of the daemon."""
        return ",".join(gpu.uuid for gpu in self.gpus)


def plan_mps(
    plan: Plan, inventory: Inventory, before: Mapping[ResourceName, MpsWanted] | None = None
) -> Mapping[ResourceName, MpsWanted]:
    """The daemons that the shared devices of a plan need.

    before: those that there are. A GPU of a plan that cannot be read just now keeps its place, so that one lost GPU does not end the
    daemon of all the others.
    """
    memory = {gpu.uuid: gpu.memory_mib for each in (before or {}).values() for gpu in each.gpus}
    memory |= {gpu.uuid: None if gpu.memory_bytes is None else gpu.memory_bytes // MIB for gpu in inventory.gpus}
    found = {resource: _wanted(resource, offer, memory) for resource, offer in plan.resources.items()}
    return {resource: wanted for resource, wanted in found.items() if wanted is not None}


def _wanted(resource: ResourceName, offer: Offer, memory: Mapping[GpuUuid, int | None]) -> MpsWanted | None:
    replicas = Counter(device.gpu for device in offer.devices if device.replica is not None)
    if offer.sharing is not SharingStrategy.MPS or not replicas:
        return None
    gpus = (MpsGpu(uuid=uuid, memory_mib=memory.get(uuid), replicas=count) for uuid, count in replicas.items())
    return MpsWanted(resource=resource, gpus=tuple(gpus))


def mps_access(resource: ResourceName, host_root: str) -> MpsAccess:
    """Where containers of this resource meet its daemon. host_root: the MPS root on the host (--mps-root)."""
    root = host_root.rstrip("/")
    return MpsAccess(pipe=f"{root}/{resource}/pipe", shm=f"{root}/shm", inside=f"{INSIDE}/{resource}/pipe")
