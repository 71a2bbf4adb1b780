"""Reads one GPU with its GPU instances and processes in one NVML session. All parts of a reading belong to one MIG layout."""

import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from functools import partial

import msgspec

from gpu_core.domain.inventory import Gpu
from gpu_core.domain.usage import ProcessSample, RunningProcess
from gpu_core.nvml.api import NOT_FOUND, Handle, Nvml
from gpu_core.nvml.queries import GpuQueries
from gpu_core.nvml.usage import SampleReader, list_processes
from gpu_core.pods.cgroups import ProcessFacts
from gpu_core.pods.processes import read_processes
from gpu_exporter.fields import Field
from gpu_exporter.part_reader import PartReader
from gpu_exporter.pods.usage import DeviceProcesses, GpuProcess, SmSample
from gpu_exporter.reading import GpuReading, InstanceReading, Values, instance_profile
from node_core.errors import NvmlError
from node_core.values import replace

SLOW_SECONDS = 60.0
"""Slow fields are read once in each period. Periods begin at multiples, as readings do, so that delays do not add up."""
RETRY_SECONDS = 3600.0
"""After this time, queries that the board did not support are tried again."""
MAX_SAMPLE_AGE = 3600.0
OUTDATED = frozenset({NOT_FOUND, "INVALID_ARGUMENT", "UNINITIALIZED"})
"""Codes for the handle of a MIG device that no longer exists."""


class OutdatedLayoutError(Exception):
    """The MIG devices of the GPU have changed since the discovery."""


class Clocks(msgspec.Struct, frozen=True, kw_only=True):
    """In seconds. wall: Unix time. boot: CLOCK_BOOTTIME."""

    monotonic: Callable[[], float] = time.monotonic
    wall: Callable[[], float] = time.time
    boot: Callable[[], float] = lambda: time.clock_gettime(time.CLOCK_BOOTTIME)


class ReadingPlan(msgspec.Struct, frozen=True, kw_only=True):
    """What is read. with_processes: for the use of pods. read_facts: reads the processes with these pids from /proc."""

    fields: tuple[Field, ...]
    with_processes: bool = True
    read_facts: Callable[[Iterable[int]], Mapping[int, ProcessFacts]] = read_processes
    clocks: Clocks = Clocks()


class _Instance(msgspec.Struct, frozen=True, kw_only=True):
    gpu_instance: int
    profile: str | None
    part: PartReader


