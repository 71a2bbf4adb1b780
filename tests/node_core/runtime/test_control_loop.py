"""One loop for all agents: messages, timers, heartbeat, lock and back-off."""

from collections.abc import Callable
from pathlib import Path

import pytest
from structlog.testing import capture_logs

from node_core.runtime.control_loop import HEARTBEAT, PROVEN_SECONDS, ControlLoop, Timers
from node_core.runtime.instance_lock import InstanceLock
from node_core.runtime.mailbox import Mailbox
from node_core.runtime.messages import AgentMessage, Resync, Stop, Wake
from node_core.runtime.services import Services


class Clock:
    now = 100.0

    def __call__(self) -> float:
        return self.now


class ScriptedMailbox(Mailbox[AgentMessage]):
    """Returns the messages of a script and then Stop. None is a wait that ends without a message. A wait advances the clock."""

    def __init__(self, clock: Clock, *script: AgentMessage | None) -> None:
        super().__init__()
        self.clock = clock
        self.script = list(script)
        self.waits: list[float | None] = []
        self.backoffs: list[float] = []
        self.on_backoff: Callable[[], bool] = lambda: False

    def get(self, timeout: float | None = None) -> AgentMessage | None:
        self.waits.append(timeout)
        message = self.script.pop(0) if self.script else Stop()
        self.clock.now += timeout or 0.0 if message is None else 0.0
        return message

    def wait_for(self, kind: type[AgentMessage], timeout: float) -> bool:
        self.backoffs.append(timeout)
        return self.on_backoff()


class Recorder:
    """A controller that records its calls. faults: call -> the exception that its first call raises."""

    name = "gfd"

    def __init__(self, faults: dict[str, Exception] | None = None) -> None:
        self.calls: list[str] = []
        self.faults = faults or {}
        self.on_start: Callable[[], None] = lambda: None

    def record(self, call: str) -> None:
        self.calls.append(call)
        if fault := self.faults.pop(call, None):
            raise fault

    def start(self) -> None:
        self.record("start")
        self.on_start()

    def handle(self, message: AgentMessage) -> None:
        self.record(f"handle {type(message).__name__}")

    def timer(self, name: str) -> None:
        self.record(f"timer {name}")

    def reconcile(self) -> None:
        self.record("reconcile")

    def close(self, *, is_final: bool) -> None:
        self.record(f"close {is_final}")


def make(
    *script: AgentMessage | None, faults: dict[str, Exception] | None = None, lock: InstanceLock | None = None
) -> tuple[ControlLoop[Recorder], Recorder, ScriptedMailbox, Services]:
    clock = Clock()
    mailbox, controller = ScriptedMailbox(clock, *script), Recorder(faults)
    services = Services(clock=clock, chance=lambda: 1.0)
    return (
        ControlLoop(controller, services, mailbox=mailbox, timers=Timers(clock), lock=lock),
        controller,
        mailbox,
        services,
    )


def test_timers_are_due_in_the_order_of_their_deadlines_and_once() -> None:
    clock = Clock()
    timers = Timers(clock)
    assert timers.next_due() is None
    timers.set_after("late", 9)
    timers.set_at("second", 102)
    timers.set_at("first", 105)
    timers.set_at("first", 101)
    assert (timers.next_due(), timers.pop_due()) == (101, ())
    clock.now = 102
    assert timers.pop_due() == ("first", "second")
    assert (timers.pop_due(), timers.is_set("late"), timers.is_set("first")) == ((), True, False)
    timers.cancel("late")
    timers.cancel("never set")
    assert timers.next_due() is None


def test_every_wake_up_reconciles_once() -> None:
    loop, controller, mailbox, _ = make(Resync(), Wake(), None)
    loop.run()
    wake_ups = ["handle Resync", "reconcile", "handle Wake", "reconcile", "reconcile"]
    assert controller.calls == ["start", *wake_ups]
    assert mailbox.waits == [HEARTBEAT] * 4


