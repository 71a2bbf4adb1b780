"""Registers the GPUs of the node in an NVML event set, each for the event types that the GPU supports.

Source: NVML API reference, nvmlEventSetCreate, nvmlDeviceGetSupportedEventTypes, nvmlDeviceRegisterEvents.
"""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress

import msgspec

from gpu_core.domain.inventory import GpuUuid, gpu_name
from gpu_core.nvml.api import ABSENT, FUNCTIONS, NOT_SUPPORTED, EventSet, EventType, Handle, Nvml
from node_core.errors import NvmlError


class StateChange(msgspec.Struct, frozen=True, kw_only=True):
    """The meaning of an event that is not an Xid. seconds: within which equal changes of a GPU are reported as one."""

    description: str
    seconds: float


STATE_CHANGES: Mapping[int, StateChange] = {
    EventType.MIG_CONFIG: StateChange(description="the MIG configuration changed", seconds=0.2),
    EventType.DOUBLE_BIT_ECC: StateChange(description="an uncorrectable ECC error occurred", seconds=1.0),
    EventType.SINGLE_BIT_ECC: StateChange(description="ECC errors were corrected", seconds=60.0),
    EventType.GPU_UNAVAILABLE: StateChange(description="the GPU is unavailable", seconds=1.0),
    EventType.RECOVERY_ACTION: StateChange(description="the recovery action changed", seconds=1.0),
}
EVENT_TYPES = int(EventType.XID) | sum(STATE_CHANGES)


class Registration(msgspec.Struct, frozen=True, kw_only=True):
    """gpus: UUID and handle of registered GPUs. unregistered: name -> why a GPU is not registered. should_retry: one of these may
    succeed later."""

    gpus: tuple[tuple[GpuUuid, Handle], ...]
    unregistered: Mapping[str, str]
    should_retry: bool

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


def register_gpus(nvml: Nvml, events: EventSet) -> Registration:
    """Registers all GPUs. Raises NvmlError if NVML does not report the number of GPUs."""
    gpus, unregistered, should_retry = [], {}, False
    for index in range(nvml.device_get_count()):
        uuid = None
        try:
            device = nvml.device_get_handle_by_index(index)
            uuid = GpuUuid(nvml.device_get_uuid(device))
            _register_gpu(nvml, events, device)
            gpus.append((uuid, device))
        except NvmlError as error:
            unregistered[gpu_name(uuid, index)] = str(error)
            should_retry |= error.code not in ABSENT
    return Registration(gpus=tuple(gpus), unregistered=unregistered, should_retry=should_retry)


def _register_gpu(nvml: Nvml, events: EventSet, device: Handle) -> None:
    types = nvml.device_get_supported_event_types(device) & EVENT_TYPES
    if not types:
        raise NvmlError(FUNCTIONS["device_register_events"], NOT_SUPPORTED)
    nvml.device_register_events(device, types, events)
