"""Makes every NVML call about live use, for all GPUs of a session, and returns the results as JSON values."""

from collections.abc import Callable, Iterator
from functools import partial
from typing import Any

import msgspec

from gpu_core.domain.inventory import Fault
from gpu_core.nvml.api import Handle, Nvml
from gpu_core.nvml.inventory import read_gpu
from gpu_core.nvml.usage import read_usage
from gpu_core.nvml.usage_api import ALL_LINKS, Clock, FieldId, PcieCounter
from node_core.errors import NvmlError

FIELDS = (
    *(FieldId(number) for number in range(300)),
    *(FieldId(number, ALL_LINKS) for number in (138, 139)),
)
METRICS = range(1, 70)


def read_all_usage(nvml: Nvml) -> Any:
    """For each GPU: function -> result or error code, and the GpuUsage."""
    found = [_read_gpu(nvml, index) for index in range(nvml.device_get_count())]
    return msgspec.json.decode(msgspec.json.encode(found))


def _read_gpu(nvml: Nvml, index: int) -> dict[str, Any]:
    device = nvml.device_get_handle_by_index(index)
    reading = read_gpu(nvml, index, lambda _: None)
    results = dict(_read_calls(nvml, device))
    if isinstance(reading, Fault | None):
        return results
    results["usage"] = read_usage(nvml, device, reading.gpu)
    if results["gpm"] is True:
        results["whole"] = _read_gpm(nvml, partial(nvml.gpm_sample_get, device))
        for mig in reading.gpu.mig_devices:
            results[f"slot {mig.slot}"] = _read_gpm(nvml, partial(nvml.gpm_mig_sample_get, device, mig.gpu_instance))
    return results


def _read_calls(nvml: Nvml, device: Handle) -> Iterator[tuple[str, Any]]:
    yield "fields", _call(nvml.device_get_field_values, device, FIELDS)
    for clock in Clock:
        yield f"clock {clock.name}", _call(nvml.device_get_clock_info, device, clock)
    for counter in PcieCounter:
        yield f"pcie {counter.name}", _call(nvml.device_get_pcie_throughput, device, counter)
    yield "temperature", _call(nvml.device_get_temperature, device)
    yield "power", _call(nvml.device_get_power_usage, device)
    yield "utilization", _call(nvml.device_get_utilization_rates, device)
    yield "encoder", _call(nvml.device_get_encoder_utilization, device)
    yield "decoder", _call(nvml.device_get_decoder_utilization, device)
    yield "memory", _call(nvml.device_get_memory_info, device)
    yield "license", _call(nvml.device_get_vgpu_license, device)
    yield "compute processes", _call(nvml.device_get_compute_running_processes, device)
    yield "MPS processes", _call(nvml.device_get_mps_compute_running_processes, device)
    yield "graphics processes", _call(nvml.device_get_graphics_running_processes, device)
    yield "samples", _call(nvml.device_get_process_utilization, device, 0)
    yield "gpm", _call(nvml.gpm_query_device_support, device)


def _read_gpm(nvml: Nvml, take: Callable[[Any], None]) -> Any:
    before, after = nvml.gpm_sample_alloc(), nvml.gpm_sample_alloc()
    try:
        empty = _call(nvml.gpm_metrics_get, before, after, METRICS)
        taken = [_call(take, sample) for sample in (before, after)]
        return [empty, *taken, _call(nvml.gpm_metrics_get, before, after, METRICS)]
    finally:
        nvml.gpm_sample_free(before)
        nvml.gpm_sample_free(after)


def _call(call: Callable[..., Any], *arguments: Any) -> Any:
    try:
        return call(*arguments)
    except NvmlError as error:
        return error.code