def test_the_loop_waits_until_the_next_deadline_and_passes_the_timer_to_the_controller() -> None:
    loop, controller, mailbox, _ = make(None, None)
    controller.on_start = lambda: loop.timers.set_after("retry", 5)
    loop.run()
    assert controller.calls == ["start", "timer retry", "reconcile", "reconcile"]
    assert mailbox.waits == [5, HEARTBEAT, HEARTBEAT]


def test_an_expired_deadline_causes_no_wait_and_a_message_does_not_delay_its_timer() -> None:
    loop, controller, mailbox, _ = make(Resync())
    controller.on_start = lambda: loop.timers.set_after("retry", -1)
    loop.run()
    assert controller.calls == ["start", "handle Resync", "timer retry", "reconcile"]
    assert mailbox.waits[0] == 0.0


def test_a_controller_that_raises_an_exception_restarts_with_growing_delays() -> None:
    loop, controller, mailbox, services = make(Resync(), Resync(), faults={"start": ValueError("a fault")})
    controller.faults["handle Resync"] = ZeroDivisionError("another")
    with capture_logs() as logs:
        loop.run()
    assert controller.calls == ["start", "start", "handle Resync", "start", "handle Resync", "reconcile"]
    assert mailbox.backoffs == [1.0, 2.0]
    assert [entry["event"] for entry in logs].count("agent_failed") == 2
    assert services.readiness.problems()["gfd/running"] is None


def test_a_check_fails_from_an_exception_until_the_controller_has_restarted() -> None:
    loop, _, mailbox, services = make(faults={"start": ValueError("a fault")})
    seen: list[str | None] = []

    def back_off() -> bool:
        seen.append(services.readiness.problems()["gfd/running"])
        return True

    mailbox.on_backoff = back_off
    loop.run()
    assert seen == ["ValueError: a fault"], "Stop during the back-off ends the loop"


def test_a_controller_that_ran_for_long_restarts_with_the_shortest_delay() -> None:
    loop, controller, mailbox, _ = make(None, None, None, Resync(), faults={"start": ValueError("first")})
    controller.faults["handle Resync"] = ValueError("second")
    loop.run()
    assert 3 * HEARTBEAT > PROVEN_SECONDS
    assert mailbox.backoffs == [1.0, 1.0]


def test_a_timer_remains_after_an_exception_of_the_controller() -> None:
    loop, controller, _, _ = make(Resync(), None, faults={"handle Resync": ValueError("a fault")})
    loop.timers.set_after("retry", 5)
    loop.run()
    assert controller.calls == ["start", "handle Resync", "start", "timer retry", "reconcile"]


def test_a_second_process_waits_for_the_lock_and_then_starts(tmp_path: Path) -> None:
    other = InstanceLock(tmp_path, "gfd", "n1")
    assert other.acquire() is None
    loop, controller, mailbox, services = make(lock=InstanceLock(tmp_path, "gfd", "n1"))
    seen: list[str | None] = []

    def back_off() -> bool:
        seen.append(services.readiness.problems()["gfd/instance"])
        assert controller.calls == []
        other.release()
        return False

    mailbox.on_backoff = back_off
    loop.run()
    assert len(seen) == 1
    assert "serves this node" in str(seen[0])
    assert controller.calls == ["start"]


@pytest.mark.parametrize("faults", [{}, {"close True": ValueError("a fault")}], ids=["sound", "fault"])
def test_close_releases_the_lock_even_if_the_controller_fails(tmp_path: Path, faults: dict[str, Exception]) -> None:
    lock = InstanceLock(tmp_path, "gfd", "n1")
    loop, controller, _, _ = make(lock=lock, faults=faults)
    loop.run()
    assert InstanceLock(tmp_path, "gfd", "n1").acquire() is not None
    loop.close(is_final=True)
    assert controller.calls[-1] == "close True"
    assert InstanceLock(tmp_path, "gfd", "n1").acquire() is None
