"""Listening to NVML: what is told and how often, what is tried again, and that nothing stands in the way of the end."""

import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager, suppress
from dataclasses import dataclass, field
from typing import Any

import pytest
from structlog.testing import capture_logs

from node_core.domain.evidence import XidEvent
from node_core.errors import NodeError, NvmlError
from node_core.host.nvml.api import EventType, Nvml, NvmlEvent
from node_core.host.nvml.event_set import CHANGES
from node_core.host.nvml.events import EventWatch, pause_after
from node_core.simulate.nvml import simulated_nvml
from node_core.simulate.scenario import Scenario, parse_scenario

BOARD = {"model": "NVIDIA A100-SXM4-40GB", "memory": "40960Mi", "compute": "8.0", "device_id": "20b0"}
CUT = {"mode": "enabled", "instances": ["3g.20gb", "1g.5gb"]}


def scenario(*faults: Mapping[str, object], **more: object) -> Scenario:
    """Two whole GPUs and one that is cut."""
    gpus = [{**BOARD, "count": 2}, {**BOARD, "count": 1, "mig": CUT}]
    document = {"driver": {"version": "570.1"}, "gpus": gpus, "faults": list(faults), **more}
    return parse_scenario("three", document, source="test")


UUIDS = [gpu.uuid for gpu in scenario().gpus]
UNKNOWN = {"kind": "fails", "call": "nvmlEventSetWait_v2", "answer": "UNKNOWN"}


class Time:
    """A clock that waiting moves, until `until`; there it stands until the watch is to end."""

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
class Heard:
    xids: list[XidEvent] = field(default_factory=list)
    changes: list[str] = field(default_factory=list)
    failures: list[NodeError | None] = field(default_factory=list)
    opened: int = 0
    in_a_row: list[int] = field(default_factory=list)

    def codes(self) -> list[str | None]:
        return [error.code if isinstance(error, NvmlError) else None for error in self.failures]


def hear(node: Scenario, until: float) -> Heard:
    """All that the watch tells in so many seconds, how often it began a session, and its failures in a row when it paused."""
    heard, clock = Heard(), Time(until)
    simulated = simulated_nvml(node, clock.clock, clock.wait)

    def open_nvml() -> AbstractContextManager[Nvml]:
        heard.opened += 1
        return simulated()

    watch = EventWatch(
        open_nvml,
        heard.xids.append,
        heard.changes.append,
        heard.failures.append,
        pauses=clock.pause,
        clock=clock.clock,
    )
    clock.watch = watch
    watch.start()
    assert clock.reached.wait(20)
    watch.stop()
    assert not any(thread.name == "nvml-events" for thread in threading.enumerate())
    heard.in_a_row = clock.failures[:-1]  # the last one is the test's end
    return heard


def xid(gpu: int, number: int, at: float, **more: Any) -> XidEvent:
    return XidEvent(xid=number, gpu=UUIDS[gpu], at=at, **more)


def test_xids_are_told_with_their_gpu_and_their_time() -> None:
    node = scenario(
        {"at": 3, "kind": "xid", "gpu": 1, "code": 79},
        {"at": 3, "kind": "xid", "gpu": 0, "code": 13},
        {"at": 2.25, "kind": "xid", "gpu": 1, "code": 48},
    )
    assert hear(node, 5).xids == [xid(1, 48, 2.25), xid(1, 79, 3.0), xid(0, 13, 3.0)]


def test_an_xid_on_a_mig_device_names_its_instances() -> None:
    node = scenario({"at": 1, "kind": "xid", "gpu": 2, "code": 94, "mig": 1})
    gpu_instance = node.gpus[2].mig_devices[1].gpu_instance
    assert hear(node, 2).xids == [xid(2, 94, 1.0, gpu_instance=gpu_instance, compute_instance=0)]


def test_what_happened_before_the_watch_began_is_not_told() -> None:
    node = scenario({"at": 0, "kind": "xid", "gpu": 0, "code": 79}, {"at": 0, "for": 1, "kind": "driver_gone"})
    assert hear(node, 5).xids == []


def test_a_storm_is_told_once_a_second_and_no_event_is_lost_from_the_count() -> None:
    storm = {"at": 1, "kind": "xid", "gpu": 0, "code": 13, "times": 30_000, "per_second": 10_000}
    heard = hear(scenario(storm, {"at": 1.5, "kind": "xid", "gpu": 1, "code": 79}), 10)
    of_storm = [event for event in heard.xids if event.xid == 13]
    assert sum(event.count for event in of_storm) == 30_000
    assert len(of_storm) <= 5
    assert of_storm[0] == xid(0, 13, 1.0)
    assert [event for event in heard.xids if event.xid == 79] == [xid(1, 79, 1.5)]


