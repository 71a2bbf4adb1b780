"""The thread of one GPU: readings, failures, hanging calls, changed MIG devices, and released sessions."""

import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from structlog.testing import capture_logs

from gpu_core.domain.inventory import Gpu
from gpu_core.nvml.api import Nvml
from gpu_core.nvml.usage_api import USAGE_FUNCTIONS
from gpu_exporter.fields import FIELDS
from gpu_exporter.gpu_thread import HANG_SECONDS, MAX_OUTDATED, GpuThread
from gpu_exporter.reader import ReadingPlan
from gpu_exporter.reading import GpuReading
from simulation.nvml.library import changing_nvml, simulated_nvml
from simulation.scenarios.scenario import Scenario
from tests.exhaustive import params
from tests.gpu_exporter.readings import H100, inventory_of, scenario
from tests.waiting import until

PLAN = ReadingPlan(fields=FIELDS, read_facts=lambda _: {})
CUT = {"kind": "mig", "gpu": 1, "instances": ["7g.80gb"]}


def nap(_: float) -> None:
    threading.Event().wait(0.001)


class Run:
    """A thread that reads a GPU of a scenario, whose time the test sets. sessions: the number of opened and of open sessions."""

    def __init__(self, node: Scenario, index: int = 0, *, interval: float = 0.001, **options: Any) -> None:
        self.node, self.now = node, 0.0
        self.opened, self.open_now, self.outdated, self.waits = 0, 0, 0, 0
        self.clock = 0.0
        self.fail: Callable[[], None] = lambda: None
        self.gpu = self.discover(index)
        self.thread = GpuThread(
            self.gpu, PLAN, self.open, interval=interval, on_outdated=self.report, clock=lambda: self.clock, **options
        )

    def discover(self, index: int) -> Gpu:
        return next(gpu for gpu in inventory_of(self.node, self.now).gpus if gpu.index == index)

    def report(self) -> None:
        self.outdated += 1

    def wait(self, seconds: float) -> None:
        """A part of a call that hangs."""
        self.waits += 1
        nap(seconds)

    @contextmanager
    def open(self) -> Iterator[Nvml]:
        self.fail()
        with changing_nvml(lambda: self.node, lambda: self.now, self.wait)() as nvml:
            self.opened += 1
            self.open_now += 1
            try:
                yield nvml
            finally:
                self.open_now -= 1

    @contextmanager
    def running(self) -> Iterator[GpuThread]:
        self.thread.start()
        try:
            yield self.thread
        finally:
            self.thread.stop()
            self.thread.join(60)
        assert self.open_now == 0

    def reading(self) -> GpuReading:
        until(lambda: self.thread.state().reading is not None, self.thread.state)
        found = self.thread.state().reading
        assert found is not None
        return found


def test_a_gpu_is_read_again_and_again_in_one_session() -> None:
    run = Run(scenario())
    with run.running():
        first = run.reading()
        until(lambda: run.thread.state().reading is not first)
        assert run.opened == 1
        assert run.thread.liveness_problem() is None
    assert run.thread.state().reading is None


def test_means_are_read_soon_after_the_first_reading() -> None:
    run = Run(scenario(), interval=1000.0)
    assert run.gpu.compute is not None
    with run.running():
        until(lambda: "DCGM_FI_PROF_DRAM_ACTIVE" in (run.reading().values))


def test_readings_begin_at_multiples_of_the_interval() -> None:
    run = Run(scenario(gpus=[H100]), interval=30.0)
    times, waits = [30.5, 61.0, 95.0], list[float | None]()

    def wait(_: int, seconds: float | None) -> None:
        waits.append(seconds)
        if times:
            run.clock = times.pop(0)
        else:
            run.thread.stop()

    run.clock = 7.0
    vars(run.thread)["_wait"] = wait
    run.thread._run()
    assert waits[:4] == [1.0, 29.5, 29.0, 25.0]


def test_a_hanging_call_costs_the_reading_until_the_call_returns() -> None:
    run = Run(scenario({"at": 1, "for": 9, "gpu": 0, "kind": "hang", "call": "nvmlDeviceGetTemperature"}))
    with run.running():
        run.reading()
        run.now = 1
        until(lambda: run.thread._called_at is not None)
        run.clock += HANG_SECONDS + 1
        until(lambda: run.thread.state().reading is None)
        assert run.thread.state().fault == "a call of NVML has not returned for 10 s"
        run.now = 10
        run.reading()
        assert run.thread.state().fault is None


OF_NO_GPU = {"nvmlGpmSampleAlloc", "nvmlGpmSampleFree", "nvmlGpmMetricsGet"}


