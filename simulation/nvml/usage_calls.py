"""The calls of the simulated NVML about the live use of a GPU."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from gpu_core.domain.usage import MemoryUsage, ProcessSample, RunningProcess, Utilization
from gpu_core.nvml.api import NOT_FOUND, NOT_SUPPORTED
from gpu_core.nvml.usage_api import Clock, FieldId, GpmSample, Handle, PcieCounter, Value
from simulation.nvml.session import INVALID_ARGUMENT, Device, SimulatedSession, error_of, require
from simulation.nvml.usage import UsageView


@dataclass(slots=True, kw_only=True)
class _Sample:
    """values: of the last gpm_sample_get; empty before."""

    values: Mapping[int, float] = field(default_factory=dict)


class SimulatedUsageCalls(SimulatedSession):
    def device_get_handle_by_uuid(self, uuid: str) -> Handle:
        method = "device_get_handle_by_uuid"
        self._check(method)
        for each in self._scenario.gpus:
            gpu = self._gpu_at(each.index)
            mig = next((mig for mig in gpu.mig_devices if mig.uuid == uuid), None)
            if mig is not None or gpu.uuid == uuid:
                self._check(method, gpu)
                return Device(session=self, gpu=each, mig=mig)
        raise error_of(method, NOT_FOUND)

    def device_get_field_values(self, device: Handle, fields: Sequence[FieldId]) -> tuple[Value, ...]:
        known = self._view("device_get_field_values", device).fields()
        return tuple(known.get(field_id, NOT_SUPPORTED) for field_id in fields)

    def device_get_clock_info(self, device: Handle, clock: Clock) -> int:
        method = "device_get_clock_info"
        return require(method, self._view(method, device).clock(clock))

    def device_get_temperature(self, device: Handle) -> int:
        method = "device_get_temperature"
        return require(method, self._view(method, device).temperature())

    def device_get_power_usage(self, device: Handle) -> int:
        method = "device_get_power_usage"
        return require(method, self._view(method, device).power())

    def device_get_utilization_rates(self, device: Handle) -> Utilization:
        method = "device_get_utilization_rates"
        return require(method, self._view(method, device).utilization())

    def device_get_encoder_utilization(self, device: Handle) -> int:
        method = "device_get_encoder_utilization"
        return require(method, self._view(method, device).encoder())

    def device_get_decoder_utilization(self, device: Handle) -> int:
        method = "device_get_decoder_utilization"
        return require(method, self._view(method, device).decoder())

    def device_get_memory_info(self, device: Handle) -> MemoryUsage:
        method = "device_get_memory_info"
        handle = self._handle(method, device)
        if handle.mig is None:
            return require(method, self._view(method, device).memory())
        return require(method, self._view_of(handle).mig_memory(self._mig(method, device)))

    def device_get_pcie_throughput(self, device: Handle, counter: PcieCounter) -> int:
        method = "device_get_pcie_throughput"
        return require(method, self._view(method, device).pcie(counter))

    def device_get_vgpu_license(self, device: Handle) -> bool:
        method = "device_get_vgpu_license"
        self._gpu(method, device)
        raise error_of(method, NOT_SUPPORTED)

    def device_get_compute_running_processes(self, device: Handle) -> tuple[RunningProcess, ...]:
        method = "device_get_compute_running_processes"
        return require(method, self._view(method, device).processes())

    def device_get_mps_compute_running_processes(self, device: Handle) -> tuple[RunningProcess, ...]:
        method = "device_get_mps_compute_running_processes"
        require(method, self._view(method, device).processes())
        return ()

    def device_get_graphics_running_processes(self, device: Handle) -> tuple[RunningProcess, ...]:
        method = "device_get_graphics_running_processes"
        require(method, self._view(method, device).processes())
        return ()

    def device_get_process_utilization(self, device: Handle, since: int) -> tuple[ProcessSample, ...]:
        method = "device_get_process_utilization"
        return require(method, self._view(method, device).samples(since))

    def gpm_query_device_support(self, device: Handle) -> bool:
        return self._view("gpm_query_device_support", device).has_gpm

    def gpm_sample_alloc(self) -> GpmSample:
        self._check("gpm_sample_alloc")
        return _Sample()

    def gpm_sample_free(self, sample: GpmSample) -> None:
        self._check("gpm_sample_free")
        sample.values = {}

    def gpm_sample_get(self, device: Handle, sample: GpmSample) -> None:
        self._take_sample("gpm_sample_get", device, None, sample)

    def gpm_mig_sample_get(self, device: Handle, gpu_instance: int, sample: GpmSample) -> None:
        method = "gpm_mig_sample_get"
        if gpu_instance not in {mig.gpu_instance for mig in self._gpu(method, device).mig_devices}:
            raise error_of(method, INVALID_ARGUMENT)
        self._take_sample(method, device, gpu_instance, sample)

    def gpm_metrics_get(self, before: GpmSample, after: GpmSample, metrics: Sequence[int]) -> tuple[Value, ...]:
        method = "gpm_metrics_get"
        self._check(method)
        if not before.values or not after.values:
            raise error_of(method, INVALID_ARGUMENT)
        return tuple(after.values.get(metric, NOT_SUPPORTED) for metric in metrics)

    def _take_sample(self, method: str, device: Handle, gpu_instance: int | None, sample: GpmSample) -> None:
        view = self._view(method, device)
        if not view.has_gpm or (gpu_instance is None and self._gpu_at(device.gpu.index).mig_enabled):
            raise error_of(method, NOT_SUPPORTED)
        sample.values = view.gpm(gpu_instance)

    def _view(self, method: str, device: Handle) -> UsageView:
        self._gpu(method, device)
        return self._view_of(device)

    def _view_of(self, device: Device) -> UsageView:
        gpu = self._gpu_at(device.gpu.index)
        return UsageView(self._scenario, gpu, self._health_of(gpu.index), self._clock())
