"""The controller: which attempts start, and what the Node shows."""

from collections.abc import Callable
from typing import Any

import pytest

from gpu_core.clients.pause import Pause
from mig_manager.agent import HANG_SECONDS, POLL_SECONDS, REBOOT_SECONDS, SETTLE_SECONDS, MigController
from mig_manager.attempts import Attempts
from mig_manager.busy_policy import BusyPolicy
from mig_manager.outcome import Applied, Busy, Failed, NotReady, Outcome, Reason, Rebooting, Released, Request, Stopping
from mig_manager.policy import ANNOTATION, Holder
from mig_manager.settings import MigSettings
from mig_manager.status import Status
from mig_manager.surroundings import Progress
from node_core.domain.conditions import MIG_CONFIGURED, ObservedCondition
from node_core.domain.labels import MIG_CONFIG
from node_core.domain.node import NodeView
from node_core.errors import KubeError
from node_core.runtime.control_loop import Timers
from node_core.runtime.messages import InputsChanged, NodeChanged, NodeUnavailable, Resync, Wake
from node_core.runtime.services import Services
from node_core.values import replace

NODE = NodeView(name="n1", uid="A", resource_version="1", labels={})
BUSY = Busy(usage={"MIG-1": (Holder(namespace="ml", pod="train-0"),)})
FAILED = Failed(reason=Reason.FAILED, message="GPU 0 is lost")


def labelled(config: str | None, **annotations: str) -> NodeView:
    labels = {} if config is None else {MIG_CONFIG: config}
    return replace(NODE, labels=labels, annotations=annotations)


class Recorder:
    """The writer and the Event recorder. shown: each new status."""

    def __init__(self) -> None:
        self.shown: list[Status] = []
        self.recorded: list[Status] = []

    def observe(self, node: NodeView) -> None: ...

    def desire(self, status: Status) -> None:
        if not self.shown or self.shown[-1] != status:
            self.shown.append(status)

    def record(self, status: Status) -> None:
        self.recorded.append(status)


class Bench:
    """A controller whose attempts and time the test controls."""

    def __init__(self, *, busy_timeout: float | None = 300.0) -> None:
        self.now = 100.0
        self.timers = Timers(lambda: self.now)
        self.services = Services(clock=lambda: self.now, chance=lambda: 0.5)
        self.outcome: Outcome = Applied()
        self.requests: list[Request] = []
        self.runs: list[Callable[[], None]] = []
        self.progress = Progress()
        self.settled = 0
        self.recorder = Recorder()
        parts: Any = {"writer": self.recorder, "events": self.recorder}
        self.controller = MigController(
            self.services,
            self.timers,
            attempts=Attempts(self._attempt, lambda: None, start=self.runs.append),
            progress=lambda: self.progress,
            settle=self._settle,
            settings=MigSettings(busy_timeout=busy_timeout),
            **parts,
        )
        self.controller.start()

    def _attempt(self, request: Request) -> Outcome:
        self.requests.append(request)
        return self.outcome

    def _settle(self) -> None:
        self.settled += 1

    def post(self, message: Any, *, after: float = 0.0) -> None:
        """As the loop does."""
        self.now += after
        self.controller.handle(message)
        self._wake()

    def wait(self, seconds: float) -> None:
        self.now += seconds
        self._wake()

    def _wake(self) -> None:
        for name in self.timers.pop_due():
            self.controller.timer(name)
        self.controller.reconcile()

    def finish(self, outcome: Outcome | None = None) -> None:
        """Lets the running attempt end."""
        self.outcome = outcome or self.outcome
        self.runs.pop(0)()
        self.progress = Progress()
        self.post(Wake())

    def follow(self, config: str | None, outcome: Outcome | None = None) -> None:
        """Observes a new label, and lets its attempt end."""
        self.post(NodeChanged(labelled(config)))
        self.wait(SETTLE_SECONDS)
        self.finish(outcome)

    @property
    def reason(self) -> str:
        return str(self.recorder.shown[-1].reason)

    @property
    def configs(self) -> list[str | None]:
        return [request.config for request in self.requests]


