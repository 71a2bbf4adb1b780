"""What the exporter knows about the GPUs of a scenario, without threads."""

from collections.abc import Iterable
from typing import Any

from prometheus_client.openmetrics.parser import text_string_to_metric_families as parse_openmetrics
from prometheus_client.parser import text_string_to_metric_families as parse_text
from prometheus_client.samples import Sample as Parsed

from gpu_exporter.device_labels import LabelOptions
from gpu_exporter.pods.monitor import PodsSnapshot
from gpu_exporter.reader import GpuReader
from gpu_exporter.reading import GpuState, Sample
from gpu_exporter.render import render
from gpu_exporter.selection import Selection, select_series
from gpu_exporter.view import Known, make_view
from node_core.values import replace
from simulation.scenarios.scenario import Scenario
from tests.gpu_exporter.readings import Node, inventory_of

OPTIONS = LabelOptions(hostname="n1")
WINDOW = 300_000


def read_states(node: Scenario, selection: Selection | None = None) -> tuple[GpuState, ...]:
    """The states after two readings, 30 s apart. The second one is the first with means."""
    if node.driver is None:
        return ()
    time = Node(node, (selection or select_series()).fields)
    gpus = inventory_of(node, time.now).gpus
    readers = [GpuReader(time.nvml, gpu, time.plan) for gpu in gpus]
    for reader in readers:
        reader.read()
    time.now += 30
    return tuple(GpuState(gpu=gpu, reading=each.read()) for gpu, each in zip(gpus, readers, strict=True))


def know(node: Scenario, **more: Any) -> Known:
    """`more` replaces parts of it."""
    states = read_states(node)
    return Known(
        **{
            "sample": Sample(gpus=states),
            "pods": PodsSnapshot(is_known=True),
            "watched": frozenset(state.gpu.uuid for state in states),
            "driver": node.driver.version if node.driver else "",
            "is_simulated": True,
            **more,
        }
    )


def expose(
    known: Known,
    selection: Selection | None = None,
    options: LabelOptions = OPTIONS,
    *,
    is_openmetrics: bool = False,
) -> str:
    view = make_view(known)
    return render(view, selection or select_series(), options, window_ms=WINDOW, is_openmetrics=is_openmetrics).decode()


def parse(text: str) -> list[Parsed]:
    """Parses either format, and checks that each series is unique, as Prometheus does."""
    families = parse_openmetrics(text) if text.endswith("# EOF\n") else parse_text(text)
    samples = [sample for family in families for sample in family.samples]
    series = [(sample.name, tuple(sorted(sample.labels.items()))) for sample in samples]
    assert len(series) == len(set(series))
    return samples


def find(samples: Iterable[Parsed], name: str, **labels: str) -> list[Parsed]:
    """The samples of a name that have these labels."""
    return [each for each in samples if each.name == name and labels.items() <= each.labels.items()]


def values(samples: Iterable[Parsed], name: str, **labels: str) -> list[float]:
    return [each.value for each in find(samples, name, **labels)]


def lose(known: Known, index: int, fault: str = "it is lost") -> Known:
    """The same with a GPU that cannot be read."""
    states = [
        replace(state, reading=None, fault=fault) if state.gpu.index == index else state for state in known.sample.gpus
    ]
    return replace(known, sample=replace(known.sample, gpus=tuple(states)))
