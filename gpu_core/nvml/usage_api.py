"""The NVML calls about the live use of a GPU: the part of `api.Nvml` that reads clocks, power, memory, processes and counters.

Source: NVML API reference, device queries, field value queries, GPM functions.
"""

from collections.abc import Mapping, Sequence
from enum import IntEnum
from typing import Any, NamedTuple, Protocol

from gpu_core.domain.usage import MemoryUsage, ProcessSample, RunningProcess, Utilization

Handle = Any
"""See `api.Handle`."""
GpmSample = Any
"""An opaque nvmlGpmSample_t of one session."""

ALL_LINKS = 0xFFFFFFFF
"""The scope of a field of NVLinks: the sum of all links (UINT_MAX)."""


class FieldId(NamedTuple):
    """number: NVML_FI_*. scope: the NVLink, for fields that need one."""

    number: int
    scope: int = 0


Value = int | float | str
"""A number, or the error code of the query, such as `NOT_SUPPORTED`."""


class Clock(IntEnum):
    """nvmlClockType_t."""

    SM = 1
    MEMORY = 2
    VIDEO = 3


class PcieCounter(IntEnum):
    """nvmlPcieUtilCounter_t."""

    TX = 0
    RX = 1


class UsageNvml(Protocol):
    """Each call may raise NvmlError; see `api`. A call that takes a MIG device says so."""

    def device_get_handle_by_uuid(self, uuid: str) -> Handle:
        """The handle of a GPU or of a MIG device. Raises NOT_FOUND."""
        ...

    def device_get_field_values(self, device: Handle, fields: Sequence[FieldId]) -> tuple[Value, ...]:
        """One value for each field, in one call. The value of a field that the driver does not know is NOT_SUPPORTED."""
        ...

    def device_get_clock_info(self, device: Handle, clock: Clock) -> int:
        """MHz."""
        ...

    def device_get_temperature(self, device: Handle) -> int:
        """Degrees Celsius, of the GPU's die."""
        ...

    def device_get_power_usage(self, device: Handle) -> int:
        """Milliwatts."""
        ...

    def device_get_utilization_rates(self, device: Handle) -> Utilization:
        """Raises NOT_SUPPORTED in MIG mode."""
        ...

    def device_get_encoder_utilization(self, device: Handle) -> int:
        """Percent."""
        ...

    def device_get_decoder_utilization(self, device: Handle) -> int:
        """Percent."""
        ...

    def device_get_memory_info(self, device: Handle) -> MemoryUsage:
        """The memory of a GPU, or of the GPU instance of a MIG device."""
        ...

    def device_get_pcie_throughput(self, device: Handle, counter: PcieCounter) -> int:
        """KB/s within 20 milliseconds, for which the call takes as long."""
        ...

    def device_get_vgpu_license(self, device: Handle) -> bool:
        """Whether the vGPU of this virtual machine has a license. Raises NOT_SUPPORTED for a GPU that needs none."""
        ...

    def device_get_compute_running_processes(self, device: Handle) -> tuple[RunningProcess, ...]: ...

    def device_get_mps_compute_running_processes(self, device: Handle) -> tuple[RunningProcess, ...]: ...

    def device_get_graphics_running_processes(self, device: Handle) -> tuple[RunningProcess, ...]: ...

    def device_get_process_utilization(self, device: Handle, since: int) -> tuple[ProcessSample, ...]:
        """The samples after `since`, in microseconds; 0 for all. Raises NOT_SUPPORTED in MIG mode."""
        ...

    def gpm_query_device_support(self, device: Handle) -> bool: ...

    def gpm_sample_alloc(self) -> GpmSample: ...

    def gpm_sample_free(self, sample: GpmSample) -> None: ...

    def gpm_sample_get(self, device: Handle, sample: GpmSample) -> None:
        """Fills the sample with the counters of a GPU without MIG mode."""
        ...

    def gpm_mig_sample_get(self, device: Handle, gpu_instance: int, sample: GpmSample) -> None:
        """Fills the sample with the counters of a GPU instance. device: the whole GPU."""
        ...

    def gpm_metrics_get(self, before: GpmSample, after: GpmSample, metrics: Sequence[int]) -> tuple[Value, ...]:
        """The means between two samples. metrics: NVML_GPM_METRIC_*; percent, or MiB/s."""
        ...


USAGE_FUNCTIONS: Mapping[str, str] = {
    "device_get_handle_by_uuid": "nvmlDeviceGetHandleByUUID",
    "device_get_field_values": "nvmlDeviceGetFieldValues",
    "device_get_clock_info": "nvmlDeviceGetClockInfo",
    "device_get_temperature": "nvmlDeviceGetTemperature",
    "device_get_power_usage": "nvmlDeviceGetPowerUsage",
    "device_get_utilization_rates": "nvmlDeviceGetUtilizationRates",
    "device_get_encoder_utilization": "nvmlDeviceGetEncoderUtilization",
    "device_get_decoder_utilization": "nvmlDeviceGetDecoderUtilization",
    "device_get_memory_info": "nvmlDeviceGetMemoryInfo",
    "device_get_pcie_throughput": "nvmlDeviceGetPcieThroughput",
    "device_get_vgpu_license": "nvmlDeviceGetGridLicensableFeatures",
    "device_get_compute_running_processes": "nvmlDeviceGetComputeRunningProcesses",
    "device_get_mps_compute_running_processes": "nvmlDeviceGetMPSComputeRunningProcesses",
    "device_get_graphics_running_processes": "nvmlDeviceGetGraphicsRunningProcesses",
    "device_get_process_utilization": "nvmlDeviceGetProcessUtilization",
    "gpm_query_device_support": "nvmlGpmQueryDeviceSupport",
    "gpm_sample_alloc": "nvmlGpmSampleAlloc",
    "gpm_sample_free": "nvmlGpmSampleFree",
    "gpm_sample_get": "nvmlGpmSampleGet",
    "gpm_mig_sample_get": "nvmlGpmMigSampleGet",
    "gpm_metrics_get": "nvmlGpmMetricsGet",
}
"""See `api.FUNCTIONS`."""
