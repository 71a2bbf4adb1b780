"""The watch of NVML's events: reports, retries, release and stop."""

import math
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager, suppress
from dataclasses import dataclass, field
from typing import Any

import pytest
from structlog.testing import capture_logs

from gpu_core.domain.evidence import XidEvent
from gpu_core.nvml.api import EventType, Nvml, NvmlEvent
from gpu_core.nvml.event_set import STATE_CHANGES
from gpu_core.nvml.events import STUCK, EventWatch, pause_after
from node_core.errors import NodeError, NvmlError
from simulation.nvml.library import simulated_nvml
from simulation.scenarios.scenario import Scenario, parse_scenario

BOARD = {"model": "NVIDIA A100-SXM4-40GB", "memory": "40960Mi", "compute": "8.0", "device_id": "20b0"}
MIG = {"mode": "enabled", "instances": ["3g.20gb", "1g.5gb"]}


def scenario(*faults: Mapping[str, object], **more: object) -> Scenario:
    """Two GPUs without MIG and one with MIG devices."""
    gpus = [{**BOARD, "count": 2}, {**BOARD, "count": 1, "mig": MIG}]
    document = {"driver": {"version": "570.1"}, "gpus": gpus, "faults": list(faults), **more}
    return parse_scenario("three", document, source="test")


UUIDS = [gpu.uuid for gpu in scenario().gpus]
UNKNOWN = {"kind": "fails", "call": "nvmlEventSetWait_v2", "result": "UNKNOWN"}


class Time:
    """A clock that advances with each wait, up to `until`. Then the clock stops until the watch ends."""

    def __init__(self, until: float) -> None:
        self.now, self.until = 0.0, until
        self.reached = threading.Event()
        self.watch: EventWatch | None = None
        self.failures: list[int] = []

    def clock(self) -> float:
        return self.now

    def wait(self, seconds: float) -> None:
        if self.now + seconds < self.until:
            self.now += seconds
            return
        self.now = self.until
        self.reached.set()
        while self.watch is not None and not self.watch._is_ending:
            threading.Event().wait(0.001)
        raise NvmlError("nvmlEventSetWait_v2", "UNINITIALIZED")

    def pause(self, failures: int) -> float:
        self.failures.append(failures)
        with suppress(NvmlError):
            self.wait(2.0**failures)
        return 0.0


@dataclass
class Reports:
    xids: list[XidEvent] = field(default_factory=list)
    changes: list[str] = field(default_factory=list)
    failures: list[NodeError | None] = field(default_factory=list)
    opened: int = 0
    in_a_row: list[int] = field(default_factory=list)
    watched: frozenset[str] = frozenset()

    def codes(self) -> list[str | None]:
        return [error.code if isinstance(error, NvmlError) else None for error in self.failures]


def run_watch(node: Scenario, until: float) -> Reports:
    """Runs a watch for these seconds: its reports, its number of sessions, and its consecutive failures at each pause."""
    reports, clock = Reports(), Time(until)
    simulated = simulated_nvml(node, clock.clock, clock.wait)

    def open_nvml() -> AbstractContextManager[Nvml]:
        reports.opened += 1
        return simulated()

    watch = EventWatch(
        open_nvml,
        reports.xids.append,
        reports.changes.append,
        reports.failures.append,
        pauses=clock.pause,
        clock=clock.clock,
    )
    clock.watch = watch
    watch.start()
    assert clock.reached.wait(60)
    reports.watched = watch.watched
    watch.stop()
    assert watch._thread is not None
    watch._thread.join(60)
    assert not watch._thread.is_alive()
    reports.in_a_row = clock.failures[:-1]  # the last failure ends the test
    return reports


def xid(gpu: int, number: int, at: float, **more: Any) -> XidEvent:
    return XidEvent(xid=number, gpu=UUIDS[gpu], at=at, **more)