@pytest.mark.parametrize("call", params(sorted(set(USAGE_FUNCTIONS.values()))))
def test_each_call_that_hangs_costs_the_reading_until_the_call_returns(call: str) -> None:
    index = {"nvmlGpmMigSampleGet": 1, "nvmlDeviceGetPcieThroughput": 2}.get(call, 0)
    of_gpu = {} if call in OF_NO_GPU else {"gpu": index}
    run = Run(scenario({"at": 1, "for": 9, "kind": "hang", "call": call, **of_gpu}), index)
    run.now = 1
    with run.running():
        if call == "nvmlGpmSampleFree":
            run.reading()
            run.thread.close_session()
        until(lambda: run.waits > 0)
        run.clock = HANG_SECONDS + 1
        assert run.thread.state().reading is None
        assert run.thread.state().fault == "a call of NVML has not returned for 10 s"
        run.now = 10
        assert run.reading().fault is None
        assert run.thread.state().fault is None


def test_a_session_that_does_not_open_is_a_fault_and_tried_again() -> None:
    run = Run(scenario({"at": 0, "for": 5, "kind": "driver_gone"}, gpus=[H100]).without_faults())
    run.node = scenario({"at": 0, "for": 5, "kind": "driver_gone"}, gpus=[H100])
    with run.running():
        until(lambda: run.thread.state().errors.get(("nvmlInit_v2", "DRIVER_NOT_LOADED"), 0) > 1)
        state = run.thread.state()
        assert state.reading is None
        assert (state.fault or "").startswith("nvmlInit_v2 returned DRIVER_NOT_LOADED")
        run.now = 5
        run.reading()
        assert run.thread.state().fault is None


def test_a_lost_gpu_has_no_reading_and_gets_a_new_session_at_each_interval() -> None:
    run = Run(scenario({"at": 1, "for": 9, "gpu": 0, "kind": "lost"}))
    with run.running():
        run.reading()
        run.now = 1
        until(lambda: run.opened > 3)
        state = run.thread.state()
        assert state.reading is None
        assert "returned GPU_IS_LOST" in (state.fault or "")
        run.now = 10
        run.reading()


def test_an_unexpected_error_does_not_end_the_thread() -> None:
    run = Run(scenario())

    def fail() -> None:
        raise ZeroDivisionError

    run.fail = fail
    with capture_logs() as logs, run.running():
        until(lambda: run.thread.state().errors.get(("", "ZeroDivisionError"), 0) > 1)
        run.fail = lambda: None
        run.reading()
    assert logs[0]["event"] == "gpu_reading_failed"


def test_a_released_gpu_has_no_reading_and_no_session_until_it_is_acquired() -> None:
    run = Run(scenario())
    with run.running():
        run.reading()
        run.thread.release()
        assert run.thread.state().reading is None
        until(lambda: not run.thread.is_open)
        assert run.open_now == 0
        opened = run.opened
        run.thread.close_session()
        run.thread.acquire()
        run.reading()
        assert run.opened == opened + 1


def test_a_release_before_the_session_opens_prevents_the_session() -> None:
    run = Run(scenario())
    opening, go = threading.Event(), threading.Event()

    class Pausing(GpuThread):
        def _run_session(self, generation: int) -> None:
            opening.set()
            assert go.wait(60)
            super()._run_session(generation)

    run.thread = Pausing(run.gpu, PLAN, run.open, interval=0.001)
    with run.running():
        assert opening.wait(60)
        run.thread.release()
        assert not run.thread.is_open
        go.set()
        until(lambda: run.thread._generation == 1)
    assert run.opened == 0


def test_a_closed_session_opens_again_and_the_reading_stays_meanwhile() -> None:
    run = Run(scenario(), interval=1000.0)
    with run.running():
        run.reading()
        run.thread.close_session()
        until(lambda: run.opened == 2 or run.thread.state().reading is None)
        assert run.thread.state().reading is not None


def test_changed_mig_devices_are_reported_and_the_next_reading_has_the_new_layout() -> None:
    run = Run(scenario({"at": 1, **CUT}), 1)
    with run.running():
        assert len(run.reading().instances) == 3
        run.now = 1
        until(lambda: run.outdated > 0)
        run.thread.follow(run.discover(1))
        until(lambda: [each.profile for each in run.reading().instances] == ["7g.80gb"])
    assert run.thread.state().gpu.mig_devices[0].profile == "7g.80gb"


