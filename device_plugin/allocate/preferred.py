"""Which of the free devices go together best. PURE and total: it never raises, whatever the kubelet asks.

Whole GPUs are chosen by `links`, slices of GPUs by `pack`.
"""

from collections.abc import Mapping, Sequence

from device_plugin.allocate.links import choose_linked
from device_plugin.allocate.pack import choose_packed
from device_plugin.devices import Device, DeviceId


def preferred_ids(
    devices: Mapping[DeviceId, Device], available: Sequence[str], required: Sequence[str], size: int
) -> tuple[str, ...]:
    """`size` ids of `available`, with all of `required` first, or as many as there are.

    Unknown and unhealthy ids are passed over: the kubelet fills up what is missing, and one bad GPU must not stop the others.
    The answer does not depend on the order of the question.
    """
    wanted = tuple(dict.fromkeys(required))
    fixed = _known(devices, wanted)
    free = tuple(
        device for device in _known(devices, dict.fromkeys(available)) if device.healthy and device.id not in wanted
    )
    count = min(max(0, size - len(wanted)), len(free))
    gpus = [device.gpu for device in (*fixed, *free)]
    choose = choose_linked if len(set(gpus)) == len(gpus) else choose_packed
    return wanted + tuple(device.id for device in choose(free, fixed, count))


def _known(devices: Mapping[DeviceId, Device], ids: Sequence[str] | Mapping[str, None]) -> tuple[Device, ...]:
    known = (devices.get(DeviceId(each)) for each in ids)
    return tuple(sorted((device for device in known if device is not None), key=lambda device: device.order))
