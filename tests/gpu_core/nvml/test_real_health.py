"""The calls about health and events through pynvml."""

import ctypes
from collections.abc import Callable
from typing import Any

import pynvml
import pytest

from gpu_core.nvml.api import NvmlEvent, RemappedRows
from gpu_core.nvml.real import PynvmlCalls
from node_core.errors import NvmlError
from tests.gpu_core.nvml.fake_pynvml import calls, raising


def field_value(value: int, code: int = 0) -> Callable[..., Any]:
    def get(_: object, fields: list[int]) -> list[Any]:
        assert fields == [230]
        return [pynvml.c_nvmlFieldValue_t(nvmlReturn=code, value=pynvml.c_nvmlValue_t(uiVal=value))]

    return get


def test_the_recovery_action_is_field_230() -> None:
    assert calls(nvmlDeviceGetFieldValues=field_value(4)).device_get_recovery_action(object()) == 4
    assert pynvml.NVML_FI_DEV_GET_GPU_RECOVERY_ACTION == 230


@pytest.mark.parametrize(
    ("value", "code"),
    [
        (pynvml.NVML_ERROR_INVALID_ARGUMENT, "NOT_SUPPORTED"),
        (pynvml.NVML_ERROR_NOT_SUPPORTED, "NOT_SUPPORTED"),
        (pynvml.NVML_ERROR_GPU_IS_LOST, "GPU_IS_LOST"),
    ],
    ids=["unknown field", "not supported", "lost"],
)
def test_a_field_value_has_its_own_error_code(value: int, code: str) -> None:
    with pytest.raises(NvmlError, match=f"nvmlDeviceGetFieldValues returned {code}"):
        calls(nvmlDeviceGetFieldValues=field_value(0, value)).device_get_recovery_action(object())


@pytest.mark.parametrize(
    ("result", "pending", "failed"),
    [((1, 2, 1, 0), True, False), ((0, 0, 0, 1), False, True)],
    ids=["pending", "failed"],
)
def test_remapped_rows_are_pending_or_failed(result: tuple[int, ...], pending: bool, failed: bool) -> None:
    rows = calls(nvmlDeviceGetRemappedRows=lambda _: result).device_get_remapped_rows(object())
    assert rows == RemappedRows(pending=pending, failed=failed)


def test_uncorrected_errors_since_the_driver_was_loaded_are_counted() -> None:
    queries: list[tuple[int, int]] = []

    def count(_: object, kind: int, since: int) -> int:
        queries.append((kind, since))
        return 7

    assert calls(nvmlDeviceGetTotalEccErrors=count).device_get_uncorrected_ecc_errors(object()) == 7
    assert queries == [(pynvml.NVML_MEMORY_ERROR_TYPE_UNCORRECTED, pynvml.NVML_VOLATILE_ECC)]


def test_the_older_name_of_the_clocks_reasons_is_used_with_older_libraries() -> None:
    older = calls(
        nvmlDeviceGetCurrentClocksEventReasons=raising(pynvml.NVML_ERROR_FUNCTION_NOT_FOUND),
        nvmlDeviceGetCurrentClocksThrottleReasons=lambda _: 0x40,
    )
    assert older.device_get_clocks_event_reasons(object()) == 0x40
    lost = calls(nvmlDeviceGetCurrentClocksEventReasons=raising(pynvml.NVML_ERROR_GPU_IS_LOST))
    with pytest.raises(NvmlError, match="GPU_IS_LOST"):
        lost.device_get_clocks_event_reasons(object())


def pointer(address: int) -> Any:
    return ctypes.cast(ctypes.c_void_p(address), pynvml.c_nvmlDevice_t)


def waiting(**event: Any) -> PynvmlCalls:
    return calls(
        nvmlEventSetCreate=object,
        nvmlDeviceRegisterEvents=lambda *_: None,
        nvmlEventSetWait_v2=lambda *_: pynvml.c_nvmlEventData_t(**event),
    )


def test_an_event_contains_the_registered_handle_and_the_mig_device() -> None:
    nvml = waiting(device=pointer(16), eventType=8, eventData=94, gpuInstanceId=3, computeInstanceId=0)
    events, handles = nvml.event_set_create(), [pointer(8), pointer(16)]
    for handle in handles:
        nvml.device_register_events(handle, 8, events)
    event = nvml.event_set_wait(events, 100)
    assert event == NvmlEvent(device=handles[1], type=8, data=94, gpu_instance=3, compute_instance=0)
    assert event.device is handles[1]


def test_an_event_of_a_whole_gpu_has_no_instances() -> None:
    nvml = waiting(
        device=pointer(16), eventType=8, eventData=79, gpuInstanceId=0xFFFFFFFF, computeInstanceId=0xFFFFFFFF
    )
    event = nvml.event_set_wait(nvml.event_set_create(), 100)
    assert event is not None
    assert (event.gpu_instance, event.compute_instance) == (None, None)


def test_a_timeout_of_the_wait_is_not_an_error() -> None:
    nvml = calls(nvmlEventSetCreate=object, nvmlEventSetWait_v2=raising(pynvml.NVML_ERROR_TIMEOUT))
    assert nvml.event_set_wait(nvml.event_set_create(), 1) is None
    broken = calls(nvmlEventSetCreate=object, nvmlEventSetWait_v2=raising(pynvml.NVML_ERROR_UNKNOWN))
    with pytest.raises(NvmlError, match="nvmlEventSetWait_v2 returned UNKNOWN"):
        broken.event_set_wait(broken.event_set_create(), 1)