class GpuReader:
    """Opens the handles of a GPU and of its MIG devices. Raises NvmlError, or OutdatedLayoutError.

    is_layout_sure: discoveries have confirmed the MIG devices, so NVML answers queries about them with these errors for another reason.
    """

    def __init__(self, nvml: Nvml, gpu: Gpu, plan: ReadingPlan, *, is_layout_sure: bool = False) -> None:
        self._nvml, self._gpu, self._plan = nvml, gpu, plan
        self._is_layout_sure = is_layout_sure
        self._device = open_gpu(nvml, gpu)
        queries = GpuQueries()
        has_gpm = bool(queries.query("gpm", lambda: nvml.gpm_query_device_support(self._device)))
        links = gpu.switch_links + sum(peer.links for peer in gpu.peers)
        take = partial(nvml.gpm_sample_get, self._device)
        self._whole = PartReader(nvml, self._device, take, has_gpm=has_gpm, links=links)
        self._instances = tuple(self._open_instances(has_gpm=has_gpm))
        self._samples = SampleReader()
        self._slow: Values = {}
        self._slow_at: float | None = None
        self._retry_at = plan.clocks.monotonic() + RETRY_SECONDS

    @property
    def needs_second_reading(self) -> bool:
        """Whether the next reading is the first one with all values."""
        return any(part.needs_second_sample for part in self._parts)

    def read(self) -> GpuReading:
        """Reads the GPU. A failed query costs its own value alone. Raises OutdatedLayoutError."""
        for part in self._parts:
            part.begin()
        self._retry_unsupported()
        fields, is_slow_due = self._due_fields()
        whole = self._read_whole(fields, is_slow_due=is_slow_due)
        instances = tuple(self._read_instance(each, fields) for each in self._instances)
        devices = tuple(self._read_devices()) if self._plan.with_processes else ()
        pids = {process.pid for device in devices for process in device.processes}
        pids |= {sample.pid for device in devices for sample in device.samples or ()}
        self._check_layout()
        faults = (part.queries.fault for part in self._parts)
        return GpuReading(
            gpu=self._gpu,
            at=self._plan.clocks.wall(),
            values=whole,
            instances=instances,
            devices=devices,
            processes=self._plan.read_facts(pids) if pids else {},
            errors=frozenset((each.call, each.code) for part in self._parts for each in part.queries.errors.values()),
            fault=next(filter(None, faults), None),
            is_lost=any(part.queries.is_lost for part in self._parts),
        )

    def close(self) -> None:
        """Frees what NVML has allocated. Does not fail: the end of the session frees the rest."""
        for part in self._parts:
            with suppress(NvmlError):
                part.close()

    @property
    def _parts(self) -> tuple[PartReader, ...]:
        return (self._whole, *(each.part for each in self._instances))

    def _open_instances(self, *, has_gpm: bool) -> Iterator[_Instance]:
        """One for each GPU instance, with the handle of its first MIG device."""
        devices = {each.gpu_instance: each for each in reversed(self._gpu.mig_devices)}
        for number, mig in sorted(devices.items()):
            take = partial(self._nvml.gpm_mig_sample_get, self._device, number)
            try:
                handle = self._nvml.device_get_handle_by_uuid(mig.uuid)
            except NvmlError as error:
                if error.code in OUTDATED and not self._is_layout_sure:
                    raise OutdatedLayoutError(str(error)) from error
                raise
            part = PartReader(self._nvml, handle, take, has_gpm=has_gpm)
            yield _Instance(gpu_instance=number, profile=instance_profile(mig.profile), part=part)

    def _retry_unsupported(self) -> None:
        now = self._plan.clocks.monotonic()
        if now >= self._retry_at:
            self._retry_at = now + RETRY_SECONDS
            for part in self._parts:
                part.forget_unsupported()

    def _due_fields(self) -> tuple[Sequence[Field], bool]:
        """The fields to read now, and whether the slow ones are among them."""
        now, fields = self._plan.clocks.monotonic(), self._plan.fields
        if self._slow_at is None or now // SLOW_SECONDS > self._slow_at // SLOW_SECONDS:
            self._slow_at = now
            return fields, True
        return tuple(field for field in fields if not field.is_slow), False

    def _read_whole(self, fields: Sequence[Field], *, is_slow_due: bool) -> Values:
        """In MIG mode, fields of GPU instances have no value of the whole GPU."""
        own = [field for field in fields if not (self._instances and field.of_instance)]
        values = self._whole.read(own)
        if is_slow_due:
            slow = {field.key for field in own if field.is_slow}
            self._slow = {key: value for key, value in values.items() if key in slow}
        return {**self._slow, **values}

    def _read_instance(self, instance: _Instance, fields: Sequence[Field]) -> InstanceReading:
        is_lost = self._whole.queries.is_lost
        values = {} if is_lost else instance.part.read([field for field in fields if field.of_instance])
        return InstanceReading(gpu_instance=instance.gpu_instance, profile=instance.profile, values=values)

    def _read_devices(self) -> Iterator[DeviceProcesses]:
        """The processes of the GPU, or of each GPU instance."""
        queried_at = self._plan.clocks.boot()
        listed = list_processes(self._nvml, self._device, self._whole.queries)
        if listed is None:
            return
        if not self._gpu.mig_enabled:
            samples = self._samples.read(self._nvml, self._device, self._whole.queries)
            rates = self._whole.call("device_get_utilization_rates")
            yield replace(
                self._describe(self._whole, None, queried_at, listed),
                sm_ratio=None if rates is None else rates.gpu / 100,
                samples=None if samples is None else self._translate(samples),
            )
        for each in self._instances:
            of_instance = [process for process in listed if process.gpu_instance == each.gpu_instance]
            yield self._describe(each.part, each.gpu_instance, queried_at, of_instance)

    def _describe(
        self, part: PartReader, gpu_instance: int | None, queried_at: float, listed: Iterable[RunningProcess]
    ) -> DeviceProcesses:
        memory = part.call("device_get_memory_info")
        return DeviceProcesses(
            gpu=self._gpu.uuid,
            gpu_instance=gpu_instance,
            queried_at=queried_at,
            memory_used_bytes=None if memory is None else memory.used,
            processes=tuple(GpuProcess(pid=each.pid, memory_bytes=each.memory) for each in listed),
        )

    def _translate(self, samples: tuple[ProcessSample, ...]) -> tuple[SmSample, ...]:
        """NVML does not document the clock of its samples. Drivers use Unix time; for any other clock, the newest sample is from now."""
        clocks = self._plan.clocks
        wall, boot = clocks.wall(), clocks.boot()
        newest = max((sample.at for sample in samples), default=0)
        is_unix = 0 <= wall - newest / 1e6 <= MAX_SAMPLE_AGE
        now = wall if is_unix else newest / 1e6
        return tuple(SmSample(pid=each.pid, percent=each.sm, at=boot - (now - each.at / 1e6)) for each in samples)

    def _check_layout(self) -> None:
        errors = (error for each in self._instances for error in each.part.queries.errors.values())
        outdated = next((error for error in errors if error.code in OUTDATED), None)
        if outdated is not None and not self._is_layout_sure:
            raise OutdatedLayoutError(str(outdated))


def open_gpu(nvml: Nvml, gpu: Gpu) -> Handle:
    """The handle of a GPU. An integrated GPU without a UUID has an index only. Raises NvmlError."""
    if gpu.uuid.startswith("GPU-"):
        return nvml.device_get_handle_by_uuid(gpu.uuid)
    return nvml.device_get_handle_by_index(gpu.index)
