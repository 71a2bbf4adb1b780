"""Slices of GPUs on as few GPUs as possible, and on one NUMA node where that costs no GPU. PURE."""

from collections.abc import Mapping, Sequence

from device_plugin.devices import Device
from node_core.domain.inventory import GpuUuid


def choose_packed(free: Sequence[Device], fixed: Sequence[Device], count: int) -> tuple[Device, ...]:
    """`count` of `free` beside `fixed`. 0 <= count <= len(free).

    GPUs that `fixed` uses come first. Then the fullest GPU that has enough, so that whole GPUs stay whole; where none has enough,
    the one with the most.
    """
    groups: dict[GpuUuid, list[Device]] = {}
    for device in free:
        groups.setdefault(device.gpu, []).append(device)
    used = {device.gpu for device in fixed}
    numa = {device.numa_node for device in fixed if device.numa_node is not None}
    chosen: list[Device] = []
    while len(chosen) < count:
        gpu = _next_gpu(groups, used, numa, count - len(chosen))
        taken = groups.pop(gpu)[: count - len(chosen)]
        chosen += taken
        numa |= {device.numa_node for device in taken if device.numa_node is not None}
    return tuple(chosen)


def _next_gpu(groups: Mapping[GpuUuid, Sequence[Device]], used: set[GpuUuid], numa: set[int], missing: int) -> GpuUuid:
    def rank(gpu: GpuUuid) -> tuple[bool, bool, bool, int, bool, tuple[tuple[int, ...], str, int]]:
        group = groups[gpu]
        enough = len(group) >= missing
        return (
            gpu not in used,
            not enough,
            enough and group[0].numa_node not in numa,
            len(group) if enough else -len(group),
            group[0].numa_node not in numa,
            group[0].order,
        )

    return min(groups, key=rank)
