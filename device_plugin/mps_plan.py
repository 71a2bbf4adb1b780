"""Which MPS daemons a plan needs. PURE."""

from collections import Counter
from collections.abc import Mapping

from device_plugin.devices import Plan
from gpu_core.domain.inventory import Inventory
from gpu_core.domain.resources import ResourceName
from gpu_core.domain.sharing import SharingStrategy
from gpu_core.mps.spec import MpsDaemonSpec, MpsGpu

MIB = 1 << 20


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
