"""The live use of devices, from NVML on this node or from the metrics of gpu-exporter. PURE."""

from collections.abc import Iterable, Iterator, Mapping, Sequence

from gpu_core.domain.inventory import Gpu, Inventory, MigDevice
from gpu_core.domain.usage import GpuUsage, MemoryUsage
from gpu_core.pods.holders import Holders
from node_core.scheduling.objects import ApiStruct

MIB = 1 << 20


class DeviceUse(ApiStruct, frozen=True, omit_defaults=False):
    """The use of a GPU, or of a GPU instance. None: unknown.

    node: empty on this node. device: `GPU 0`, or `GPU 0 GI 3`. profile: of MIG devices. utilization: percent. power: watts. temperature:
    degrees Celsius. pods: `namespace/name`. problem: why values are missing, in a sentence without a period.
    """

    node: str
    device: str
    model: str
    profile: str = ""
    utilization: float | None = None
    memory_used_mib: int | None = None
    memory_total_mib: int | None = None
    power: float | None = None
    temperature: float | None = None
    pods: tuple[str, ...] = ()
    problem: str = ""


def describe_use(inventory: Inventory, usages: Mapping[str, GpuUsage], holders: Holders) -> tuple[DeviceUse, ...]:
    """Returns each GPU, followed by its GPU instances. usages: UUID of a GPU -> its use."""
    devices = [use for gpu in inventory.gpus for use in _gpu_uses(gpu, usages.get(gpu.uuid), holders)]
    faults = [
        DeviceUse(node="", device=f"GPU {fault.index}", model="", problem=f"cannot be read: {fault.reason}")
        for fault in inventory.faults
    ]
    return (*devices, *faults)


def _gpu_uses(gpu: Gpu, usage: GpuUsage | None, holders: Holders) -> Iterator[DeviceUse]:
    usage = usage or GpuUsage(gpu=gpu.uuid, fault="not read yet")
    used, total = _memory(usage.memory)
    yield DeviceUse(
        node="",
        device=f"GPU {gpu.index}",
        model=gpu.model,
        utilization=None if usage.utilization is None else usage.utilization.gpu,
        memory_used_mib=used,
        memory_total_mib=total,
        power=usage.power,
        temperature=usage.temperature,
        pods=_pods(holders, gpu.uuid, None),
        problem=usage.fault or "",
    )
    instances = {each.gpu_instance: each.memory for each in usage.instances}
    for instance, devices in sorted(_by_instance(gpu.mig_devices).items()):
        used, total = _memory(instances.get(instance))
        yield DeviceUse(
            node="",
            device=f"GPU {gpu.index} GI {instance}",
            model=gpu.model,
            profile=", ".join(sorted({each.profile or "unknown profile" for each in devices})),
            memory_used_mib=used,
            memory_total_mib=total,
            pods=_pods(holders, gpu.uuid, instance),
        )


def _by_instance(devices: Iterable[MigDevice]) -> dict[int, list[MigDevice]]:
    instances: dict[int, list[MigDevice]] = {}
    for device in devices:
        instances.setdefault(device.gpu_instance, []).append(device)
    return instances


def _memory(memory: MemoryUsage | None) -> tuple[int | None, int | None]:
    return (None, None) if memory is None else (memory.used // MIB, memory.total // MIB)


def _pods(holders: Holders, uuid: str, instance: int | None) -> tuple[str, ...]:
    return tuple(dict.fromkeys(f"{each.namespace}/{each.pod}" for each in holders.of_device(uuid, instance)))


def sort_uses(uses: Iterable[DeviceUse]) -> Sequence[DeviceUse]:
    """Sorts by node, and retains the order of the devices of a node."""
    return sorted(uses, key=lambda use: use.node)
