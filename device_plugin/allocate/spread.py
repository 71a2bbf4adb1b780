"""Slices of GPUs on as many GPUs as there are. PURE."""

from collections import Counter
from collections.abc import Iterable, Sequence

from device_plugin.devices import Device
from node_core.domain.inventory import GpuUuid


def choose_spread(
    devices: Iterable[Device], free: Sequence[Device], fixed: Sequence[Device], count: int
) -> tuple[Device, ...]:
    """`count` of `free` beside `fixed`. 0 <= count <= len(free). devices: all of the resource.

    Each from the GPU with the fewest in this request, of those the one with the fewest in use, and the first.
    """
    groups: dict[GpuUuid, list[Device]] = {}
    for device in reversed(free):
        groups.setdefault(device.gpu, []).append(device)
    in_request = Counter(device.gpu for device in fixed)
    in_use = Counter(device.gpu for device in devices) - Counter(device.gpu for device in (*free, *fixed))
    chosen: list[Device] = []
    while len(chosen) < count:
        gpu = min(groups, key=lambda gpu: (in_request[gpu], in_use[gpu], groups[gpu][-1].order))
        chosen.append(groups[gpu].pop())
        in_request[gpu] += 1
        if not groups[gpu]:
            del groups[gpu]
    return tuple(chosen)