def test_xids_have_their_gpu_and_time() -> None:
    node = scenario(
        {"at": 3, "kind": "xid", "gpu": 1, "code": 79},
        {"at": 3, "kind": "xid", "gpu": 0, "code": 13},
        {"at": 2.25, "kind": "xid", "gpu": 1, "code": 48},
    )
    assert run_watch(node, 5).xids == [xid(1, 48, 2.25), xid(1, 79, 3.0), xid(0, 13, 3.0)]


def test_an_xid_on_a_mig_device_has_its_instances() -> None:
    node = scenario({"at": 1, "kind": "xid", "gpu": 2, "code": 94, "mig": 1})
    gpu_instance = node.gpus[2].mig_devices[1].gpu_instance
    assert run_watch(node, 2).xids == [xid(2, 94, 1.0, gpu_instance=gpu_instance, compute_instance=0)]


def test_events_before_the_start_are_not_reported() -> None:
    node = scenario({"at": 0, "kind": "xid", "gpu": 0, "code": 79}, {"at": 0, "for": 1, "kind": "driver_gone"})
    assert run_watch(node, 5).xids == []


def test_repeated_xids_are_reported_once_a_second_with_the_full_count() -> None:
    storm = {"at": 1, "kind": "xid", "gpu": 0, "code": 13, "times": 30_000, "per_second": 10_000}
    reports = run_watch(scenario(storm, {"at": 1.5, "kind": "xid", "gpu": 1, "code": 79}), 10)
    of_storm = [event for event in reports.xids if event.xid == 13]
    assert sum(event.count for event in of_storm) == 30_000
    assert len(of_storm) <= 5
    assert of_storm[0] == xid(0, 13, 1.0)
    assert [event for event in reports.xids if event.xid == 79] == [xid(1, 79, 1.5)]


def test_the_same_xid_of_two_gpus_or_two_instances_is_reported_for_each() -> None:
    node = scenario(
        *({"at": 1, "kind": "xid", "gpu": gpu, "code": 31} for gpu in (0, 1, 2)),
        *({"at": 1, "kind": "xid", "gpu": 2, "code": 31, "mig": slot} for slot in (0, 1)),
    )
    assert len(run_watch(node, 3).xids) == 5


def test_an_ecc_error_is_a_change_of_its_gpu() -> None:
    reports = run_watch(scenario({"at": 1, "kind": "ecc", "gpu": 1, "count": 2}), 3)
    assert reports.changes == [f"{UUIDS[1]}: an uncorrectable ECC error occurred"]
    assert reports.xids == []


def test_a_permanent_failure_is_reported_once_and_retried_with_increasing_pauses() -> None:
    with capture_logs() as logs:
        reports = run_watch(scenario({"at": 0, **UNKNOWN}), 100_000)
    assert reports.codes() == ["UNKNOWN"]
    assert [entry["event"] for entry in logs] == ["nvml_events_failed"]
    assert reports.opened <= 18  # 2 + 4 + 8 + ... seconds


def test_pauses_increase_up_to_a_minute() -> None:
    assert 0.5 <= pause_after(1) <= 1.0
    assert 30.0 <= pause_after(1000) <= 60.0


def test_a_recovered_wait_is_reported_and_events_arrive_again() -> None:
    node = scenario({"at": 2, "for": 20, **UNKNOWN}, {"at": 40, "kind": "xid", "gpu": 0, "code": 79})
    with capture_logs() as logs:
        reports = run_watch(node, 50)
    assert reports.codes() == ["UNKNOWN", None]
    assert reports.in_a_row == [1, 2, 3, 4]
    assert [event.xid for event in reports.xids] == [79]
    assert [entry["event"] for entry in logs] == ["nvml_events_failed", "nvml_events_recovered"]


def test_pauses_are_short_again_after_a_success() -> None:
    node = scenario({"at": 2, "for": 4, **UNKNOWN}, {"at": 30, "for": 4, **UNKNOWN})
    assert run_watch(node, 50).in_a_row == [1, 2, 1, 2]


