"""Selects MIG devices on as many GPUs as possible. PURE."""

from collections import Counter
from collections.abc import Iterable, Sequence

from device_plugin.devices import Device
from gpu_core.domain.inventory import GpuUuid


def choose_spread(
    devices: Iterable[Device], available: Sequence[Device], required: Sequence[Device], count: int
) -> tuple[Device, ...]:
    """Returns `count` of `available` to add to `required`. 0 <= count <= len(available). devices: all of the resource.

    Uses the GPU with the fewest devices in this request, then with the fewest devices in use, then the first one.
    """
    groups: dict[GpuUuid, list[Device]] = {}
    for device in reversed(available):
        groups.setdefault(device.gpu, []).append(device)
    in_request = Counter(device.gpu for device in required)
    in_use = Counter(device.gpu for device in devices) - Counter(device.gpu for device in (*available, *required))
    chosen: list[Device] = []
    while len(chosen) < count:
        gpu = min(groups, key=lambda gpu: (in_request[gpu], in_use[gpu], groups[gpu][-1].order))
        chosen.append(groups[gpu].pop())
        in_request[gpu] += 1
        if not groups[gpu]:
            del groups[gpu]
    return tuple(chosen)
