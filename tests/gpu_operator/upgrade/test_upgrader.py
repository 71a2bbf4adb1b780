"""The clock of the upgrades."""

from gpu_operator.upgrade.keys import State
from gpu_operator.upgrade.upgrader import Upgrader
from node_core.errors import KubeError
from tests.gpu_operator.upgrade.fleet import DRIVER, GUARDED, START, Fleet, state
from tests.gpu_operator.upgrade.test_states import NO_DRAIN, only, upgrading


class Bench:
    """A Node whose pod is never evicted, with a time-out of 100 seconds. clock: monotonic seconds; wall: the clock of the host."""

    def __init__(self) -> None:
        self.clock, self.wall = 5.0, START
        self.fleet: Fleet = upgrading(at=State.DELETION, policy=NO_DRAIN)
        self.fleet.add_pod("web", "n0", labels={GUARDED: "yes"})
        self.upgrader = self.start()

    def start(self) -> Upgrader:
        return Upgrader(self.fleet, clock=lambda: self.clock, wall=lambda: self.wall)  # type: ignore[arg-type]

    def step(self, seconds: float) -> str:
        self.clock += seconds
        self.wall += seconds
        self.upgrader.reconcile(self.fleet.view())
        return state(only(self.fleet))


def test_a_timeout_ends_after_its_time() -> None:
    bench = Bench()
    assert [bench.step(50), bench.step(49), bench.step(1)] == [State.DELETION, State.DELETION, State.FAILED]


def test_a_clock_of_the_host_that_jumps_has_no_effect() -> None:
    bench = Bench()
    bench.wall += 1e6
    assert bench.step(99) == State.DELETION
    bench.wall -= 2e6
    assert bench.step(1) == State.FAILED


def test_after_a_restart_the_timeout_begins_again() -> None:
    bench = Bench()
    bench.step(99)
    bench.upgrader = bench.start()
    assert [bench.step(99), bench.step(1)] == [State.DELETION, State.FAILED]


def test_after_a_time_without_passes_the_timeout_begins_again() -> None:
    bench = Bench()
    assert [bench.step(600), bench.step(99), bench.step(1)] == [State.DELETION, State.DELETION, State.FAILED]


def test_during_an_outage_of_the_api_no_timeout_ends() -> None:
    bench = Bench()

    def refuse(_: int) -> None:
        raise KubeError("no response", status=0)

    bench.fleet.before = refuse
    assert {bench.step(10) for _ in range(60)} == {State.DELETION}
    bench.fleet.before = lambda _: None
    assert [bench.step(99), bench.step(1)] == [State.DELETION, State.FAILED]


def test_a_running_timeout_causes_passes() -> None:
    bench = Bench()
    assert bench.upgrader.reconcile(bench.fleet.view()).after_s == 5
    bench.step(100)
    assert bench.upgrader.reconcile(bench.fleet.view()).after_s is None
    (failed,) = bench.upgrader.status(bench.fleet.view())[DRIVER].failed
    assert (failed.node, "disruption budget guard" in failed.reason) == ("n0", True)