def test_each_failure_reason_is_reported_once() -> None:
    node = scenario(
        {"at": 2, "for": 8, **UNKNOWN},
        {"at": 10, "for": 60, "kind": "driver_gone"},
        {"at": 70, "for": 100, "kind": "fails", "call": "nvmlInit_v2", "result": "LIB_RM_VERSION_MISMATCH"},
    )
    assert run_watch(node, 1000).codes() == ["UNKNOWN", "DRIVER_NOT_LOADED", "LIB_RM_VERSION_MISMATCH", None]


@pytest.mark.parametrize(
    "call", ["nvmlDeviceGetSupportedEventTypes", "nvmlDeviceRegisterEvents"], ids=["types", "register"]
)
def test_a_gpu_without_events_does_not_affect_others(call: str) -> None:
    node = scenario(
        {"at": 0, "kind": "unsupported", "gpu": 0, "call": call},
        {"at": 1, "kind": "xid", "gpu": 0, "code": 79},
        {"at": 1, "kind": "xid", "gpu": 1, "code": 79},
    )
    with capture_logs() as logs:
        reports = run_watch(node, 200)
    assert [event.gpu for event in reports.xids] == [UUIDS[1]]
    assert (reports.failures, reports.opened) == ([], 1)
    assert [(entry["event"], entry["gpus"]) for entry in logs] == [
        ("gpus_without_events", [f"GPU 0 ({UUIDS[0]}): {call} returned NOT_SUPPORTED"])
    ]


def test_the_watched_gpus_are_those_whose_events_are_reported() -> None:
    without = {"at": 0, "kind": "unsupported", "gpu": 0, "call": "nvmlDeviceRegisterEvents"}
    assert run_watch(scenario(without), 5).watched == {UUIDS[1], UUIDS[2]}
    assert run_watch(scenario({"at": 2, **UNKNOWN}), 5).watched == frozenset()
    assert run_watch(scenario({"at": 2, "for": 1, **UNKNOWN}), 20).watched == set(UUIDS)


def test_a_released_watch_watches_no_gpu() -> None:
    real = RealWatch(scenario())
    assert real.watch.watched == frozenset()
    with real.watched():
        real.until(lambda: real.watch.watched == set(UUIDS))
        assert real.watch.release()
        assert real.watch.watched == frozenset()
        real.watch.acquire()
        assert real.watch.watched == set(UUIDS)


def test_a_lost_gpu_does_not_affect_others_and_is_registered_again_later() -> None:
    node = scenario(
        {"at": 2, "for": 30, "kind": "lost", "gpu": 0},
        {"at": 10, "kind": "xid", "gpu": 1, "code": 31},
        {"at": 150, "kind": "xid", "gpu": 0, "code": 48},
    )
    reports = run_watch(node, 200)
    assert [(event.gpu, event.xid) for event in reports.xids] == [(UUIDS[1], 31), (UUIDS[0], 48)]
    assert reports.codes() == ["GPU_IS_LOST", None]
    assert reports.changes == ["the set of GPUs with events has changed"] * 2


def test_without_events_the_session_is_closed_and_not_retried() -> None:
    node = scenario({"at": 0, "kind": "unsupported", "call": "nvmlDeviceGetSupportedEventTypes"})
    real = RealWatch(node)
    with real.watched():
        real.until(lambda: real.sessions == [1, 0])
        real.watch.refresh()
        real.until(lambda: real.sessions == [1, 0, 1, 0])
    assert real.reports == Reports()


def nap(_: float) -> None:
    threading.Event().wait(0.001)


@pytest.mark.parametrize("call", ["nvmlEventSetCreate", "nvmlEventSetWait_v2"])
def test_a_platform_without_events_is_reported_once_and_not_retried_until_refresh(call: str) -> None:
    real = RealWatch(scenario({"at": 0, "kind": "unsupported", "call": call}), pauses=lambda _: 0.0)
    with real.watched():
        real.until(lambda: real.sessions == [1, 0])
        real.watch.refresh()
        real.until(lambda: real.sessions == [1, 0, 1, 0])
    assert real.reports.codes() == ["NOT_SUPPORTED"]
    assert real.sessions == [1, 0, 1, 0]


