"""Which of the free devices go together best. PURE and total: it never raises, whatever the kubelet asks.

Whole GPUs are chosen by `links`, slices of GPUs by `pack` or `spread`, replicas of shared devices by `replicas`.
"""

from collections.abc import Mapping, Sequence

from device_plugin.allocate.links import choose_linked
from device_plugin.allocate.pack import choose_packed
from device_plugin.allocate.replicas import choose_replicas
from device_plugin.allocate.spread import choose_spread
from device_plugin.devices import Device, DeviceId, Offer


def preferred_ids(
    offer: Offer, devices: Mapping[DeviceId, Device], available: Sequence[str], required: Sequence[str], size: int
) -> tuple[str, ...]:
    """`size` ids of `available`, with all of `required` first, or as many as there are. devices: of the offer, in its order.

    Unknown and unhealthy ids are passed over: the kubelet fills up what is missing, and one bad GPU must not stop the others.
    The answer does not depend on the order of the question.
    """
    wanted = tuple(dict.fromkeys(required))
    asked = {*available, *wanted}
    known = [device for id_, device in devices.items() if id_ in asked]
    fixed = [device for device in known if device.id in wanted]
    free = [device for device in known if device.healthy and device.id not in wanted]
    count = min(max(0, size - len(wanted)), len(free))
    return wanted + tuple(device.id for device in _choose(offer, free, fixed, count))


def _choose(offer: Offer, free: Sequence[Device], fixed: Sequence[Device], count: int) -> tuple[Device, ...]:
    if offer.sharing is not None:
        return choose_replicas(offer.devices, free, fixed, count, offer.policy)
    gpus = [device.gpu for device in (*fixed, *free)]
    if len(set(gpus)) == len(gpus):
        return choose_linked(free, fixed, count)
    if offer.policy == "packed":
        return choose_packed(free, fixed, count)
    return choose_spread(offer.devices, free, fixed, count)