def test_the_wait_for_clients_of_others_is_shown_and_checked_again() -> None:
    bench = Bench()
    bench.follow("all-1g.10gb", Stopping(message="pods of paused DaemonSets have not ended: a/b"))
    assert bench.reason == Reason.WAITING
    assert bench.recorder.shown[-1].message.endswith("waits: pods of paused DaemonSets have not ended: a/b.")
    bench.post(NodeChanged(labelled("all-1g.10gb", **{Pause.MIG_CHANGE.annotation: "{}"})))
    bench.wait(POLL_SECONDS)
    bench.finish(Applied())
    assert [each.has_paused for each in bench.requests] == [False, True]
    assert bench.reason == Reason.APPLIED


def test_the_label_of_the_first_node_is_applied_at_once() -> None:
    bench = Bench()
    bench.post(NodeChanged(labelled("all-1g.10gb")))
    bench.finish(Applied())
    assert bench.configs == ["all-1g.10gb"]
    assert [each.reason for each in bench.recorder.shown] == [Reason.APPLIED]
    assert bench.settled == 1


def test_a_new_label_is_pending_before_it_is_applied() -> None:
    bench = Bench()
    bench.follow("a", Applied())
    bench.follow("b", Applied(changes=("GPU 0: 1g.10gb created",)))
    assert [(each.config, each.reason) for each in bench.recorder.shown] == [
        ("a", Reason.APPLIED),
        ("b", Reason.APPLYING),
        ("b", Reason.APPLIED),
    ]


def test_a_label_that_flaps_is_applied_once_when_it_stays() -> None:
    bench = Bench()
    bench.follow("a", Applied())
    for config in ["b", "a"] * 20 + ["b"]:
        bench.post(NodeChanged(labelled(config)), after=0.1)
    assert bench.runs == []
    bench.wait(SETTLE_SECONDS)
    bench.finish()
    assert bench.configs == ["a", "b"]
    assert bench.runs == []


def test_a_label_that_changes_during_an_attempt_is_applied_after_it() -> None:
    bench = Bench()
    bench.post(NodeChanged(labelled("a")))
    bench.post(NodeChanged(labelled("b")))
    bench.wait(SETTLE_SECONDS)
    assert len(bench.runs) == 1
    bench.finish(FAILED)
    bench.wait(0.0)
    bench.finish(Applied())
    assert bench.configs == ["a", "b"]
    assert Reason.FAILED not in [each.reason for each in bench.recorder.shown]


def test_a_label_that_flaps_when_an_attempt_ends_starts_no_attempt_before_it_stays() -> None:
    bench = Bench()
    bench.post(NodeChanged(labelled("a")))
    bench.post(NodeChanged(labelled("b")), after=5.0)
    bench.finish(Applied())
    bench.post(Resync(), after=0.1)
    assert bench.runs == []
    bench.wait(SETTLE_SECONDS)
    bench.finish()
    assert bench.configs == ["a", "b"]


def test_a_config_file_that_changes_during_an_attempt_is_applied_after_it() -> None:
    bench = Bench()
    bench.post(NodeChanged(labelled("a")))
    bench.post(InputsChanged())
    bench.finish(Applied())
    bench.wait(0.0)
    bench.finish(Applied())
    bench.wait(0.0)
    assert bench.configs == ["a", "a"]
    assert bench.runs == []


def test_a_policy_that_changes_during_an_attempt_ends_the_delay_after_a_failure() -> None:
    bench = Bench()
    bench.post(NodeChanged(labelled("a")))
    bench.post(NodeChanged(labelled("a", **{ANNOTATION: "evict"})))
    bench.wait(SETTLE_SECONDS)
    bench.finish(FAILED)
    bench.wait(0.0)
    bench.finish(Applied())
    assert [request.policy for request in bench.requests] == [BusyPolicy.WAIT, BusyPolicy.EVICT]


def test_a_new_policy_alone_changes_no_state() -> None:
    bench = Bench()
    bench.follow("a", Applied())
    bench.post(NodeChanged(labelled("a", **{ANNOTATION: "evict"})))
    bench.wait(SETTLE_SECONDS)
    bench.finish(Applied())
    assert [each.reason for each in bench.recorder.shown] == [Reason.APPLIED]


