"""The controller: when the checks run, and what the Node shows."""

from collections.abc import Callable
from typing import Any

import pytest

from gpu_validator.agent import (
    FIRST_SECONDS,
    HANG_SECONDS,
    HANGS,
    INTERVAL_SECONDS,
    SETTLE_SECONDS,
    ValidatorController,
)
from gpu_validator.check import Name, Report, failed, passed
from gpu_validator.inputs import Inputs
from gpu_validator.kubelet import NodeState
from gpu_validator.runner import ValidationRunner
from gpu_validator.status import Status
from node_core.domain.conditions import GPU_VALIDATED, Condition, ObservedCondition
from node_core.domain.node import NodeView
from node_core.errors import KubeError
from node_core.runtime.control_loop import Timers
from node_core.runtime.messages import InputsChanged, NodeChanged, NodeUnavailable, Resync, Wake
from node_core.runtime.services import Services
from node_core.values import replace

NODE = NodeView(name="n1", uid="A", resource_version="1", labels={}, allocatable={"nvidia.com/gpu": "8", "cpu": "4"})
VALID = Report(checks=(passed(Name.DRIVER, "works"),))
INVALID = Report(checks=(failed(Name.CDI, "it is broken", "repair it"),))


class Bench:
    """A controller whose validations, inputs and time the test controls. files: the reports that were written; None for a removal."""

    def __init__(self) -> None:
        self.now = 100.0
        self.timers = Timers(lambda: self.now)
        self.services = Services(clock=lambda: self.now, chance=lambda: 0.5)
        self.runs: list[Callable[[], None]] = []
        self.states: list[NodeState] = []
        self.result: Report | Exception = VALID
        self.specs = 0
        self.shown: list[Status] = []
        self.recorded: list[Condition] = []
        self.files: list[Report | None] = []
        self.files_problem: str | None = None
        parts: Any = {"writer": self, "events": self}
        self.controller = ValidatorController(
            self.services,
            self.timers,
            validate=self._validate,
            read_inputs=lambda node: Inputs(node=node, nodes=(str(self.specs),)),
            runner=ValidationRunner(lambda: None, start=self.runs.append),
            write_files=self._write_files,
            **parts,
        )
        self.controller.start()

    def observe(self, node: NodeView) -> None: ...

    def desire(self, status: Status) -> None:
        self.shown.append(status)

    def record(self, condition: Condition) -> None:
        self.recorded.append(condition)

    def _validate(self, node: NodeState) -> Report:
        self.states.append(node)
        if isinstance(self.result, Exception):
            raise self.result
        return self.result

    def _write_files(self, report: Report | None) -> str | None:
        self.files.append(report)
        return self.files_problem

    def post(self, message: Any) -> None:
        """As the loop does."""
        self.controller.handle(message)
        self.wait(0.0)

    def wait(self, seconds: float) -> None:
        self.now += seconds
        for name in self.timers.pop_due():
            self.controller.timer(name)
        self.controller.reconcile()

    def finish(self, result: Report | Exception = VALID) -> None:
        """Lets the running validation end."""
        self.result = result
        self.runs.pop(0)()
        self.post(Wake())

    def validated(self, result: Report = VALID) -> "Bench":
        self.post(NodeChanged(NODE))
        self.finish(result)
        return self

    def change(self) -> None:
        self.specs += 1
        self.post(InputsChanged())


def test_the_first_validation_starts_with_the_node() -> None:
    bench = Bench()
    bench.post(NodeChanged(NODE))
    bench.finish()
    assert bench.states == [NodeState(allocatable={"nvidia.com/gpu": "8"})]
    assert [each.condition.reason for each in bench.shown if each.condition] == ["Validated"]


def test_without_the_node_the_first_validation_starts_later() -> None:
    bench = Bench()
    bench.post(NodeUnavailable(KubeError("down")))
    assert bench.runs == []
    bench.wait(FIRST_SECONDS)
    bench.finish()
    assert bench.states == [NodeState()]
    assert bench.files[-1] == VALID


def test_the_files_of_an_earlier_process_are_removed_at_the_start_and_own_ones_at_the_end() -> None:
    bench = Bench()
    assert bench.files == [None]
    bench.validated()
    bench.controller.close(is_final=False)
    assert bench.files == [None, VALID]
    bench.controller.close(is_final=True)
    assert bench.files[-1] is None


def test_without_a_change_nothing_runs_again() -> None:
    bench = Bench().validated()
    for message in (Resync(), InputsChanged(), NodeChanged(replace(NODE, labels={"a": "b"})), Wake()):
        bench.post(message)
        bench.wait(1000.0)
    assert (bench.runs, bench.timers.next_due()) == ([], None)


@pytest.mark.parametrize("amount", ["7", "0"])
def test_other_allocatable_gpus_start_a_validation(amount: str) -> None:
    bench = Bench().validated()
    bench.wait(INTERVAL_SECONDS)
    bench.post(NodeChanged(replace(NODE, allocatable={"nvidia.com/gpu": amount})))
    bench.wait(SETTLE_SECONDS)
    assert len(bench.runs) == 1