class RealWatch:
    """A watch of a scenario, with a real clock and counted sessions. tamper: replaces NVML of each session."""

    def __init__(self, node: Scenario, tamper: Callable[[Nvml], Nvml] = lambda nvml: nvml, **options: Any) -> None:
        self.reports = Reports()
        self.sessions: list[int] = []
        self._tamper = tamper
        self._open_now = 0
        self._simulated = simulated_nvml(node, time.monotonic, nap)
        self.watch = EventWatch(
            self._open,
            self.reports.xids.append,
            self.reports.changes.append,
            self.reports.failures.append,
            wait=0.01,
            **{"pauses": lambda _: 1000.0, **options},
        )

    @contextmanager
    def _open(self) -> Iterator[Nvml]:
        with self._simulated() as nvml:
            self._count(1)
            try:
                yield self._tamper(nvml)
            finally:
                self._count(-1)

    def _count(self, step: int) -> None:
        self._open_now += step
        self.sessions.append(self._open_now)

    @contextmanager
    def watched(self) -> Iterator[None]:
        self.watch.start()
        try:
            yield
        finally:
            self.watch.stop()

    def until(self, is_so: Callable[[], bool]) -> None:
        for _ in range(20_000):
            if is_so():
                return
            threading.Event().wait(0.001)
        raise AssertionError(self.sessions, self.reports)


class Scripted:
    """NVML whose event set returns these events, one for each wait, and then none. Raises exceptions among them."""

    def __init__(self, nvml: Nvml, *events: NvmlEvent | Exception) -> None:
        self._nvml = nvml
        self._events = list(events)
        self.devices: list[Any] = []

    def device_get_supported_event_types(self, _: Any) -> int:
        return 0xFFFF

    def device_register_events(self, device: Any, types: int, _: Any) -> None:
        assert types == 0xC10B
        self.devices.append(device)

    def event_set_wait(self, _: Any, __: int) -> NvmlEvent | None:
        if not self._events:
            threading.Event().wait(0.001)
            return None
        event = self._events.pop(0)
        if isinstance(event, Exception):
            raise event
        return NvmlEvent(device=self.devices[event.device], type=event.type, data=event.data)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._nvml, name)


def returning(*events: NvmlEvent | Exception) -> Callable[[Nvml], Nvml]:
    return lambda nvml: Scripted(nvml, *events)


def vanishes(real: RealWatch) -> None:
    """Makes the session fail three times, like a library that is being replaced."""
    tamper, left = real._tamper, [1, 2, 3]

    def tampered(nvml: Nvml) -> Nvml:
        if left:
            raise FileNotFoundError(2, "No such file or directory", f"/lib/libnvidia-ml.so.{left.pop()}")
        return tamper(nvml)

    vars(real)["_tamper"] = tampered


def refuses(real: RealWatch) -> None:
    """Makes the callback of the owner fail three times."""
    left = [1, 2, 3]

    def on_xid(event: XidEvent) -> None:
        if left:
            raise KeyError(left.pop())
        real.reports.xids.append(event)

    vars(real.watch)["_on_xid"] = on_xid


@pytest.mark.parametrize("breaks", [vanishes, refuses])
def test_an_unexpected_error_is_reported_once_and_the_watch_continues(breaks: Callable[[RealWatch], None]) -> None:
    failures: list[int] = []

    def pause(count: int) -> float:
        failures.append(count)
        return 0.0

    real = RealWatch(scenario(), returning(NvmlEvent(device=0, type=EventType.XID, data=79)), pauses=pause)
    breaks(real)
    with capture_logs() as logs, real.watched():
        real.until(lambda: bool(real.reports.xids))
        real.until(lambda: real.reports.failures[1:] == [None])
    assert failures == [1, 2, 3]
    assert "broke" in str(real.reports.failures[0])
    assert [entry["event"] for entry in logs] == ["nvml_events_failed", "nvml_events_recovered"]