def test_a_removed_label_changes_no_layout() -> None:
    bench = Bench()
    bench.follow("a", Applied())
    bench.follow(None, Applied())
    assert bench.configs == ["a", None]
    assert bench.reason == Reason.NOT_REQUESTED


def test_an_empty_label_is_no_label() -> None:
    bench = Bench()
    bench.follow("", Applied())
    assert bench.configs == [None]


def test_busy_devices_are_checked_again_and_their_users_are_named() -> None:
    bench = Bench()
    bench.follow("a", BUSY)
    assert bench.reason == Reason.WAITING
    assert "pod ml/train-0 uses MIG-1" in bench.recorder.shown[-1].message
    bench.wait(POLL_SECONDS)
    bench.finish(Applied())
    assert [request.is_overdue for request in bench.requests] == [False, False]
    assert bench.reason == Reason.APPLIED


def test_after_the_timeout_the_state_is_failed_and_the_layout_is_still_applied_later() -> None:
    bench = Bench(busy_timeout=10.0)
    bench.follow("a", BUSY)
    bench.wait(10.0)
    bench.finish(BUSY)
    assert bench.requests[-1].is_overdue
    assert bench.reason == Reason.IN_USE
    assert "pod ml/train-0" in bench.recorder.shown[-1].message
    bench.wait(300.0)
    bench.finish(Applied())
    assert bench.reason == Reason.APPLIED


def test_without_a_timeout_the_agent_waits_for_ever() -> None:
    bench = Bench(busy_timeout=None)
    bench.follow("a", BUSY)
    bench.wait(1e6)
    bench.finish(BUSY)
    assert bench.reason == Reason.WAITING


def test_a_failure_is_retried_after_growing_delays() -> None:
    bench = Bench()
    bench.follow("a", FAILED)
    delays = []
    for _ in range(4):
        due = bench.timers.next_due()
        assert due is not None
        delays.append(due - bench.now)
        bench.wait(delays[-1])
        bench.finish(FAILED)
    assert delays == sorted(set(delays))
    assert bench.reason == Reason.FAILED
    assert "GPU 0 is lost" in str(bench.services.readiness.problems()["mig-manager/layout"])


def test_a_new_label_and_a_new_config_end_the_delay_after_a_failure() -> None:
    bench = Bench()
    bench.follow("a", FAILED)
    bench.post(InputsChanged())
    bench.finish(FAILED)
    bench.follow("b", Applied())
    assert bench.configs == ["a", "a", "b"]
    assert bench.reason == Reason.APPLIED


def test_a_layout_that_somebody_else_has_changed_is_restored() -> None:
    bench = Bench()
    bench.follow("a", Applied())
    bench.post(Resync())
    bench.progress = Progress("changing layouts", is_changing=True)
    bench.post(Wake())
    assert bench.reason == Reason.APPLYING
    bench.finish(Applied(changes=("GPU 0: 1g.10gb created",)))
    assert bench.reason == Reason.APPLIED


def test_during_a_release_the_state_stays_and_the_next_resync_attempts_again() -> None:
    bench = Bench()
    bench.follow("a", Applied())
    bench.post(Resync())
    bench.finish(Released())
    assert (bench.reason, bench.timers.is_set("attempt")) == (Reason.APPLIED, False)
    bench.post(Resync())
    assert len(bench.runs) == 1


def test_configs_that_are_not_read_yet_change_no_state_and_do_not_end_the_wait_of_the_device_plugin() -> None:
    bench = Bench()
    bench.follow("a", NotReady())
    assert (bench.recorder.shown, bench.settled) == ([], 0)
    bench.post(InputsChanged())
    bench.finish(Applied())
    assert (bench.reason, bench.settled) == (Reason.APPLIED, 1)


def test_the_node_shows_a_planned_reboot_before_the_attempt_that_reboots() -> None:
    bench = Bench()
    bench.follow("a", Rebooting(message="The node is rebooted."))
    status = bench.recorder.shown[-1]
    assert (status.reason, str(status.state), status.message) == (
        Reason.REBOOTING,
        "rebooting",
        "The node is rebooted.",
    )
    assert bench.recorder.recorded[-1] == status
    assert (bench.runs, bench.settled) == ([], 0)
    bench.wait(REBOOT_SECONDS)
    assert len(bench.runs) == 1


