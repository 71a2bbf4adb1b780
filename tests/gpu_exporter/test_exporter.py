"""The exposition from memory: rendered once for each change, and consistent."""

import gzip
from concurrent.futures import ThreadPoolExecutor
from itertools import product

import pytest

from gpu_core.domain.inventory import MigUuid
from gpu_core.pods.cgroups import PodCgroup, ProcessFacts
from gpu_exporter import exporter
from gpu_exporter.exporter import SAMPLES_AHEAD, Exporter
from gpu_exporter.pods.monitor import PodsSnapshot
from gpu_exporter.render import render
from gpu_exporter.selection import select_series
from gpu_exporter.xids import GpuXids
from node_core.values import replace
from tests.gpu_core.pods.nodes import pod
from tests.gpu_exporter.readings import scenario
from tests.gpu_exporter.views import OPTIONS, WINDOW, expose, find, know, parse

NODE = scenario()
BUSY, MIG, _ = (gpu.uuid for gpu in NODE.gpus)


class Bench:
    """An exporter whose facts the test sets. renders: the formats that were rendered."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.known = know(NODE)
        self.renders: list[bool] = []
        self.exporter = Exporter(lambda: self.known, select_series(), OPTIONS, window_ms=WINDOW)
        real = render

        def count(*args: object, is_openmetrics: bool, **more: object) -> bytes:
            self.renders.append(is_openmetrics)
            return real(*args, is_openmetrics=is_openmetrics, **more)  # type: ignore[arg-type]

        monkeypatch.setattr(exporter, "render", count)


@pytest.fixture
def bench(monkeypatch: pytest.MonkeyPatch) -> Bench:
    return Bench(monkeypatch)


def test_all_four_bodies_need_two_renders(bench: Bench) -> None:
    bodies = {
        (openmetrics, zipped): bench.exporter.body(is_openmetrics=openmetrics, is_gzipped=zipped)
        for openmetrics, zipped in product((False, True), repeat=2)
    }
    assert sorted(bench.renders) == [False, True]
    for openmetrics in (False, True):
        assert gzip.decompress(bodies[openmetrics, True]) == bodies[openmetrics, False]
        assert bodies[openmetrics, False].decode() == expose(bench.known, is_openmetrics=openmetrics)
    assert 10 * len(bodies[False, True]) < len(bodies[False, False])


def test_a_scrape_without_a_change_renders_nothing(bench: Bench) -> None:
    first = bench.exporter.body()
    bench.known = know(NODE)  # equal values
    assert bench.exporter.body() is first
    assert bench.renders == [False]


def test_the_formats_of_the_last_scrapes_are_rendered_ahead(bench: Bench) -> None:
    bench.exporter.render_ahead()
    assert bench.renders == []
    bench.exporter.body(is_gzipped=True)
    bench.known = replace(bench.known, driver="580.1")
    bench.exporter.render_ahead()
    assert bench.renders == [False, False]
    assert gzip.decompress(bench.exporter.body(is_gzipped=True)).decode() == expose(bench.known)
    assert bench.renders == [False, False]


def test_without_further_scrapes_a_limited_number_is_rendered_ahead(bench: Bench) -> None:
    bench.exporter.body()
    for number in range(2 * SAMPLES_AHEAD):
        bench.known = replace(bench.known, driver=f"580.{number}")
        bench.exporter.render_ahead()
    assert len(bench.renders) == 1 + SAMPLES_AHEAD


@pytest.mark.parametrize(
    "change",
    [
        {"xids": {BUSY: GpuXids(last=79)}},
        {"watched": frozenset()},
        {"driver": "580.1"},
        {"pods": PodsSnapshot(pods=(pod("train", BUSY),), is_known=True)},
    ],
    ids=lambda change: next(iter(change)),
)
def test_each_change_is_in_the_next_scrape(bench: Bench, change: dict[str, object]) -> None:
    first = bench.exporter.body()
    bench.known = replace(bench.known, **change)  # type: ignore[arg-type]
    assert bench.exporter.body() != first


def test_many_scrapers_at_once_get_the_same_body_from_one_render(bench: Bench) -> None:
    with ThreadPoolExecutor(50) as pool:
        bodies = list(pool.map(lambda _: bench.exporter.body(), range(200)))
    assert len(set(bodies)) == 1
    assert bench.renders == [False]


def test_unknown_pods_are_no_pods() -> None:
    pods = PodsSnapshot(pods=(pod("train", BUSY),), is_known=False)
    assert "train" not in expose(know(NODE, pods=pods))


def test_pods_are_attributed_to_the_mig_devices_of_the_reading() -> None:
    """A discovery has found another MIG layout, and the next reading is not there yet."""
    known = know(NODE)
    state = known.sample.gpus[1]
    old = state.gpu.mig_devices[0]
    new = replace(old, uuid=MigUuid("MIG-new"), profile="4g.40gb", gpu_instance=old.gpu_instance)
    changed = replace(state, gpu=replace(state.gpu, mig_devices=(new,)))
    for device, expected in ((old.uuid, ["train"]), (new.uuid, [])):
        sample = replace(known.sample, gpus=(changed,))
        pods = PodsSnapshot(pods=(pod("train", device),), is_known=True)
        samples = parse(expose(replace(known, sample=sample, pods=pods)))
        used = find(samples, "DCGM_FI_DEV_FB_USED", UUID=MIG)
        assert [each.labels["GPU_I_PROFILE"] for each in used] == ["3g.40gb", "2g.20gb", "1g.10gb"]
        assert [each.labels["pod"] for each in used if "pod" in each.labels] == expected
        assert [each.labels["pod"] for each in find(samples, "gpunode_pod_gpu_info")] == expected


def test_the_use_of_pods_is_that_of_the_processes_of_the_reading() -> None:
    known = know(NODE, pods=PodsSnapshot(pods=(pod("train", BUSY), pod("serve", BUSY)), is_known=True))
    state = known.sample.gpus[0]
    assert state.reading is not None
    facts = {
        4242: ProcessFacts(started=0.0, pods=(PodCgroup("u1"),)),
        7: ProcessFacts(started=0.0, pods=(PodCgroup("u2"),)),
    }
    reading = replace(state.reading, processes=facts)
    text = expose(replace(known, sample=replace(known.sample, gpus=(replace(state, reading=reading),))))
    samples = parse(text)
    memory = find(samples, "gpunode_pod_gpu_memory_used_bytes")
    assert [(each.labels["pod_uid"], each.value) for each in memory] == [("u1", 10 << 30), ("u2", 1 << 30)]
    assert [each.value for each in find(samples, "gpunode_pod_gpu_sm_utilization_ratio")] == [0.35, 0.02]
    (used,) = find(samples, "DCGM_FI_DEV_FB_USED")
    assert sum(each.value for each in memory) == used.value * (1 << 20)
