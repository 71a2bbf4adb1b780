"""The sampler: one thread for each GPU, which follow discoveries, and whose sessions are released together."""

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import SimpleNamespace
from typing import Any

import pytest

from gpu_core.domain.inventory import Fault, Gpu, GpuUuid, Inventory
from gpu_core.nvml.api import Nvml
from gpu_core.nvml.sessions import SessionCounter
from gpu_exporter.gpu_thread import HANG_SECONDS, GpuThread
from gpu_exporter.reading import Sample
from gpu_exporter.sampler import Sampler
from node_core.values import replace
from simulation.nvml.library import changing_nvml
from simulation.scenarios.scenario import Scenario
from tests.gpu_exporter.readings import inventory_of, scenario
from tests.gpu_exporter.test_gpu_thread import PLAN, nap
from tests.waiting import until


class Node:
    """A sampler of a scenario, whose time the test sets."""

    def __init__(self, node: Scenario) -> None:
        self.node, self.now, self.clock = node, 0.0, 0.0
        self.hanging = threading.Event()
        self.sessions = SessionCounter()
        self.samples = 0
        self.sampler = Sampler(self.create, on_sample=self.count, sleep=nap)
        self.sessions.add_holder(self.sampler)

    def count(self) -> None:
        self.samples += 1

    def create(self, gpu: Gpu, on_reading: Callable[[], None]) -> GpuThread:
        return GpuThread(gpu, PLAN, self.open, interval=0.001, on_reading=on_reading, clock=lambda: self.clock)

    def hang(self, seconds: float) -> None:
        self.hanging.set()
        nap(seconds)

    @contextmanager
    def open(self) -> Iterator[Nvml]:
        with self.sessions.count(), changing_nvml(lambda: self.node, lambda: self.now, self.hang)() as nvml:
            yield nvml

    def inventory(self) -> Inventory:
        return inventory_of(self.node, self.now)

    def follow(self) -> None:
        self.sampler.follow(self.inventory())

    def readings(self) -> list[bool]:
        """Whether each GPU has a reading."""
        return [state.reading is not None for state in self.sampler.sample().gpus]

    def until_readings(self, *expected: bool) -> None:
        until(lambda: self.readings() == [*expected], self.sampler.sample)


@contextmanager
def running(*faults: dict[str, object]) -> Iterator[Node]:
    node = Node(scenario(*faults))
    node.sampler.start()
    node.follow()
    try:
        node.until_readings(True, True, True)
        yield node
    finally:
        node.now = 1e9
        node.sampler.stop()
        assert node.sessions.wait_until_none(60)


def test_without_a_discovery_nothing_is_sampled() -> None:
    sampler = Sampler(lambda _: pytest.fail("no GPU is known"))
    sampler.start()
    assert sampler.sample() == Sample()
    assert sampler.release()
    sampler.acquire()
    sampler.stop()
    assert sampler.liveness_problem() is None


def test_each_gpu_is_sampled_in_the_order_of_nvml() -> None:
    with running() as node:
        assert [state.gpu.index for state in node.sampler.sample().gpus] == [0, 1, 2]
        assert node.sampler.liveness_problem() is None


def test_the_last_gpu_that_is_read_completes_the_sample() -> None:
    samples = list[int]()
    sampler = Sampler(lambda *_: pytest.fail("no GPU is new"), on_sample=lambda: samples.append(1))
    busy, done = (SimpleNamespace(is_reading=is_reading) for is_reading in (True, False))
    threads: Any = {"GPU-0": busy, "GPU-1": done}
    sampler._threads = threads
    sampler._complete()
    assert samples == []
    busy.is_reading = False
    sampler._complete()
    assert samples == [1]


def test_a_hanging_gpu_costs_its_own_reading_alone() -> None:
    with running({"at": 1, "gpu": 1, "for": 100, "kind": "hang", "call": "nvmlDeviceGetFieldValues"}) as node:
        node.now = 1
        assert node.hanging.wait(60)
        node.clock = HANG_SECONDS + 1
        node.until_readings(True, False, True)
        samples = node.samples
        until(lambda: node.samples > samples)


def test_a_removed_gpu_has_no_state_and_a_new_one_is_sampled() -> None:
    with running() as node:
        found = node.inventory()
        node.sampler.follow(replace(found, gpus=found.gpus[:2]))
        assert node.readings() == [True, True]
        node.follow()
        node.until_readings(True, True, True)


def test_a_gpu_that_cannot_be_discovered_keeps_its_thread() -> None:
    with running() as node:
        found = node.inventory()
        lost = Fault(index=0, uuid=found.gpus[0].uuid, reason="lost")
        node.sampler.follow(replace(found, gpus=found.gpus[1:], faults=(lost,)))
        assert node.sampler.sample().faults == ()
        assert len(node.sampler.sample().gpus) == 3
        nameless, other = (Fault(index=index, uuid=None, reason="lost") for index in (0, 7))
        node.sampler.follow(replace(found, gpus=found.gpus[1:], faults=(nameless, other)))
        assert node.sampler.sample().faults == (other,)
        assert len(node.sampler.sample().gpus) == 3


def test_a_release_closes_all_sessions_and_drops_all_readings() -> None:
    with running() as node:
        assert node.sampler.release()
        assert node.sessions.wait_until_none(0)
        assert node.readings() == [False] * 3
        found = node.inventory()
        node.sampler.follow(replace(found, gpus=found.gpus[:2]))
        node.follow()
        assert node.sampler.release()
        assert node.sessions.wait_until_none(0)
        node.sampler.acquire()
        node.until_readings(True, True, True)


def test_a_release_is_not_complete_while_a_call_hangs_also_of_a_removed_gpu() -> None:
    with running({"at": 1, "gpu": 0, "for": 9, "kind": "hang", "call": "nvmlDeviceGetFieldValues"}) as node:
        found = node.inventory()
        node.now = 1
        assert node.hanging.wait(60)
        assert not node.sampler.release()
        node.sampler.follow(replace(found, gpus=found.gpus[1:]))
        assert not node.sampler.release()
        node.now = 10
        until(node.sampler.release)


def test_all_sessions_close_for_one_that_waits_to_be_alone_and_open_again() -> None:
    with running() as node:
        assert node.sessions.wait_until_none(60)
        first = [state.reading for state in node.sampler.sample().gpus]
        until(lambda: all(state.reading not in (None, *first) for state in node.sampler.sample().gpus))


def test_after_the_stop_no_gpu_is_sampled() -> None:
    with running() as node:
        pass
    found = node.inventory()
    other = replace(found.gpus[0], uuid=GpuUuid("GPU-another"))
    node.sampler.follow(replace(found, gpus=(other,)))
    assert node.sampler.sample().gpus == ()


def test_a_thread_that_has_ended_is_a_liveness_problem() -> None:
    with running() as node:
        thread = node.sampler._threads[node.inventory().gpus[2].uuid]
        ended = threading.Thread(target=lambda: None, name="gpu-2")
        ended.start()
        ended.join()
        real, thread._thread = thread._thread, ended
        assert node.sampler.liveness_problem() == "the thread gpu-2 has ended"
        thread._thread = real