def test_an_attempt_that_does_not_end_is_reported_with_its_step() -> None:
    bench = Bench()
    bench.post(NodeChanged(labelled("a")))
    bench.progress = Progress("changing GPU 3", is_changing=True)
    bench.wait(HANG_SECONDS)
    assert bench.reason != Reason.HANGS
    bench.wait(HANG_SECONDS)
    assert bench.reason == Reason.HANGS
    assert "changing GPU 3" in bench.recorder.shown[-1].message
    assert bench.recorder.shown[-1].is_failed
    bench.finish(Applied())
    assert bench.reason == Reason.APPLIED


def test_a_step_may_wait_for_others_and_each_step_has_its_own_time() -> None:
    bench = Bench()
    bench.post(NodeChanged(labelled("a")))
    for waits in (0.0, 300.0, 240.0, 0.0):
        bench.progress = Progress("changing GPU 3", is_changing=True, waits=waits)
        bench.wait(HANG_SECONDS)
        bench.wait(waits)
    assert bench.reason == Reason.APPLYING
    bench.wait(HANG_SECONDS)
    assert bench.reason == Reason.HANGS


def test_an_attempt_that_waits_for_a_previous_one_is_reported_as_such() -> None:
    bench = Bench()
    bench.post(NodeChanged(labelled("a")))
    bench.wait(200.0)
    assert bench.recorder.shown[-1].message.endswith("The agent is waiting for the previous attempt.")


def test_a_driver_that_is_not_loaded_yet_does_not_end_the_wait_of_the_device_plugin() -> None:
    bench = Bench()
    bench.follow("a", replace(FAILED, has_driver=False))
    assert (bench.reason, bench.settled) == (Reason.FAILED, 0)
    bench.post(Resync())
    bench.finish(Applied())
    assert bench.settled == 1


def test_the_recovery_of_a_change_on_a_node_without_a_config_shows_no_state() -> None:
    bench = Bench()
    bench.post(NodeChanged(labelled(None)))
    bench.progress = Progress("completing an interrupted change of GPU-1", is_changing=True)
    bench.post(Wake())
    assert bench.recorder.shown == []


def test_without_the_node_nothing_starts() -> None:
    bench = Bench()
    for message in (Resync(), InputsChanged(), NodeUnavailable(KubeError("down"))):
        bench.post(message)
    assert bench.runs == []


def test_the_annotation_of_the_node_selects_the_policy() -> None:
    bench = Bench()
    bench.post(NodeChanged(labelled("a", **{ANNOTATION: "evict"})))
    bench.finish()
    assert bench.requests[0].policy is BusyPolicy.EVICT


def test_an_annotation_that_is_not_valid_is_reported() -> None:
    bench = Bench()
    bench.post(NodeChanged(labelled("a", **{ANNOTATION: "kill"})))
    assert "'kill'" in str(bench.services.readiness.problems()["mig-manager/busy-policy"])


def test_a_restart_records_no_event_for_a_state_that_the_node_already_shows() -> None:
    bench = Bench()
    message = "The GPUs have the layout of the MIG config a."
    condition = ObservedCondition(status="True", reason="Applied", message=message)
    bench.post(NodeChanged(replace(labelled("a"), conditions={MIG_CONFIGURED: condition})))
    bench.finish(Applied())
    assert bench.recorder.recorded == []


def test_an_attempt_that_raises_an_unexpected_error_has_failed() -> None:
    bench = Bench()

    def fail(_: Request) -> Outcome:
        raise RuntimeError("bug")

    bench.controller._attempts._run = fail
    bench.follow("a")
    assert bench.reason == Reason.FAILED
    assert "RuntimeError: bug" in bench.recorder.shown[-1].message


@pytest.mark.parametrize("outcome", [Applied(), FAILED, BUSY])
def test_each_result_ends_the_wait_of_the_device_plugin(outcome: Outcome) -> None:
    bench = Bench()
    bench.follow("a", outcome)
    assert bench.settled == 1
