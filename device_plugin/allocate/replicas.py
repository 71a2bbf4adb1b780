"""Replicas of shared devices: which go together, and how many a container may have. PURE.

Counting is enough, since the replicas of one device are all alike. Source: k8s-device-plugin README, "Shared Access to GPUs".
"""

import heapq
from collections.abc import Collection, Iterable, Mapping, Sequence

from device_plugin.devices import Device, DeviceId, Offer, Policy


def why_refused(offer: Offer, devices: Mapping[DeviceId, Device], ids: Collection[str]) -> str | None:
    """Why one container may not have these ids together, or None."""
    if not offer.fail_requests_greater_than_one or len(ids) < 2:
        return None
    known = (devices.get(DeviceId(each)) for each in ids)
    if all(device is None or device.replica is None for device in known):
        return None
    return f"{len(ids)} devices are asked for, and of shared ones a container may have 1: more would not get it more of a GPU"


def choose_replicas(
    devices: Iterable[Device], free: Sequence[Device], fixed: Sequence[Device], count: int, policy: Policy
) -> tuple[Device, ...]:
    """`count` of `free` beside `fixed`. 0 <= count <= len(free). devices: all of the resource, in order; free: in their order.

    distributed: each from the device with the fewest replicas in use, of those the one with the fewest in this request, and the
    first. packed: each from the one with the most in use.
    """
    used = _counts(devices)
    groups: dict[str, list[Device]] = {}
    for device in reversed(free):
        groups.setdefault(device.uuid, []).append(device)
        used[device.uuid] -= 1
    taken = _counts(fixed)
    sign = 1 if policy == "distributed" else -1
    queue = [(sign * used[uuid], taken.get(uuid, 0), position, uuid) for position, uuid in enumerate(reversed(groups))]
    heapq.heapify(queue)
    chosen: list[Device] = []
    while len(chosen) < count:
        in_use, in_request, position, uuid = queue[0]
        chosen.append(groups[uuid].pop())
        if groups[uuid]:
            heapq.heapreplace(queue, (in_use + sign, in_request + 1, position, uuid))
        else:
            heapq.heappop(queue)
    return tuple(chosen)


def _counts(devices: Iterable[Device]) -> dict[str, int]:
    counts: dict[str, int] = {}
    for device in devices:
        counts[device.uuid] = counts.get(device.uuid, 0) + 1
    return counts