def test_changes_that_arrive_together_start_one_validation() -> None:
    bench = Bench().validated()
    bench.wait(INTERVAL_SECONDS)
    for _ in range(20):
        bench.change()
    assert bench.runs == []
    bench.wait(SETTLE_SECONDS)
    bench.finish()
    bench.wait(1000.0)
    assert len(bench.states) == 2


def test_inputs_that_flap_start_validations_only_at_the_maximum_rate() -> None:
    bench = Bench().validated()
    for _ in range(600):
        bench.change()
        bench.wait(0.1)
        if bench.runs:
            bench.finish()
    assert 60 // (INTERVAL_SECONDS + 2 * SETTLE_SECONDS) <= len(bench.states) - 1 <= 60 // INTERVAL_SECONDS


def test_a_change_during_a_validation_starts_another_one() -> None:
    bench = Bench()
    bench.post(NodeChanged(NODE))
    bench.change()
    bench.wait(INTERVAL_SECONDS + SETTLE_SECONDS)
    assert len(bench.runs) == 1
    bench.finish()
    bench.wait(SETTLE_SECONDS)
    bench.finish()
    assert (len(bench.states), bench.timers.next_due()) == (2, None)


def test_a_failure_is_checked_again_after_growing_delays() -> None:
    bench = Bench().validated(INVALID)
    delays = []
    for _ in range(4):
        due = bench.timers.next_due()
        assert due is not None
        delays.append(due - bench.now)
        bench.wait(delays[-1])
        bench.finish(INVALID)
    assert delays == sorted(set(delays))
    bench.wait(300.0)
    bench.finish(VALID)
    assert bench.timers.next_due() is None


def test_a_failure_removes_files_and_shows_its_reason_and_records_one_event() -> None:
    bench = Bench().validated()
    bench.wait(INTERVAL_SECONDS)
    bench.change()
    bench.wait(SETTLE_SECONDS)
    bench.finish(INVALID)
    bench.wait(1000.0)
    bench.finish(INVALID)
    assert bench.files[-1] == INVALID
    assert [each.reason for each in bench.recorded] == ["Validated", "CDIFailed"]


def test_a_restart_records_no_event_for_a_result_that_the_node_already_shows() -> None:
    shown = ObservedCondition(status="True", reason="Validated", message="other")
    bench = Bench()
    bench.post(NodeChanged(replace(NODE, conditions={GPU_VALIDATED: shown})))
    bench.finish()
    assert bench.recorded == []


def test_a_node_without_gpus_gets_no_condition_and_no_event() -> None:
    bench = Bench().validated(Report(has_gpus=False))
    assert (bench.shown, bench.recorded) == ([Status(condition=None)], [])
    assert bench.timers.next_due() is None


def test_an_unexpected_error_retains_the_result_and_is_followed_by_another_attempt() -> None:
    bench = Bench().validated()
    bench.wait(INTERVAL_SECONDS)
    bench.change()
    bench.wait(SETTLE_SECONDS)
    bench.finish(RuntimeError("bug"))
    assert (len(bench.shown), bench.files[-1]) == (1, VALID)
    bench.wait(1000.0)
    assert len(bench.runs) == 1


def test_a_validation_that_hangs_is_a_failure_until_it_ends() -> None:
    bench = Bench().validated()
    bench.wait(INTERVAL_SECONDS)
    bench.change()
    bench.wait(SETTLE_SECONDS)
    bench.wait(HANG_SECONDS)
    assert bench.shown[-1].condition is not None
    assert (bench.shown[-1].condition.reason, bench.files[-1]) == ("DriverFailed", HANGS)
    assert "have not ended after 600 s" in bench.shown[-1].condition.message
    bench.finish()
    assert (bench.files[-1], bench.timers.next_due()) == (VALID, None)


def test_without_a_thread_the_validation_is_attempted_again() -> None:
    bench = Bench()

    def refuse(_: Callable[[], None]) -> None:
        raise RuntimeError("cannot start a thread")

    bench.controller._runner._start = refuse
    bench.post(NodeChanged(NODE))
    bench.controller._runner._start = bench.runs.append
    bench.wait(1000.0)
    bench.finish()
    assert len(bench.shown) == 1


def test_files_that_cannot_be_written_are_reported() -> None:
    bench = Bench()
    bench.files_problem = "/run/nvidia/validations cannot be updated: Read-only file system"
    bench.validated()
    assert "Read-only" in str(bench.services.readiness.problems()["gpu-validator/files"])


def test_each_verdict_is_a_metric() -> None:
    bench = Bench().validated(INVALID)
    assert (
        b'gpunode_validation{agent="gpu-validator",check="cdi",verdict="failed"} 1.0' in bench.services.metrics.render()
    )
