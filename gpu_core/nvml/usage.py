"""Reads the live use of one GPU: utilization, memory, power, temperature and processes.

Source: NVML API reference, device queries.
"""

from collections.abc import Iterator

from gpu_core.domain.inventory import Gpu
from gpu_core.domain.usage import GpuUsage, InstanceUsage, ProcessSample, RunningProcess, merge_processes
from gpu_core.nvml.api import Handle, Nvml
from gpu_core.nvml.queries import GpuQueries
from node_core.values import replace


class SampleReader:
    """Reads the samples of the processes of one GPU, each sample once."""

    def __init__(self) -> None:
        self._read_until = 0

    def read(self, nvml: Nvml, device: Handle, queries: GpuQueries) -> tuple[ProcessSample, ...] | None:
        """The samples since the last reading; None if NVML gives none, as in MIG mode."""
        samples = queries.query("samples", lambda: nvml.device_get_process_utilization(device, self._read_until))
        self._read_until = max((sample.at for sample in samples or ()), default=self._read_until)
        return samples


def read_usage(nvml: Nvml, device: Handle, gpu: Gpu, samples: SampleReader | None = None) -> GpuUsage:
    """Reads the use of a GPU and of its GPU instances. Never fails.

    samples: retained from reading to reading of the GPU, so that the utilization of its processes is the mean since the last reading.
    """
    queries = GpuQueries()
    power = queries.query("power", lambda: nvml.device_get_power_usage(device))
    processes = list_processes(nvml, device, queries)
    sampled = (samples or SampleReader()).read(nvml, device, queries) if processes and not gpu.mig_enabled else None
    usage = GpuUsage(
        gpu=gpu.uuid,
        utilization=queries.query("utilization", lambda: nvml.device_get_utilization_rates(device)),
        memory=queries.query("memory", lambda: nvml.device_get_memory_info(device)),
        power=None if power is None else power / 1000,
        temperature=queries.query("temperature", lambda: nvml.device_get_temperature(device)),
        processes=None if processes is None else merge_processes(processes, sampled),
        instances=tuple(_read_instances(nvml, gpu, queries)),
    )
    return replace(usage, fault=queries.fault)


def list_processes(nvml: Nvml, device: Handle, queries: GpuQueries) -> tuple[RunningProcess, ...] | None:
    """Lists the processes of a GPU and of its MIG devices. Returns None if NVML lists no kind of process.

    A process that computes and renders is listed twice, each time with its whole memory.
    """
    lists = (
        queries.query("compute", lambda: nvml.device_get_compute_running_processes(device)),
        queries.query("MPS", lambda: nvml.device_get_mps_compute_running_processes(device)),
        queries.query("graphics", lambda: nvml.device_get_graphics_running_processes(device)),
    )
    known = [each for each in lists if each is not None]
    return tuple(process for each in known for process in each) if known else None


def _read_instances(nvml: Nvml, gpu: Gpu, queries: GpuQueries) -> Iterator[InstanceUsage]:
    """One entry for each GPU instance. Every MIG device of an instance reports the memory of the instance."""
    devices = {each.gpu_instance: each.uuid for each in reversed(gpu.mig_devices)}
    for gpu_instance, uuid in sorted(devices.items()):
        memory = queries.query(
            uuid,
            lambda of=uuid: nvml.device_get_memory_info(nvml.device_get_handle_by_uuid(of)),  # type: ignore[misc]
        )
        yield InstanceUsage(gpu_instance=gpu_instance, memory=memory)