@pytest.mark.parametrize("kind", STATE_CHANGES, ids=lambda kind: EventType(kind).name)
def test_every_other_event_is_reported_as_a_change(kind: int) -> None:
    real = RealWatch(scenario(), returning(NvmlEvent(device=1, type=kind, data=0)))
    with real.watched():
        real.until(lambda: real.reports.changes == [f"{UUIDS[1]}: {STATE_CHANGES[kind].description}"])
    assert real.reports.xids == []


def test_an_event_of_another_type_is_ignored() -> None:
    known = NvmlEvent(device=0, type=EventType.XID, data=79)
    real = RealWatch(
        scenario(), returning(NvmlEvent(device=0, type=0x4, data=9), NvmlEvent(device=0, type=0, data=0), known)
    )
    with real.watched():
        real.until(lambda: [event.xid for event in real.reports.xids] == [79])
    assert real.reports.changes == []


def test_a_gpu_without_a_used_event_type_is_not_registered() -> None:
    class ClockEventsOnly(Scripted):
        def device_get_supported_event_types(self, _: Any) -> int:
            return 0x14

    real = RealWatch(scenario(), ClockEventsOnly)
    with capture_logs() as logs, real.watched():
        real.until(lambda: real.sessions == [1, 0])
    assert logs[0]["gpus"] == [
        f"GPU {index} ({UUIDS[index]}): nvmlDeviceRegisterEvents returned NOT_SUPPORTED" for index in range(3)
    ]


def test_repeated_changes_are_reported_as_two() -> None:
    changes = [NvmlEvent(device=2, type=EventType.MIG_CONFIG, data=0)] * 14
    real = RealWatch(scenario(), returning(*changes))
    with real.watched():
        real.until(lambda: len(real.reports.changes) >= 2)
    assert len(real.reports.changes) == 2


def test_coalesced_events_are_reported_at_the_end_of_the_session() -> None:
    twice = [NvmlEvent(device=0, type=EventType.XID, data=13)] * 3
    real = RealWatch(scenario(), returning(*twice, NvmlError("nvmlEventSetWait_v2", "UNKNOWN")), clock=lambda: 0.0)
    with real.watched():
        real.until(lambda: len(real.reports.xids) == 2)
        real.until(lambda: real.sessions == [1, 0])
    assert [event.count for event in real.reports.xids] == [1, 2]


def test_the_session_is_closed_by_release_and_opened_by_acquire() -> None:
    real = RealWatch(scenario())
    with real.watched():
        real.until(lambda: real.sessions == [1])
        assert real.watch.release(20)
        assert real.sessions == [1, 0]
        real.watch.refresh()
        assert real.watch.release(20)
        assert real.sessions == [1, 0]
        real.watch.acquire()
        real.until(lambda: real.sessions == [1, 0, 1])
    assert real.reports.failures == []


def test_a_watch_that_yields_opens_another_session_without_waiting_to_be_alone() -> None:
    waits: list[float] = []
    real = RealWatch(scenario(), wait_alone=lambda seconds: waits.append(seconds) or True)  # type: ignore[func-returns-value]
    with real.watched():
        real.until(lambda: real.sessions == [1])
        real.watch.yield_session()
        real.until(lambda: real.sessions == [1, 0, 1])
        assert len(waits) == 1
        real.watch.refresh()
        real.until(lambda: real.sessions == [1, 0, 1, 0, 1])
        assert len(waits) == 2


def test_a_watch_without_a_session_has_nothing_to_yield() -> None:
    real = RealWatch(scenario())
    real.watch.yield_session()
    with real.watched():
        real.until(lambda: real.sessions == [1])
        assert real.watch.release(20)
        real.watch.yield_session()
        real.watch.acquire()
        real.until(lambda: real.sessions == [1, 0, 1])


