"""Selects replicas of shared devices, and limits the number of replicas per container. PURE.

The selection only counts replicas, because all replicas of a device are equal. Source: k8s-device-plugin README, "Shared Access to GPUs".
"""

import heapq
from collections import Counter
from collections.abc import Collection, Iterable, Mapping, Sequence

from device_plugin.devices import Device, DeviceId, Policy, ResourceOffer


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
    used = Counter(device.uuid for device in devices)
    groups: dict[str, list[Device]] = {}
    for device in reversed(available):
        groups.setdefault(device.uuid, []).append(device)
        used[device.uuid] -= 1
    requested = Counter(device.uuid for device in required)
    sign = 1 if policy == "distributed" else -1
    queue = [(sign * used[uuid], requested[uuid], position, uuid) for position, uuid in enumerate(reversed(groups))]
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