def test_the_same_xid_of_two_gpus_and_of_two_instances_is_told_of_each() -> None:
    node = scenario(
        *({"at": 1, "kind": "xid", "gpu": gpu, "code": 31} for gpu in (0, 1, 2)),
        *({"at": 1, "kind": "xid", "gpu": 2, "code": 31, "mig": slot} for slot in (0, 1)),
    )
    assert len(hear(node, 3).xids) == 5


def test_an_ecc_error_is_a_change_of_its_gpu() -> None:
    heard = hear(scenario({"at": 1, "kind": "ecc", "gpu": 1, "count": 2}), 3)
    assert heard.changes == [f"{UUIDS[1]}: it has an uncorrectable ECC error"]
    assert heard.xids == []


def test_a_wait_that_fails_for_ever_is_told_once_and_tried_with_growing_pauses() -> None:
    with capture_logs() as logs:
        heard = hear(scenario({"at": 0, **UNKNOWN}), 100_000)
    assert heard.codes() == ["UNKNOWN"]
    assert [entry["event"] for entry in logs] == ["nvml_events_failed"]
    assert heard.opened <= 18  # 2 + 4 + 8 + ... seconds


def test_pauses_grow_to_a_minute_and_no_further() -> None:
    assert 0.5 <= pause_after(1) <= 1.0
    assert 30.0 <= pause_after(1000) <= 60.0


def test_a_wait_that_works_again_is_told_and_events_come_again() -> None:
    node = scenario({"at": 2, "for": 20, **UNKNOWN}, {"at": 40, "kind": "xid", "gpu": 0, "code": 79})
    with capture_logs() as logs:
        heard = hear(node, 50)
    assert heard.codes() == ["UNKNOWN", None]
    assert heard.in_a_row == [1, 2, 3, 4]
    assert [event.xid for event in heard.xids] == [79]
    assert [entry["event"] for entry in logs] == ["nvml_events_failed", "nvml_events_back"]


def test_after_a_time_that_worked_pauses_are_short_again() -> None:
    node = scenario({"at": 2, "for": 4, **UNKNOWN}, {"at": 30, "for": 4, **UNKNOWN})
    assert hear(node, 50).in_a_row == [1, 2, 1, 2]


def test_each_reason_is_told_when_it_begins() -> None:
    node = scenario(
        {"at": 2, "for": 8, **UNKNOWN},
        {"at": 10, "for": 60, "kind": "driver_gone"},
        {"at": 70, "for": 100, "kind": "fails", "call": "nvmlInit_v2", "answer": "LIB_RM_VERSION_MISMATCH"},
    )
    assert hear(node, 1000).codes() == ["UNKNOWN", "DRIVER_NOT_LOADED", "LIB_RM_VERSION_MISMATCH", None]


@pytest.mark.parametrize(
    "call", ["nvmlDeviceGetSupportedEventTypes", "nvmlDeviceRegisterEvents"], ids=["types", "register"]
)
def test_a_gpu_without_events_does_not_keep_the_others_from_telling(call: str) -> None:
    node = scenario(
        {"at": 0, "kind": "unsupported", "gpu": 0, "call": call},
        {"at": 1, "kind": "xid", "gpu": 0, "code": 79},
        {"at": 1, "kind": "xid", "gpu": 1, "code": 79},
    )
    with capture_logs() as logs:
        heard = hear(node, 200)
    assert [event.gpu for event in heard.xids] == [UUIDS[1]]
    assert (heard.failures, heard.opened) == ([], 1)
    assert [(entry["event"], entry["gpus"]) for entry in logs] == [
        ("gpus_without_events", [f"0: {call} answered NOT_SUPPORTED"])
    ]


def test_a_lost_gpu_leaves_the_others_watched_and_is_watched_again_when_it_is_back() -> None:
    node = scenario(
        {"at": 2, "for": 30, "kind": "lost", "gpu": 0},
        {"at": 10, "kind": "xid", "gpu": 1, "code": 31},
        {"at": 150, "kind": "xid", "gpu": 0, "code": 48},
    )
    heard = hear(node, 200)
    assert [(event.gpu, event.xid) for event in heard.xids] == [(UUIDS[1], 31), (UUIDS[0], 48)]
    assert heard.codes() == ["GPU_IS_LOST", None]
    assert heard.changes == ["the GPUs that tell events are others than before"] * 2


