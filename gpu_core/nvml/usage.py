"""Reads the live use of one GPU: utilization, memory, power, temperature and processes.

Source: NVML API reference, device queries.
"""

from collections.abc import Iterator
from dataclasses import replace

from gpu_core.domain.inventory import Gpu
from gpu_core.domain.usage import GpuUsage, InstanceUsage, ProcessSample, ProcessUsage, merge_processes
from gpu_core.nvml.api import Handle, Nvml
from gpu_core.nvml.queries import GpuQueries


def read_usage(nvml: Nvml, device: Handle, gpu: Gpu, processes: "ProcessReader | None" = None) -> GpuUsage:
    """Reads the use of a GPU and of its GPU instances. Never fails. processes: retained from reading to reading of a GPU, for means."""
    queries = GpuQueries()
    power = queries.query(lambda: nvml.device_get_power_usage(device))
    reader = processes or ProcessReader()
    usage = GpuUsage(
        gpu=gpu.uuid,
        utilization=queries.query(lambda: nvml.device_get_utilization_rates(device)),
        memory=queries.query(lambda: nvml.device_get_memory_info(device)),
        power=None if power is None else power / 1000,
        temperature=queries.query(lambda: nvml.device_get_temperature(device)),
        processes=reader.read(nvml, device, queries, has_mig=gpu.mig_enabled),
        instances=tuple(_read_instances(nvml, gpu, queries)),
    )
    return replace(usage, fault=queries.fault)


class ProcessReader:
    """Reads the processes of one GPU again and again. The means of the processes count from the last reading."""

    def __init__(self) -> None:
        self._sampled_at = 0

    def read(
        self, nvml: Nvml, device: Handle, queries: GpuQueries, *, has_mig: bool
    ) -> tuple[ProcessUsage, ...] | None:
        """Reads the processes of the GPU and of its MIG devices. Returns None if NVML lists no kind of process."""
        lists = (
            queries.query(lambda: nvml.device_get_compute_running_processes(device)),
            queries.query(lambda: nvml.device_get_mps_compute_running_processes(device)),
            queries.query(lambda: nvml.device_get_graphics_running_processes(device)),
        )
        known = [each for each in lists if each is not None]
        if not known:
            return None
        has_samples = any(known) and not has_mig  # NVML has no samples of processes in MIG mode
        return merge_processes(known, self._read_samples(nvml, device, queries) if has_samples else None)

    def _read_samples(self, nvml: Nvml, device: Handle, queries: GpuQueries) -> tuple[ProcessSample, ...] | None:
        samples = queries.query(lambda: nvml.device_get_process_utilization(device, self._sampled_at))
        self._sampled_at = max((sample.at for sample in samples or ()), default=self._sampled_at)
        return samples


def _read_instances(nvml: Nvml, gpu: Gpu, queries: GpuQueries) -> Iterator[InstanceUsage]:
    """One entry for each GPU instance. Every MIG device of an instance reports the memory of the instance."""
    devices = {each.gpu_instance: each.uuid for each in reversed(gpu.mig_devices)}
    for gpu_instance, uuid in sorted(devices.items()):
        memory = queries.query(lambda of=uuid: nvml.device_get_memory_info(nvml.device_get_handle_by_uuid(of)))  # type: ignore[misc]
        yield InstanceUsage(gpu_instance=gpu_instance, memory=memory)
