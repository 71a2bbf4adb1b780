"""Renders the exposition of a node with every field and a pod for each process, from any NVML."""

from collections.abc import Iterable, Iterator, Mapping

from gpu_core.domain.inventory import Gpu
from gpu_core.nvml.api import OpenNvml
from gpu_core.nvml.inventory import read_inventory
from gpu_core.pods.cgroups import PodCgroup, ProcessFacts
from gpu_core.pods.holders import PodIdentity
from gpu_exporter.counters_file import parse_counters
from gpu_exporter.pods.monitor import PodsSnapshot
from gpu_exporter.reader import Clocks, GpuReader, ReadingPlan
from gpu_exporter.reading import GpuReading, GpuState, Sample
from gpu_exporter.selection import KNOWN, select_series
from gpu_exporter.view import Known
from node_core.errors import NvmlError
from tests.gpu_core.pods.nodes import pod
from tests.gpu_exporter.views import expose

NOW = 100.0
"""Seconds since the start of the scenario, and of every clock."""
SELECTION = select_series(parse_counters("\n".join(f"{name}, gauge" for name in sorted(KNOWN)), KNOWN))


def read_facts(pids: Iterable[int]) -> Mapping[int, ProcessFacts]:
    return {pid: ProcessFacts(started=1.0, pods=(PodCgroup(f"uid-{pid}"),)) for pid in pids}


PLAN = ReadingPlan(
    fields=SELECTION.fields,
    read_facts=read_facts,
    clocks=Clocks(monotonic=lambda: NOW, wall=lambda: NOW, boot=lambda: NOW),
)


def expose_node(open_nvml: OpenNvml) -> str:
    """The exposition after two readings of each GPU. The second one is the first with means."""
    inventory = read_inventory(open_nvml, lambda _: None)
    states = tuple(_read(open_nvml, gpu) for gpu in inventory.gpus)
    known = Known(
        sample=Sample(gpus=states, faults=inventory.faults),
        pods=_snapshot(state.reading for state in states if state.reading),
        watched=frozenset(gpu.uuid for gpu in inventory.gpus),
        driver=inventory.driver.version if inventory.driver else "",
    )
    return expose(known, SELECTION)


def _read(open_nvml: OpenNvml, gpu: Gpu) -> GpuState:
    try:
        with open_nvml() as nvml:
            reader = GpuReader(nvml, gpu, PLAN)
            reader.read()
            reading = reader.read()
            reader.close()
    except NvmlError as error:
        return GpuState(gpu=gpu, fault=str(error))
    errors = dict.fromkeys(reading.errors, 1)
    return GpuState(gpu=gpu, reading=None if reading.is_lost else reading, fault=reading.fault, errors=errors)


def _snapshot(readings: Iterable[GpuReading]) -> PodsSnapshot:
    devices = {pid: device for reading in readings for pid, device in _devices(reading)}
    return PodsSnapshot(
        pods=tuple(pod(f"pod-{pid}", device) for pid, device in devices.items()),
        identities=tuple(PodIdentity(uid=f"uid-{pid}", namespace="team", name=f"pod-{pid}") for pid in devices),
        is_known=True,
    )


def _devices(reading: GpuReading) -> Iterator[tuple[int, str]]:
    """The pid of each process, with the UUID of its GPU or MIG device."""
    migs = {mig.gpu_instance: mig.uuid for mig in reversed(reading.gpu.mig_devices)}
    for device in reading.devices:
        uuid = device.gpu if device.gpu_instance is None else migs[device.gpu_instance]
        yield from ((process.pid, uuid) for process in device.processes)