def test_where_no_gpu_has_events_nvml_is_let_go_and_nothing_is_tried_again() -> None:
    node = scenario({"at": 0, "kind": "unsupported", "call": "nvmlDeviceGetSupportedEventTypes"})
    real = Real(node)
    with real.watched():
        real.until(lambda: real.sessions == [1, 0])
        real.watch.refresh()
        real.until(lambda: real.sessions == [1, 0, 1, 0])
    assert real.heard == Heard()


def nap(_: float) -> None:
    threading.Event().wait(0.001)


@pytest.mark.parametrize("call", ["nvmlEventSetCreate", "nvmlEventSetWait_v2"])
def test_a_platform_without_events_is_told_once_and_not_tried_until_the_owner_asks(call: str) -> None:
    real = Real(scenario({"at": 0, "kind": "unsupported", "call": call}), pauses=lambda _: 0.0)
    with real.watched():
        real.until(lambda: real.sessions == [1, 0])
        real.watch.refresh()
        real.until(lambda: real.sessions == [1, 0, 1, 0])
    assert real.heard.codes() == ["NOT_SUPPORTED"]
    assert real.sessions == [1, 0, 1, 0]


class Real:
    """A watch of a scenario, with a real clock, whose sessions are counted. tamper: what NVML is like."""

    def __init__(self, node: Scenario, tamper: Callable[[Nvml], Nvml] = lambda nvml: nvml, **options: Any) -> None:
        self.heard = Heard()
        self.sessions: list[int] = []
        self._tamper = tamper
        self._open_now = 0
        self._simulated = simulated_nvml(node, time.monotonic, nap)
        self.watch = EventWatch(
            self._open,
            self.heard.xids.append,
            self.heard.changes.append,
            self.heard.failures.append,
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
        raise AssertionError(self.sessions, self.heard)


class Scripted:
    """NVML whose event set tells these, one each wait, and then nothing. An exception is raised."""

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


def telling(*events: NvmlEvent | Exception) -> Callable[[Nvml], Nvml]:
    return lambda nvml: Scripted(nvml, *events)


def vanishes(real: Real) -> None:
    """As a library that is exchanged between two looks at it, three times."""
    tamper, left = real._tamper, [1, 2, 3]

    def tampered(nvml: Nvml) -> Nvml:
        if left:
            raise FileNotFoundError(2, "No such file or directory", f"/lib/libnvidia-ml.so.{left.pop()}")
        return tamper(nvml)

    vars(real)["_tamper"] = tampered


def refuses(real: Real) -> None:
    """As an owner that takes an event badly, three times."""
    left = [1, 2, 3]

    def seen(event: XidEvent) -> None:
        if left:
            raise KeyError(left.pop())
        real.heard.xids.append(event)

    vars(real.watch)["_seen"] = seen


@pytest.mark.parametrize("breaks", [vanishes, refuses])
def test_whatever_breaks_the_watch_is_told_once_and_it_goes_on(breaks: Callable[[Real], None]) -> None:
    failures: list[int] = []

    def pause(count: int) -> float:
        failures.append(count)
        return 0.0

    real = Real(scenario(), telling(NvmlEvent(device=0, type=EventType.XID, data=79)), pauses=pause)
    breaks(real)
    with capture_logs() as logs, real.watched():
        real.until(lambda: bool(real.heard.xids))
        real.until(lambda: real.heard.failures[1:] == [None])
    assert failures == [1, 2, 3]
    assert "broke" in str(real.heard.failures[0])
    assert [entry["event"] for entry in logs] == ["nvml_events_failed", "nvml_events_back"]


@pytest.mark.parametrize("kind", CHANGES, ids=lambda kind: EventType(kind).name)
def test_every_other_event_that_is_asked_for_says_what_changed(kind: int) -> None:
    real = Real(scenario(), telling(NvmlEvent(device=1, type=kind, data=0)))
    with real.watched():
        real.until(lambda: real.heard.changes == [f"{UUIDS[1]}: {CHANGES[kind].what}"])
    assert real.heard.xids == []


def test_an_event_that_was_not_asked_for_is_passed_over() -> None:
    known = NvmlEvent(device=0, type=EventType.XID, data=79)
    real = Real(scenario(), telling(NvmlEvent(device=0, type=0x4, data=9), NvmlEvent(device=0, type=0, data=0), known))
    with real.watched():
        real.until(lambda: [event.xid for event in real.heard.xids] == [79])
    assert real.heard.changes == []


def test_a_gpu_with_none_of_the_events_that_we_ask_for_is_not_registered() -> None:
    class OfClocks(Scripted):
        def device_get_supported_event_types(self, _: Any) -> int:
            return 0x14

    real = Real(scenario(), OfClocks)
    with capture_logs() as logs, real.watched():
        real.until(lambda: real.sessions == [1, 0])
    assert logs[0]["gpus"] == [f"{index}: nvmlDeviceRegisterEvents answered NOT_SUPPORTED" for index in range(3)]


def test_changes_that_repeat_are_folded_and_the_last_one_is_still_told() -> None:
    changes = [NvmlEvent(device=2, type=EventType.MIG_CONFIG, data=0)] * 14
    real = Real(scenario(), telling(*changes))
    with real.watched():
        real.until(lambda: len(real.heard.changes) >= 2)
    assert len(real.heard.changes) == 2


def test_what_was_kept_is_told_when_the_session_ends() -> None:
    twice = [NvmlEvent(device=0, type=EventType.XID, data=13)] * 3
    real = Real(scenario(), telling(*twice, NvmlError("nvmlEventSetWait_v2", "UNKNOWN")), clock=lambda: 0.0)
    with real.watched():
        real.until(lambda: len(real.heard.xids) == 2)
        real.until(lambda: real.sessions == [1, 0])
    assert [event.count for event in real.heard.xids] == [1, 2]


def test_all_handles_are_given_up_on_request_and_taken_again() -> None:
    real = Real(scenario())
    with real.watched():
        real.until(lambda: real.sessions == [1])
        assert real.watch.release(20)
        assert real.sessions == [1, 0]
        real.watch.refresh()
        assert real.watch.release(20)
        assert real.sessions == [1, 0]
        real.watch.take()
        real.until(lambda: real.sessions == [1, 0, 1])
    assert real.heard.failures == []


def test_a_release_is_granted_while_the_watch_is_failing_or_not_started() -> None:
    real = Real(scenario(), telling(NvmlError("nvmlEventSetWait_v2", "UNKNOWN")))
    assert real.watch.release(20)
    real.watch.take()
    with real.watched():
        real.until(lambda: real.heard.codes() == ["UNKNOWN"])
        assert real.watch.release(20)
    assert real.sessions == [1, 0]


def test_a_release_while_the_watch_waits_to_be_alone_stays_a_release() -> None:
    waiting, go = threading.Event(), threading.Event()

    def alone(_: float) -> bool:
        waiting.set()
        return go.wait(20)

    real = Real(scenario(), alone=alone)
    with real.watched():
        assert waiting.wait(20)
        assert real.watch.release(20)
        go.set()
    assert real.sessions == []


def test_a_new_session_sees_the_gpus_that_there_are_then() -> None:
    counts = iter([1, 3, 3])

    def of_count(nvml: Nvml) -> Nvml:
        count, fake = next(counts), Scripted(nvml)
        fake.device_get_count = lambda: count  # type: ignore[attr-defined]
        return fake

    real = Real(scenario(), of_count)
    with real.watched():
        real.until(lambda: real.sessions == [1])
        real.watch.refresh()
        real.until(lambda: real.heard.changes == ["the GPUs that tell events are others than before"])
        real.watch.refresh()
        real.until(lambda: real.sessions == [1, 0, 1, 0, 1])
    assert len(real.heard.changes) == 1


def test_a_wait_that_never_returns_is_seen_and_left_behind_and_tells_nothing_afterwards() -> None:
    go, now = threading.Event(), [0.0]

    class Hanging(Scripted):
        def event_set_wait(self, _: Any, __: int) -> NvmlEvent | None:
            go.wait(20)
            return NvmlEvent(device=self.devices[0], type=EventType.XID, data=79)

    real = Real(scenario(), Hanging, clock=lambda: now[0])
    with real.watched():
        real.until(lambda: real.sessions == [1])
        assert real.watch.stuck_for() == 0
        now[0] = 60.0
        assert real.watch.stuck_for() == 60.0 - 0.01
        assert not real.watch.release(0.01)
    (thread,) = (each for each in threading.enumerate() if each.name == "nvml-events")
    assert thread.daemon
    go.set()
    thread.join(20)
    assert not thread.is_alive()
    assert real.heard == Heard()


def test_a_watch_that_was_never_started_stops() -> None:
    Real(scenario()).watch.stop()
