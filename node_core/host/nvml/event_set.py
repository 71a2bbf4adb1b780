"""An NVML event set with the GPUs of the node in it, each for what it supports.

Source: NVML API reference, nvmlEventSetCreate, nvmlDeviceGetSupportedEventTypes, nvmlDeviceRegisterEvents.
"""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass

from node_core.domain.inventory import GpuUuid
from node_core.errors import NvmlError
from node_core.host.nvml.api import ABSENT, FUNCTIONS, NOT_SUPPORTED, EventSet, EventType, Handle, Nvml


@dataclass(frozen=True, slots=True, kw_only=True)
class Change:
    """What an event that is no Xid says has changed. seconds: the period in which that is told once for each GPU."""

    what: str
    seconds: float


CHANGES: Mapping[int, Change] = {
    EventType.MIG_CONFIG: Change(what="its MIG configuration changed", seconds=0.2),
    EventType.DOUBLE_BIT_ECC: Change(what="it has an uncorrectable ECC error", seconds=1.0),
    EventType.SINGLE_BIT_ECC: Change(what="it corrected ECC errors", seconds=60.0),
    EventType.GPU_UNAVAILABLE: Change(what="it is unavailable", seconds=1.0),
    EventType.RECOVERY_ACTION: Change(what="its recovery action changed", seconds=1.0),
}
WANTED = int(EventType.XID) | sum(CHANGES)


@dataclass(frozen=True, slots=True, kw_only=True)
class Registered:
    """gpus: uuid and handle of those that tell events. silent: why others do not, by index. again: whether one of them may yet."""

    gpus: tuple[tuple[GpuUuid, Handle], ...]
    silent: Mapping[int, str]
    again: bool

    def uuid(self, device: Handle) -> GpuUuid | None:
        return next((uuid for uuid, handle in self.gpus if handle is device), None)


@contextmanager
def event_set(nvml: Nvml) -> Iterator[EventSet]:
    events = nvml.event_set_create()
    try:
        yield events
    finally:
        with suppress(NvmlError):
            nvml.event_set_free(events)


def register(nvml: Nvml, events: EventSet) -> Registered:
    """All GPUs, each for what it supports. Raises NvmlError where there is no count."""
    gpus, silent, again = [], {}, False
    for index in range(nvml.device_get_count()):
        try:
            gpus.append(_register_gpu(nvml, events, index))
        except NvmlError as error:
            silent[index] = str(error)
            again |= error.code not in ABSENT
    return Registered(gpus=tuple(gpus), silent=silent, again=again)


def _register_gpu(nvml: Nvml, events: EventSet, index: int) -> tuple[GpuUuid, Handle]:
    device = nvml.device_get_handle_by_index(index)
    uuid = GpuUuid(nvml.device_get_uuid(device))
    types = nvml.device_get_supported_event_types(device) & WANTED
    if not types:
        raise NvmlError(FUNCTIONS["device_register_events"], NOT_SUPPORTED)
    nvml.device_register_events(device, types, events)
    return uuid, device
