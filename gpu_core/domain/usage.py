"""The live use of one GPU, as frozen values. None: the GPU, or the driver, does not report the value."""

from collections import defaultdict
from collections.abc import Iterable, Mapping
from typing import NamedTuple

import msgspec

from gpu_core.domain.inventory import GpuUuid
from node_core.values import replace


class MemoryUsage(msgspec.Struct, frozen=True, kw_only=True):
    """nvmlDeviceGetMemoryInfo, in bytes. reserved: by driver and firmware; None with drivers that count it as used."""

    total: int
    used: int
    free: int
    reserved: int | None = None


class Utilization(msgspec.Struct, frozen=True, kw_only=True):
    """nvmlDeviceGetUtilizationRates: percent of the time in which a kernel ran, and in which the memory was read or written."""

    gpu: int
    memory: int


class RunningProcess(msgspec.Struct, frozen=True, kw_only=True):
    """nvmlProcessInfo_t. memory: bytes; None if NVML does not report it. gpu_instance, compute_instance: None without MIG."""

    pid: int
    memory: int | None = None
    gpu_instance: int | None = None
    compute_instance: int | None = None


class ProcessSample(NamedTuple):
    """nvmlProcessUtilizationSample_t. at: microseconds of the CPU's clock. sm: percent of the multiprocessors."""

    pid: int
    at: int
    sm: int


class ProcessUsage(msgspec.Struct, frozen=True, kw_only=True):
    """The use of a GPU, or of a GPU instance, by one process. pid: in the host's PID namespace.

    sm: mean percent of the multiprocessors since the last reading; None in MIG mode.
    """

    pid: int
    memory: int | None = None
    gpu_instance: int | None = None
    compute_instance: int | None = None
    sm: float | None = None


class InstanceUsage(msgspec.Struct, frozen=True, kw_only=True):
    """The use of a GPU instance. gpu_instance: its id."""

    gpu_instance: int
    memory: MemoryUsage | None = None


class GpuUsage(msgspec.Struct, frozen=True, kw_only=True):
    """power: watts. temperature: degrees Celsius. processes: None if NVML does not list them. fault: the first failed query."""

    gpu: GpuUuid
    utilization: Utilization | None = None
    memory: MemoryUsage | None = None
    power: float | None = None
    temperature: int | None = None
    processes: tuple[ProcessUsage, ...] | None = None
    instances: tuple[InstanceUsage, ...] = ()
    fault: str | None = None


def merge_processes(
    processes: Iterable[RunningProcess], samples: Iterable[ProcessSample] | None
) -> tuple[ProcessUsage, ...]:
    """Returns one entry for each process and GPU instance, in the order of the ids. PURE.

    processes: with the same memory each time, if a process is listed several times. samples: since the last reading; None if NVML gives
    none. A listed process without a sample did not run: its `sm` is 0.
    """
    found: dict[tuple[int, int | None], RunningProcess] = {}
    for process in processes:
        key = (process.pid, process.gpu_instance)
        known = found.get(key, process)
        found[key] = replace(process, memory=_larger(process.memory, known.memory))
    means = None if samples is None else _mean_by_process(samples)
    ordered = sorted(
        found.values(), key=lambda each: (each.pid, -1 if each.gpu_instance is None else each.gpu_instance)
    )
    return tuple(_add_utilization(each, means) for each in ordered)


def _add_utilization(process: RunningProcess, means: Mapping[int, float] | None) -> ProcessUsage:
    return ProcessUsage(
        pid=process.pid,
        memory=process.memory,
        gpu_instance=process.gpu_instance,
        compute_instance=process.compute_instance,
        sm=None if means is None else means.get(process.pid, 0.0),
    )


def _larger(one: int | None, other: int | None) -> int | None:
    return max((each for each in (one, other) if each is not None), default=None)


def _mean_by_process(samples: Iterable[ProcessSample]) -> Mapping[int, float]:
    percents: defaultdict[int, list[int]] = defaultdict(list)
    for sample in samples:
        percents[sample.pid].append(sample.sm)
    return {pid: sum(each) / len(each) for pid, each in percents.items()}
