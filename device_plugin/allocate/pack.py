"""Selects MIG devices on as few GPUs as possible, and on one NUMA node if this does not require another GPU. PURE."""

from collections.abc import Mapping, Sequence

from device_plugin.devices import Device
from gpu_core.domain.inventory import GpuUuid


def choose_packed(available: Sequence[Device], required: Sequence[Device], count: int) -> tuple[Device, ...]:
    """Returns `count` of `available` to add to `required`. 0 <= count <= len(available).

    GPUs of `required` are used first. Then the GPU with the fewest sufficient devices is used, so that idle GPUs remain idle. If no GPU
    has sufficient devices, the GPU with the most devices is used.
    """
    groups: dict[GpuUuid, list[Device]] = {}
    for device in available:
        groups.setdefault(device.gpu, []).append(device)
    used = {device.gpu for device in required}
    numa = {device.numa_node for device in required if device.numa_node is not None}
    chosen: list[Device] = []
    while len(chosen) < count:
        gpu = _next_gpu(groups, used, numa, count - len(chosen))
        added = groups.pop(gpu)[: count - len(chosen)]
        chosen += added
        numa |= {device.numa_node for device in added if device.numa_node is not None}
    return tuple(chosen)


def _next_gpu(groups: Mapping[GpuUuid, Sequence[Device]], used: set[GpuUuid], numa: set[int], missing: int) -> GpuUuid:
    def rank(gpu: GpuUuid) -> tuple[bool, bool, bool, int, bool, tuple[tuple[int, ...], str, int]]:
        group = groups[gpu]
        is_sufficient = len(group) >= missing
        return (
            gpu not in used,
            not is_sufficient,
            is_sufficient and group[0].numa_node not in numa,
            len(group) if is_sufficient else -len(group),
            group[0].numa_node not in numa,
            group[0].order,
        )

    return min(groups, key=rank)
