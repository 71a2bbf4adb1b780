"""The controller: what it shows, and when it tries again."""

from collections.abc import Callable

import pytest

from gpu_toolkit.agent import CHECK, ToolkitController, state_event
from gpu_toolkit.build import NoRuntimeError
from gpu_toolkit.model import Assessment, Reason
from node_core.domain.events import Event
from node_core.errors import NodeError, RuntimeConfigError
from node_core.runtime.control_loop import Timers
from node_core.runtime.messages import Resync
from node_core.runtime.services import Services

READY = Assessment(reason=Reason.READY, message="Pods get GPUs by CDI.")
CHANGED = Assessment(reason=Reason.READY, message="CDI is on now.", is_changed=True)
REFUSED = Assessment(reason=Reason.REFUSED, message="The old config is back.")


class Bench:
    """A controller whose runtime and time the test controls."""

    def __init__(self) -> None:
        self.now = 100.0
        self.timers = Timers(lambda: self.now)
        self.services = Services(clock=lambda: self.now, wall=lambda: 0.0, chance=lambda: 0.5)
        self.outcome: Assessment | NodeError = READY
        self.events: list[Event] = []
        self.passes = 0
        self.controller = ToolkitController(
            self.services, self.timers, run=self.run, events=self, node_name="n1"  # type: ignore[arg-type]
        )  # fmt: skip
        self.controller.start()

    def run(self) -> Assessment:
        self.passes += 1
        if isinstance(self.outcome, NodeError):
            raise self.outcome
        return self.outcome

    def record(self, source: Callable[[], tuple[Event, ...]]) -> None:
        self.events += source()

    def step(self, outcome: Assessment | NodeError) -> None:
        self.outcome = outcome
        self.controller.handle(Resync())
        self.wake()

    def wake(self) -> None:
        for name in self.timers.pop_due():
            self.controller.timer(name)

    @property
    def problem(self) -> str | None:
        return self.services.readiness.problems()[CHECK]

    @property
    def reason(self) -> str:
        return (
            self.services.metrics.render()
            .decode()
            .partition('gpunode_runtime_reason{agent="gpu-toolkit",reason="')[2]
            .partition('"')[0]
        )


def test_a_runtime_with_cdi_is_ready_and_causes_no_event() -> None:
    bench = Bench()
    before = bench.problem
    bench.wake()
    assert (before, bench.problem, bench.reason, bench.events) == ("not completed yet", None, "CDIReady", [])


def test_a_change_and_a_failure_are_events() -> None:
    bench = Bench()
    for state in (CHANGED, CHANGED, REFUSED, REFUSED):
        bench.step(state)
    assert [(event.reason, event.is_warning) for event in bench.events] == [
        ("RuntimeCDIReady", False),
        ("RuntimeChangeFailed", True),
    ]
    assert (bench.problem, bench.reason) == ("The old config is back.", "ChangeFailed")


def test_an_error_is_shown_and_tried_again_with_a_growing_delay() -> None:
    bench = Bench()
    bench.step(RuntimeConfigError("the runtime did not answer"))
    assert (bench.problem, bench.reason, bench.passes) == ("the runtime did not answer", "RuntimeUnknown", 1)
    bench.step(RuntimeConfigError("the runtime did not answer"))
    assert bench.passes == 1  # a periodic pass does not shorten the delay
    bench.now += 300.0
    bench.wake()
    assert bench.passes == 2


def test_a_node_without_a_runtime_has_its_own_reason() -> None:
    bench = Bench()
    bench.step(NoRuntimeError("no container runtime was found", hint="set --runtime-socket"))
    assert (bench.problem, bench.reason) == ("no container runtime was found (set --runtime-socket)", "RuntimeNotFound")


@pytest.mark.parametrize(
    "reason", [each for each in Reason if each not in (Reason.READY, Reason.LEGACY, Reason.REVERTED)]
)
def test_every_reason_that_needs_somebody_fails_readiness(reason: Reason) -> None:
    bench = Bench()
    bench.step(Assessment(reason=reason, message="Do this."))
    assert bench.problem == "Do this."


def test_an_event_is_about_the_node() -> None:
    event = state_event(REFUSED, 0.0, "n1")
    assert (event.about.kind, event.about.name, event.at, event.note) == (
        "Node",
        "n1",
        "1970-01-01T00:00:00Z",
        REFUSED.message,
    )
