"""Selects the preferred devices of a container for GetPreferredAllocation. PURE. Never raises, for any request.

`links` selects whole GPUs, `pack` or `spread` selects MIG devices, `replicas` selects replicas of shared devices.
"""

from collections.abc import Mapping, Sequence
from typing import Literal

from device_plugin.allocate.links import choose_linked
from device_plugin.allocate.pack import choose_packed
from device_plugin.allocate.replicas import choose_replicas
from device_plugin.allocate.spread import choose_spread
from device_plugin.devices import Device, DeviceId, ResourceOffer

Method = Literal["links", "pack", "spread", "replicas"]
"""The module that selects the devices."""


def select_preferred_ids(
    offer: ResourceOffer,
    devices: Mapping[DeviceId, Device],
    available_ids: Sequence[str],
    required_ids: Sequence[str],
    size: int,
) -> tuple[str, ...]:
    """Returns up to `size` ids: all of `required_ids` first, then ids of `available_ids`. devices: the offer's devices, in order.

    Unknown and unhealthy ids are skipped: the kubelet adds the missing devices, and one unhealthy GPU must not block the others.
    The result does not depend on the order of the request.
    """
    required_ids = tuple(dict.fromkeys(required_ids))
    requested = {*available_ids, *required_ids}
    known = [device for id_, device in devices.items() if id_ in requested]
    required = [device for device in known if device.id in required_ids] if required_ids else []
    available = [device for device in known if device.why_unhealthy is None and device.id not in required_ids]
    count = min(max(0, size - len(required_ids)), len(available))
    return required_ids + tuple([device.id for device in _choose(offer, available, required, count)])


def select_method(offer: ResourceOffer, candidates: Sequence[Device]) -> Method:
    """candidates: the required and the available devices of a request."""
    if offer.sharing is not None:
        return "replicas"
    if len({device.gpu for device in candidates}) == len(candidates):
        return "links"
    return "pack" if offer.policy == "packed" else "spread"


def _choose(
    offer: ResourceOffer, available: Sequence[Device], required: Sequence[Device], count: int
) -> tuple[Device, ...]:
    match select_method(offer, (*required, *available)):
        case "replicas":
            return choose_replicas(offer.devices, available, required, count, offer.policy)
        case "links":
            return choose_linked(available, required, count)
        case "pack":
            return choose_packed(available, required, count)
        case "spread":
            return choose_spread(offer.devices, available, required, count)