def test_a_release_succeeds_while_the_watch_fails_or_has_not_started() -> None:
    real = RealWatch(scenario(), returning(NvmlError("nvmlEventSetWait_v2", "UNKNOWN")))
    assert real.watch.release(20)
    real.watch.acquire()
    with real.watched():
        real.until(lambda: real.reports.codes() == ["UNKNOWN"])
        assert real.watch.release(20)
    assert real.sessions == [1, 0]


def test_a_release_before_a_session_opens_prevents_the_session() -> None:
    waiting, go = threading.Event(), threading.Event()

    def wait_alone(_: float) -> bool:
        waiting.set()
        return go.wait(60)

    real = RealWatch(scenario(), wait_alone=wait_alone)
    with real.watched():
        assert waiting.wait(60)
        assert real.watch.release(20)
        go.set()
    assert real.sessions == []


def test_a_new_session_registers_the_present_gpus() -> None:
    counts = iter([1, 3, 3])

    def of_count(nvml: Nvml) -> Nvml:
        count, fake = next(counts), Scripted(nvml)
        fake.device_get_count = lambda: count  # type: ignore[attr-defined]
        return fake

    real = RealWatch(scenario(), of_count)
    with real.watched():
        real.until(lambda: real.sessions == [1])
        real.watch.refresh()
        real.until(lambda: real.reports.changes == ["the set of GPUs with events has changed"])
        real.watch.refresh()
        real.until(lambda: real.sessions == [1, 0, 1, 0, 1])
    assert len(real.reports.changes) == 1


def test_a_hanging_wait_does_not_block_stop_and_reports_nothing_afterwards() -> None:
    go = threading.Event()

    class Hanging(Scripted):
        def event_set_wait(self, _: Any, __: int) -> NvmlEvent | None:
            go.wait(60)
            return NvmlEvent(device=self.devices[0], type=EventType.XID, data=79)

    before = threading.enumerate()
    real = RealWatch(scenario(), Hanging)
    with real.watched():
        real.until(lambda: real.sessions == [1])
        assert not real.watch.release(0.01)
    (thread,) = (each for each in threading.enumerate() if each.name == "nvml-events" and each not in before)
    assert thread.daemon
    go.set()
    thread.join(60)
    assert not thread.is_alive()
    assert real.reports == Reports()


def test_a_watch_that_was_not_started_can_be_stopped() -> None:
    RealWatch(scenario()).watch.stop()


def test_a_watch_whose_thread_did_not_start_can_be_stopped(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(_: threading.Thread) -> None:
        raise RuntimeError("can't start new thread")

    watch = RealWatch(scenario()).watch
    with monkeypatch.context() as patch:
        patch.setattr(threading.Thread, "start", refuse)
        with pytest.raises(RuntimeError):
            watch.start()
    watch.stop()


class Patient(EventWatch):
    stuck = math.inf


@pytest.mark.parametrize("kind", [EventWatch, Patient])
def test_a_call_that_does_not_return_fails_the_liveness_check(kind: type[EventWatch]) -> None:
    now, called, released = [0.0], threading.Event(), threading.Event()

    class Hanging(Scripted):
        def event_set_wait(self, _: Any, __: int) -> NvmlEvent | None:
            called.set()
            released.wait()
            return None

    simulated = simulated_nvml(scenario(), lambda: 0.0)

    @contextmanager
    def open_nvml() -> Iterator[Nvml]:
        with simulated() as nvml:
            yield Hanging(nvml)

    watch = kind(open_nvml, lambda _: None, lambda _: None, lambda _: None, clock=lambda: now[0])
    assert watch.liveness_problem() is None
    watch.start()
    assert called.wait(60)
    now[0] = STUCK
    assert watch.liveness_problem() is None
    now[0] = STUCK + 1
    sentence = "a call of NVML in the thread nvml-events did not return for 300 s"
    assert watch.liveness_problem() == (sentence if kind is EventWatch else None)
    watch.stop()
    assert watch.liveness_problem() is None, "a stopped watch has no problem"
    released.set()
