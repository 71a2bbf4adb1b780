"""The calls of `Nvml` about live use.

Source: NVML API reference, device queries, field value queries, GPM functions.
"""

import math
from collections.abc import Sequence
from typing import Any

from gpu_core.domain.usage import MemoryUsage, ProcessSample, RunningProcess, Utilization
from gpu_core.nvml.api import FUNCTION_NOT_FOUND, NOT_FOUND, NOT_SUPPORTED
from gpu_core.nvml.calls import Calls
from gpu_core.nvml.usage_api import Clock, FieldId, GpmSample, Handle, PcieCounter, Value
from node_core.errors import NvmlError

_SUCCESS = 0
_MEMBERS = {0: "dVal", 1: "uiVal", 2: "ulVal", 3: "ullVal", 4: "sllVal", 5: "siVal", 6: "usVal"}
"""nvmlValueType_t -> member of nvmlValue_t."""
_OLDER = frozenset({FUNCTION_NOT_FOUND, "ARGUMENT_VERSION_MISMATCH"})
_NO_SAMPLES = frozenset({NOT_FOUND, "ERROR_0"})
"""pynvml raises success, which is 0, if there are no samples."""
_NO_INSTANCE = 0xFFFFFFFF


class UsageCalls(Calls):
    def device_get_handle_by_uuid(self, uuid: str) -> Handle:
        return self.call("nvmlDeviceGetHandleByUUID", uuid)

    def device_get_field_values(self, device: Handle, fields: Sequence[FieldId]) -> tuple[Value, ...]:
        """A driver that does not know a field returns INVALID_ARGUMENT for it."""
        values = self.call("nvmlDeviceGetFieldValues", device, list(fields))
        return tuple(self._value(each.nvmlReturn, _read_member(each)) for each in values)

    def device_get_clock_info(self, device: Handle, clock: Clock) -> int:
        return int(self.call("nvmlDeviceGetClockInfo", device, int(clock)))

    def device_get_temperature(self, device: Handle) -> int:
        return int(self.call("nvmlDeviceGetTemperature", device, self._pynvml.NVML_TEMPERATURE_GPU))

    def device_get_power_usage(self, device: Handle) -> int:
        return int(self.call("nvmlDeviceGetPowerUsage", device))

    def device_get_utilization_rates(self, device: Handle) -> Utilization:
        rates = self.call("nvmlDeviceGetUtilizationRates", device)
        return Utilization(gpu=int(rates.gpu), memory=int(rates.memory))

    def device_get_encoder_utilization(self, device: Handle) -> int:
        percent, _period = self.call("nvmlDeviceGetEncoderUtilization", device)
        return int(percent)

    def device_get_decoder_utilization(self, device: Handle) -> int:
        percent, _period = self.call("nvmlDeviceGetDecoderUtilization", device)
        return int(percent)

    def device_get_memory_info(self, device: Handle) -> MemoryUsage:
        """Uses the first version of the function if the library does not have the second."""
        name = "nvmlDeviceGetMemoryInfo"
        try:
            raw = self.call(name, device, self._pynvml.nvmlMemory_v2)
        except NvmlError as error:
            if error.code not in _OLDER:
                raise
            raw = self.call(name, device)
            return MemoryUsage(total=raw.total, used=raw.used, free=raw.free)
        return MemoryUsage(total=raw.total, used=raw.used, free=raw.free, reserved=raw.reserved)

    def device_get_pcie_throughput(self, device: Handle, counter: PcieCounter) -> int:
        return int(self.call("nvmlDeviceGetPcieThroughput", device, int(counter)))

    def device_get_vgpu_license(self, device: Handle) -> bool:
        function = "nvmlDeviceGetGridLicensableFeatures"
        found = self.call(function, device)
        if not found.isGridLicenseSupported:
            raise NvmlError(function, NOT_SUPPORTED)
        features = found.gridLicensableFeatures[: found.licensableFeaturesCount]
        return any(feature.featureState for feature in features)

    def device_get_compute_running_processes(self, device: Handle) -> tuple[RunningProcess, ...]:
        return self._processes("nvmlDeviceGetComputeRunningProcesses", device)

    def device_get_mps_compute_running_processes(self, device: Handle) -> tuple[RunningProcess, ...]:
        return self._processes("nvmlDeviceGetMPSComputeRunningProcesses", device)

    def device_get_graphics_running_processes(self, device: Handle) -> tuple[RunningProcess, ...]:
        return self._processes("nvmlDeviceGetGraphicsRunningProcesses", device)

    def device_get_process_utilization(self, device: Handle, since: int) -> tuple[ProcessSample, ...]:
        """NVML returns unused entries of the array with the time 0."""
        try:
            samples = self.call("nvmlDeviceGetProcessUtilization", device, since)
        except NvmlError as error:
            if error.code in _NO_SAMPLES:
                return ()
            raise
        return tuple(ProcessSample(each.pid, each.timeStamp, each.smUtil) for each in samples if each.timeStamp > since)

    def gpm_query_device_support(self, device: Handle) -> bool:
        return bool(self.call("nvmlGpmQueryDeviceSupport", device).isSupportedDevice)

    def gpm_sample_alloc(self) -> GpmSample:
        return self.call("nvmlGpmSampleAlloc")

    def gpm_sample_free(self, sample: GpmSample) -> None:
        self.call("nvmlGpmSampleFree", sample)

    def gpm_sample_get(self, device: Handle, sample: GpmSample) -> None:
        self.call("nvmlGpmSampleGet", device, sample)

    def gpm_mig_sample_get(self, device: Handle, gpu_instance: int, sample: GpmSample) -> None:
        self.call("nvmlGpmMigSampleGet", device, gpu_instance, sample)

    def gpm_metrics_get(self, before: GpmSample, after: GpmSample, metrics: Sequence[int]) -> tuple[Value, ...]:
        request = self._pynvml.c_nvmlGpmMetricsGet_t(
            version=self._pynvml.NVML_GPM_METRICS_GET_VERSION,
            numMetrics=len(metrics),
            sample1=before,
            sample2=after,
        )
        for place, metric in zip(request.metrics, metrics, strict=False):  # the array has a place for every metric
            place.metricId = metric
        self.call("nvmlGpmMetricsGet", request)
        found = request.metrics[: len(metrics)]
        return tuple(self._value(each.nvmlReturn, each.value) for each in found)

    def _value(self, result: int, value: float) -> Value:
        if result == self._pynvml.NVML_ERROR_INVALID_ARGUMENT:
            return NOT_SUPPORTED
        if result != _SUCCESS:
            return self._code(result)
        return value if math.isfinite(value) else "UNKNOWN"

    def _processes(self, function: str, device: Handle) -> tuple[RunningProcess, ...]:
        """Uses the second version of the function if the library does not have the third. Both have the same structure."""
        try:
            found = self.call(f"{function}_v3", device, reported_as=function)
        except NvmlError as error:
            if error.code != FUNCTION_NOT_FOUND:
                raise
            found = self.call(f"{function}_v2", device, reported_as=function)
        return tuple(map(_process, found))


def _process(raw: Any) -> RunningProcess:
    return RunningProcess(
        pid=raw.pid,
        memory=raw.usedGpuMemory,
        gpu_instance=_instance(raw.gpuInstanceId),
        compute_instance=_instance(raw.computeInstanceId),
    )


def _read_member(value: Any) -> int | float:
    number: int | float = getattr(value.value, _MEMBERS.get(value.valueType, "ullVal"))
    return number


def _instance(number: int) -> int | None:
    return None if number == _NO_INSTANCE else int(number)
