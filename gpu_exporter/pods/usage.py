"""Attributes what NVML reports for each process to pods. PURE.

Source: NVML API reference, nvmlDeviceGetComputeRunningProcesses and nvmlDeviceGetProcessUtilization.
"""

from collections.abc import Iterable, Iterator, Mapping

import msgspec

from gpu_core.pods.cgroups import ProcessFacts
from gpu_core.pods.holders import Holder, Holders


class GpuProcess(msgspec.Struct, frozen=True, kw_only=True):
    """An entry of nvmlDeviceGetComputeRunningProcesses or ...GraphicsRunningProcesses. memory_bytes: None if not available."""

    pid: int
    memory_bytes: int | None


class SmSample(msgspec.Struct, frozen=True, kw_only=True):
    """A sample of nvmlDeviceGetProcessUtilization. percent: smUtil. at: the time of the sample, in seconds of CLOCK_BOOTTIME."""

    pid: int
    percent: int
    at: float


class DeviceProcesses(msgspec.Struct, frozen=True, kw_only=True):
    """What NVML reports for a GPU, or for all compute instances of a GPU instance, at one time. A process may be in the list twice.

    queried_at: seconds of CLOCK_BOOTTIME before the first call. memory_used_bytes, sm_ratio: of the whole device; sm_ratio from 0 to 1.
    None if NVML does not support a value. samples: those since the previous call, in any order; None if not supported.
    """

    gpu: str
    gpu_instance: int | None = None
    queried_at: float
    memory_used_bytes: int | None = None
    sm_ratio: float | None = None
    processes: tuple[GpuProcess, ...] = ()
    samples: tuple[SmSample, ...] | None = None


class PodUsage(msgspec.Struct, frozen=True, kw_only=True):
    """What the processes of a container use of a device. holder: `pod` is empty if only the UID of the pod is known.

    memory_bytes: None if NVML does not report the memory of a process. sm_ratio: from 0 to 1; None if NVML reports no utilization.
    """

    holder: Holder
    gpu: str
    gpu_instance: int | None
    memory_bytes: int | None
    sm_ratio: float | None


def select_usage(
    devices: Iterable[DeviceProcesses], processes: Mapping[int, ProcessFacts], holders: Holders
) -> tuple[PodUsage, ...]:
    """Returns the usage of each container that has processes on a device.

    processes: pid -> process, for the pids that still exist. Processes outside of pods are ignored. So is a process that started after NVML
    reported its pid: the kernel has given the pid of another process to it. The values of a device never add up to more than the value of
    the device: NVML takes them at different times, and values that do are reduced in proportion.
    """
    return tuple(usage for device in devices for usage in _device_usage(device, processes, holders))


def _device_usage(
    device: DeviceProcesses, processes: Mapping[int, ProcessFacts], holders: Holders
) -> Iterator[PodUsage]:
    memory: dict[Holder, int | None] = {}
    for pid, used in _memory(device.processes).items():
        if (holder := _holder(processes.get(pid), device.queried_at, holders)) is not None:
            memory[holder] = _add(memory.get(holder, 0), used)
    percents: dict[Holder, int] = dict.fromkeys(memory, 0)
    for sample in _latest(device.samples or ()):
        if (holder := _holder(processes.get(sample.pid), sample.at, holders)) is not None:
            percents[holder] = percents.get(holder, 0) + sample.percent
    limited = _limit_memory(memory, device.memory_used_bytes)
    ratios = {} if device.samples is None else _limit_ratios(percents, device.sm_ratio)
    for holder in sorted(percents, key=_order):
        usage = PodUsage(
            holder=holder,
            gpu=device.gpu,
            gpu_instance=device.gpu_instance,
            memory_bytes=limited.get(holder),
            sm_ratio=ratios.get(holder),
        )
        if usage.memory_bytes is not None or usage.sm_ratio is not None:
            yield usage


def _memory(processes: Iterable[GpuProcess]) -> dict[int, int | None]:
    """Returns the memory of each pid. Both lists of NVML report the whole memory of a process that computes and renders."""
    found: dict[int, int | None] = {}
    for process in processes:
        known = (found.get(process.pid), process.memory_bytes)
        found[process.pid] = max((used for used in known if used is not None), default=None)
    return found


def _latest(samples: Iterable[SmSample]) -> Iterable[SmSample]:
    """Returns the latest sample of each pid."""
    return {sample.pid: sample for sample in sorted(samples, key=lambda sample: sample.at)}.values()


def _holder(process: ProcessFacts | None, at: float, holders: Holders) -> Holder | None:
    """Returns the pod of the process that had its pid at this time; None if that process has ended, or is in no pod."""
    return None if process is None or process.started > at else holders.of_process(process.pods)


def _add(one: int | None, other: int | None) -> int | None:
    return None if one is None or other is None else one + other


def _limit_memory(memory: Mapping[Holder, int | None], limit: int | None) -> dict[Holder, int]:
    known = {holder: used for holder, used in memory.items() if used is not None}
    total = sum(known.values())
    if limit is None or total <= limit:
        return known
    return {holder: used * limit // total for holder, used in known.items()}


def _limit_ratios(percents: Mapping[Holder, int], limit: float | None) -> dict[Holder, float]:
    """limit: None if NVML does not report the utilization of the device, which is at most 1."""
    total = sum(percents.values())
    most = 1.0 if limit is None else limit
    scale = 0.01 if total <= most * 100 else most / total
    return {holder: percent * scale for holder, percent in percents.items()}


def _order(holder: Holder) -> tuple[str, str, str, str]:
    return holder.namespace, holder.pod, holder.container, holder.pod_uid
