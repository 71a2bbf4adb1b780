"""The calls of `Nvml` about health: the state of a GPU, and events.

Source: NVML API reference, field value queries, event handling.
"""

import ctypes
from typing import Any

import msgspec

from gpu_core.nvml.api import (
    FUNCTION_NOT_FOUND,
    NOT_SUPPORTED,
    TIMEOUT,
    EventSet,
    FabricHealth,
    Handle,
    NvmlEvent,
    RemappedRows,
)
from gpu_core.nvml.calls import Calls
from node_core.errors import NvmlError

RECOVERY_ACTION = 230
_SUCCESS = 0
_NO_INSTANCE = 0xFFFFFFFF


class _Events(msgspec.Struct, frozen=True, kw_only=True):
    """raw: NVML's event set. devices: the registered handles, by target address."""

    raw: Any
    devices: dict[int | None, Handle] = msgspec.field(default_factory=dict)


class HealthCalls(Calls):
    def device_get_recovery_action(self, device: Handle) -> int:
        """A driver that does not support the field returns INVALID_ARGUMENT."""
        function = "nvmlDeviceGetFieldValues"
        value = self.call(function, device, [RECOVERY_ACTION])[0]
        if value.nvmlReturn == self._pynvml.NVML_ERROR_INVALID_ARGUMENT:
            raise NvmlError(function, NOT_SUPPORTED)
        if value.nvmlReturn != _SUCCESS:
            raise self.error(function, value.nvmlReturn)
        return int(value.value.uiVal)

    def device_get_fabric_health(self, device: Handle) -> FabricHealth:
        info = self._pynvml.c_nvmlGpuFabricInfo_v2_t()
        self.call("nvmlDeviceGetGpuFabricInfoV", device, ctypes.byref(info))
        return FabricHealth(state=int(info.state), status=int(info.status), mask=int(info.healthMask))

    def device_get_remapped_rows(self, device: Handle) -> RemappedRows:
        _correctable, _uncorrectable, pending, failed = self.call("nvmlDeviceGetRemappedRows", device)
        return RemappedRows(pending=bool(pending), failed=bool(failed))

    def device_get_retired_pages_pending(self, device: Handle) -> bool:
        return bool(self.call("nvmlDeviceGetRetiredPagesPendingStatus", device))

    def device_get_uncorrected_ecc_errors(self, device: Handle) -> int:
        kind, since = self._pynvml.NVML_MEMORY_ERROR_TYPE_UNCORRECTED, self._pynvml.NVML_VOLATILE_ECC
        return int(self.call("nvmlDeviceGetTotalEccErrors", device, kind, since))

    def device_get_clocks_event_reasons(self, device: Handle) -> int:
        """Uses the older name of the function if the library does not have the new one."""
        name = "nvmlDeviceGetCurrentClocksEventReasons"
        try:
            return int(self.call(name, device))
        except NvmlError as error:
            if error.code != FUNCTION_NOT_FOUND:
                raise
        return int(self.call("nvmlDeviceGetCurrentClocksThrottleReasons", device, reported_as=name))

    def device_get_supported_event_types(self, device: Handle) -> int:
        return int(self.call("nvmlDeviceGetSupportedEventTypes", device))

    def event_set_create(self) -> EventSet:
        return _Events(raw=self.call("nvmlEventSetCreate"))

    def event_set_free(self, events: EventSet) -> None:
        self.call("nvmlEventSetFree", events.raw)

    def device_register_events(self, device: Handle, types: int, events: EventSet) -> None:
        self.call("nvmlDeviceRegisterEvents", device, types, events.raw)
        events.devices[_target(device)] = device

    def event_set_wait(self, events: EventSet, milliseconds: int) -> NvmlEvent | None:
        try:
            raw = self.call("nvmlEventSetWait_v2", events.raw, milliseconds)
        except NvmlError as error:
            if error.code == TIMEOUT:
                return None
            raise
        return NvmlEvent(
            device=events.devices.get(_target(raw.device), raw.device),
            type=int(raw.eventType),
            data=int(raw.eventData),
            gpu_instance=_instance(raw.gpuInstanceId),
            compute_instance=_instance(raw.computeInstanceId),
        )


def _target(device: Handle) -> int | None:
    """The target address of a handle. Each event has a new pointer object with the same target."""
    return ctypes.cast(device, ctypes.c_void_p).value


def _instance(number: int) -> int | None:
    return None if number == _NO_INSTANCE else int(number)
