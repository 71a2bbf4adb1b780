"""The calls about live use through pynvml: types, units, older functions and error codes."""

from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import pynvml
import pytest

from gpu_core.domain.usage import MemoryUsage, ProcessSample, RunningProcess
from gpu_core.nvml.usage_api import ALL_LINKS, Clock, FieldId, PcieCounter
from node_core.errors import NvmlError
from tests.gpu_core.nvml.fake_pynvml import calls, raising

FIELD = FieldId(82)


def field_values(*values: Any) -> Callable[..., Any]:
    return lambda _, fields: list(values) if len(fields) == len(values) else pytest.fail("another number of values")


def value(kind: int, member: str, number: float, *, result: int = 0) -> Any:
    return pynvml.c_nvmlFieldValue_t(valueType=kind, nvmlReturn=result, value=pynvml.c_nvmlValue_t(**{member: number}))


@pytest.mark.parametrize(
    ("kind", "member", "number"),
    [
        (pynvml.NVML_VALUE_TYPE_DOUBLE, "dVal", 1.5),
        (pynvml.NVML_VALUE_TYPE_UNSIGNED_INT, "uiVal", 0xFFFFFFFF),
        (pynvml.NVML_VALUE_TYPE_UNSIGNED_LONG, "ulVal", 1 << 40),
        (pynvml.NVML_VALUE_TYPE_UNSIGNED_LONG_LONG, "ullVal", (1 << 64) - 1),
        (pynvml.NVML_VALUE_TYPE_SIGNED_LONG_LONG, "sllVal", -5),
        (pynvml.NVML_VALUE_TYPE_SIGNED_INT, "siVal", -7),
        (pynvml.NVML_VALUE_TYPE_UNSIGNED_SHORT, "usVal", 65535),
    ],
)
def test_a_field_value_is_read_by_its_type(kind: int, member: str, number: float) -> None:
    found = calls(nvmlDeviceGetFieldValues=field_values(value(kind, member, number)))
    assert found.device_get_field_values(object(), [FIELD]) == (number,)


@pytest.mark.parametrize(
    ("result", "code"),
    [
        (pynvml.NVML_ERROR_INVALID_ARGUMENT, "NOT_SUPPORTED"),
        (pynvml.NVML_ERROR_NOT_SUPPORTED, "NOT_SUPPORTED"),
        (pynvml.NVML_ERROR_GPU_IS_LOST, "GPU_IS_LOST"),
        (12345, "ERROR_12345"),
    ],
)
def test_a_field_has_its_own_error_code(result: int, code: str) -> None:
    good, failed = value(1, "uiVal", 3), value(1, "uiVal", 0, result=result)
    found = calls(nvmlDeviceGetFieldValues=field_values(good, failed))
    assert found.device_get_field_values(object(), [FIELD, FieldId(138, ALL_LINKS)]) == (3, code)


def test_a_value_that_is_not_a_number_is_an_error() -> None:
    found = calls(nvmlDeviceGetFieldValues=field_values(value(0, "dVal", float("nan"))))
    assert found.device_get_field_values(object(), [FIELD]) == ("UNKNOWN",)


def test_the_numbers_of_clocks_and_counters_match_pynvml() -> None:
    assert (Clock.SM, Clock.MEMORY, Clock.VIDEO) == (
        pynvml.NVML_CLOCK_SM,
        pynvml.NVML_CLOCK_MEM,
        pynvml.NVML_CLOCK_VIDEO,
    )
    assert (PcieCounter.TX, PcieCounter.RX) == (pynvml.NVML_PCIE_UTIL_TX_BYTES, pynvml.NVML_PCIE_UTIL_RX_BYTES)


@pytest.mark.parametrize("code", [pynvml.NVML_ERROR_FUNCTION_NOT_FOUND, 25])
def test_an_older_library_gives_the_memory_without_the_reserved_part(code: int) -> None:
    def read(_: object, version: int | None = None) -> Any:
        if version is not None:
            raise pynvml.NVMLError(code)
        return pynvml.c_nvmlMemory_t(total=9, used=4, free=5)

    assert calls(nvmlDeviceGetMemoryInfo=read).device_get_memory_info(object()) == MemoryUsage(total=9, used=4, free=5)


