"""Selects replicas of shared devices, and limits the number of replicas per container. PURE.

The selection only counts replicas, because all replicas of a device are equal. Source: k8s-device-plugin README, "Shared Access to GPUs".
"""

import heapq
from collections import Counter, defaultdict
from collections.abc import Collection, Iterable, Mapping, Sequence
from operator import attrgetter

from device_plugin.devices import Device, DeviceId, Policy, ResourceOffer

_UUID = attrgetter("uuid")


def refusal_reason(offer: ResourceOffer, devices: Mapping[DeviceId, Device], ids: Collection[str]) -> str | None:
    """Returns why one container must not be allocated these ids together, or None."""
    if not offer.fail_requests_greater_than_one or len(ids) < 2:
        return None
    known = (devices.get(DeviceId(each)) for each in ids)
    if all(device is None or device.replica is None for device in known):
        return None
    return f"requested {len(ids)} shared devices, but a container may request only 1: more replicas do not provide more GPU time"


def choose_replicas(
    devices: Iterable[Device], available: Sequence[Device], required: Sequence[Device], count: int, policy: Policy
) -> tuple[Device, ...]:
    """Returns `count` of `available` to add to `required`. 0 <= count <= len(available). devices: all of the resource, in order.

    distributed: uses the device with the fewest replicas in use, then with the fewest replicas in this request, then the first one.
    packed: uses the device with the most replicas in use.
    """
    groups: defaultdict[str, list[Device]] = defaultdict(list)
    for device in available:
        groups[device.uuid].append(device)
    total, requested = Counter(map(_UUID, devices)), Counter(map(_UUID, required))
    sign, limit = 1 if policy == "distributed" else -1, len(required) + count + 1
    # One number for each device, (in use, in this request, position), because numbers compare faster than tuples.
    queue = [
        (sign * (total[uuid] - len(group)) * limit + requested[uuid]) * len(groups) + position
        for position, (uuid, group) in enumerate(groups.items())
    ]
    step = (sign * limit + 1) * len(groups)
    left = [group[::-1] for group in groups.values()]
    heapq.heapify(queue)
    chosen: list[Device] = []
    while len(chosen) < count:
        first = queue[0]
        group = left[first % len(left)]
        chosen.append(group.pop())
        if group:
            heapq.heapreplace(queue, first + step)
        else:
            heapq.heappop(queue)
    return tuple(chosen)