def test_a_layout_that_discoveries_confirm_is_read_in_spite_of_errors() -> None:
    fails = {"at": 1, "gpu": 1, "kind": "fails", "call": "nvmlGpmMigSampleGet", "result": "INVALID_ARGUMENT"}
    run = Run(scenario(fails), 1)
    with run.running():
        run.reading()
        run.now = 1
        until(lambda: run.outdated == MAX_OUTDATED)
        until(lambda: run.thread.state().errors.get(("nvmlGpmMigSampleGet", "INVALID_ARGUMENT"), 0) > 1)
        assert run.outdated == MAX_OUTDATED
        assert [each.values["DCGM_FI_DEV_FB_USED"] for each in run.reading().instances] == [5 << 10, 0, 2 << 10]


def test_a_reading_is_dropped_if_no_discovery_finds_the_new_mig_devices() -> None:
    run = Run(scenario({"at": 1, **CUT}), 1)
    with run.running():
        run.reading()
        run.now = 1
        until(lambda: run.outdated > 0)
        run.clock += HANG_SECONDS + 1
        until(lambda: run.thread._called_at is None)
        assert run.thread.state().reading is None


def test_other_facts_of_a_gpu_need_no_new_session() -> None:
    run = Run(scenario())
    with run.running():
        run.reading()
        run.thread.follow(run.discover(0))
        first = run.reading()
        until(lambda: run.thread.state().reading is not first)
        assert run.opened == 1


def test_a_thread_that_has_ended_is_reported() -> None:
    run = Run(scenario())
    assert run.thread.liveness_problem() is None
    vars(run.thread)["_run"] = lambda: None
    run.thread._thread = threading.Thread(target=lambda: None, name="gpu-0")
    run.thread.start()
    run.thread.join(60)
    assert run.thread.liveness_problem() == "the thread gpu-0 has ended"


class Ticking:
    """NVML whose scenario's time is the number of calls, so that the MIG devices change between any two calls."""

    def __init__(self, node: Scenario) -> None:
        self.calls = 0
        self._session = simulated_nvml(node, lambda: float(self.calls))()
        self._nvml: Any = self._session.__enter__()

    def __getattr__(self, name: str) -> Callable[..., Any]:
        def call(*arguments: object) -> Any:
            self.calls += 1
            return getattr(self._nvml, name)(*arguments)

        return call


LAYOUTS = (["3g.40gb", "1g.10gb"], ["7g.80gb"], ["1g.10gb"] * 7, ["2g.20gb", "2g.20gb", "1g.10gb"])


@given(changes=st.lists(st.tuples(st.integers(1, 120), st.sampled_from(LAYOUTS)), max_size=4))
def test_no_reading_mixes_two_mig_layouts(changes: list[tuple[int, list[str]]]) -> None:
    board = {**H100, "mig": {"mode": "enabled", "instances": LAYOUTS[0]}}
    at, faults = 0, list[Mapping[str, object]]()
    for calls, instances in changes:
        at += calls
        faults.append({"at": at, "kind": "mig", "gpu": 0, "instances": instances})
    node = scenario(*faults, gpus=[board])
    nvml = Ticking(node)
    layouts = [
        inventory_of(node, time).gpus[0].mig_devices for time in (0.0, *(float(str(each["at"])) for each in faults))
    ]
    gpu, readings = inventory_of(node, 0.0).gpus[0], list[GpuReading]()

    def discover() -> None:
        nonlocal gpu
        gpu = inventory_of(node, float(nvml.calls)).gpus[0]
        thread.follow(gpu)

    @contextmanager
    def open_nvml() -> Iterator[Any]:
        yield nvml

    thread = GpuThread(gpu, PLAN, open_nvml, interval=1e-6, on_outdated=discover)
    publish = thread._publish

    def collect(reading: GpuReading) -> None:
        readings.append(reading)
        publish(reading)
        if nvml.calls > at + 100:
            thread.stop()

    thread._publish = collect  # type: ignore[method-assign]
    thread._run()
    assert [each.profile for each in readings[-1].instances] == [
        device.profile for device in sorted(layouts[-1], key=lambda device: device.gpu_instance)
    ]
    for reading in readings:
        assert reading.gpu.mig_devices in layouts
        assert {each.gpu_instance for each in reading.instances} == {
            each.gpu_instance for each in reading.gpu.mig_devices
        }
        assert all("DCGM_FI_DEV_FB_USED" in each.values for each in reading.instances)


@pytest.mark.parametrize("seconds", [0.0, 5.0])
def test_a_call_that_is_not_slow_is_no_fault(seconds: float) -> None:
    run = Run(scenario({"at": 1, "for": 9, "gpu": 0, "kind": "hang", "call": "nvmlDeviceGetTemperature"}))
    with run.running():
        run.reading()
        run.now = 1
        until(lambda: run.thread._called_at is not None)
        run.clock += seconds
        assert run.thread.state().fault is None
        run.now = 10