def test_a_lost_gpu_has_no_memory_of_an_older_kind() -> None:
    with pytest.raises(NvmlError, match="GPU_IS_LOST"):
        calls(nvmlDeviceGetMemoryInfo=raising(pynvml.NVML_ERROR_GPU_IS_LOST)).device_get_memory_info(object())


def process(pid: int, memory: int | None, instance: int) -> SimpleNamespace:
    return SimpleNamespace(pid=pid, usedGpuMemory=memory, gpuInstanceId=instance, computeInstanceId=instance)


def test_a_process_without_mig_has_no_instance_and_unknown_memory_is_none() -> None:
    listed = calls(nvmlDeviceGetComputeRunningProcesses_v3=lambda _: [process(1, None, 0xFFFFFFFF), process(2, 5, 3)])
    assert listed.device_get_compute_running_processes(object()) == (
        RunningProcess(pid=1),
        RunningProcess(pid=2, memory=5, gpu_instance=3, compute_instance=3),
    )


@pytest.mark.parametrize("kind", ["Compute", "MPSCompute", "Graphics"])
def test_the_second_version_lists_processes_with_older_libraries(kind: str) -> None:
    function = f"nvmlDeviceGet{kind}RunningProcesses"
    method = {"Compute": "compute", "MPSCompute": "mps_compute", "Graphics": "graphics"}[kind]
    missing = raising(pynvml.NVML_ERROR_FUNCTION_NOT_FOUND)
    older = calls(**{f"{function}_v3": missing, f"{function}_v2": lambda _: [process(2, 5, 0xFFFFFFFF)]})
    assert getattr(older, f"device_get_{method}_running_processes")(object()) == (RunningProcess(pid=2, memory=5),)
    oldest = calls(**{f"{function}_v3": missing, f"{function}_v2": missing})
    with pytest.raises(NvmlError, match=f"{function} returned FUNCTION_NOT_FOUND"):
        getattr(oldest, f"device_get_{method}_running_processes")(object())


def test_unused_samples_are_ignored() -> None:
    samples = [
        pynvml.c_nvmlProcessUtilizationSample_t(pid=pid, timeStamp=at, smUtil=9) for pid, at in ((4, 20), (0, 0))
    ]
    found = calls(nvmlDeviceGetProcessUtilization=lambda *_: samples).device_get_process_utilization(object(), 10)
    assert found == (ProcessSample(4, 20, 9),)


@pytest.mark.parametrize("code", [pynvml.NVML_ERROR_NOT_FOUND, pynvml.NVML_SUCCESS])
def test_no_samples_are_not_an_error(code: int) -> None:
    found = calls(nvmlDeviceGetProcessUtilization=raising(code)).device_get_process_utilization(object(), 0)
    assert found == ()


@pytest.mark.parametrize(("states", "licensed"), [((0, 0), False), ((0, 1), True), ((1,), True), ((), False)])
def test_a_vgpu_is_licensed_if_one_feature_is(states: tuple[int, ...], licensed: bool) -> None:
    features = pynvml.c_nvmlGridLicensableFeatures_v4_t(isGridLicenseSupported=1, licensableFeaturesCount=len(states))
    for place, state in enumerate(states):
        features.gridLicensableFeatures[place].featureState = state
    found = calls(nvmlDeviceGetGridLicensableFeatures=lambda _: features)
    assert found.device_get_vgpu_license(object()) is licensed


def test_a_gpu_that_needs_no_license_does_not_support_the_query() -> None:
    features = pynvml.c_nvmlGridLicensableFeatures_v4_t(isGridLicenseSupported=0)
    with pytest.raises(NvmlError, match="NOT_SUPPORTED"):
        calls(nvmlDeviceGetGridLicensableFeatures=lambda _: features).device_get_vgpu_license(object())


def test_each_gpm_metric_has_its_own_result() -> None:
    def compute(request: Any) -> Any:
        assert (request.version, request.numMetrics) == (pynvml.NVML_GPM_METRICS_GET_VERSION, 2)
        request.metrics[0].value = 12.5
        request.metrics[1].nvmlReturn = pynvml.NVML_ERROR_NOT_SUPPORTED
        return request

    sample = pynvml.c_nvmlGpmSample_t()
    assert calls(nvmlGpmMetricsGet=compute).gpm_metrics_get(sample, sample, (1, 20)) == (12.5, "NOT_SUPPORTED")
