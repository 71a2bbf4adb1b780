"""One pass at a time, only by the leader, only with a complete view, and repeated after failures."""

from collections.abc import Iterable
from dataclasses import dataclass, field

from gpu_operator.agent import RECONCILE, SETTLE_SECONDS, OperatorController, PassResult, count_nodes
from gpu_operator.cluster.client import NotLeaderError
from gpu_operator.view import ClusterView
from node_core.errors import KubeError
from node_core.runtime import metrics
from node_core.runtime.control_loop import Timers
from node_core.runtime.messages import InputsChanged, Resync, Wake
from node_core.runtime.services import Services
from tests.gpu_operator.clusters import driver, node, plan, pod


@dataclass
class Place:
    """outcomes: of the passes; True after the last one."""

    leads: bool = True
    view: ClusterView | None = field(default_factory=ClusterView)
    outcomes: Iterable[bool | Exception] = ()
    after_s: float | None = None
    interval: float | None = 60.0
    now: float = 0.0
    passes: int = 0

    def __post_init__(self) -> None:
        self._outcomes = iter(self.outcomes)
        self.services = Services(clock=lambda: self.now, chance=lambda: 0.0)
        self.timers = Timers(lambda: self.now)
        self.controller = OperatorController(
            self.services,
            self.timers,
            is_leader=lambda: self.leads,
            read_view=lambda: self.view,
            run_pass=self._run,
            interval=self.interval,
        )

    def _run(self, view: ClusterView) -> PassResult:
        self.passes += 1
        outcome = next(self._outcomes, True)
        if isinstance(outcome, Exception):
            raise outcome
        return PassResult(is_complete=outcome, after_s=self.after_s)

    def wait(self, seconds: float) -> None:
        self.now += seconds
        for name in self.timers.pop_due():
            self.controller.timer(name)

    def change(self) -> None:
        self.controller.handle(InputsChanged())

    def problem(self) -> str | None:
        return self.services.readiness.problems().get("gpu-operator/cluster")


def test_changes_that_arrive_together_cause_one_pass() -> None:
    place = Place()
    for _ in range(100):
        place.change()
    place.wait(SETTLE_SECONDS)
    assert place.passes == 1


def test_changes_that_never_stop_do_not_delay_the_pass() -> None:
    place = Place()
    for _ in range(10):
        place.change()
        place.wait(SETTLE_SECONDS / 2)
    assert place.passes == 5


def test_a_controller_that_does_not_lead_does_nothing_until_it_leads() -> None:
    place = Place(leads=False)
    place.change()
    place.wait(SETTLE_SECONDS)
    assert (place.passes, place.problem()) == (0, None), "a second controller is ready"
    place.leads = True
    place.controller.handle(Resync())
    place.wait(SETTLE_SECONDS)
    assert place.passes == 1


def test_a_view_that_is_not_complete_causes_no_pass() -> None:
    place = Place(view=None)
    place.change()
    place.wait(1000.0)
    assert place.passes == 0


def test_an_api_server_that_does_not_respond_delays_the_passes_and_is_reported() -> None:
    place = Place(outcomes=[KubeError("no response")] * 3, interval=None)
    place.change()
    place.wait(SETTLE_SECONDS)
    assert place.problem() == "no response"
    place.wait(0.5)
    place.wait(1.0)
    assert (place.passes, place.problem()) == (3, "no response")
    place.wait(2.0)
    assert place.passes == 4
    assert place.problem() is None
    assert not place.timers.is_set(RECONCILE)


def test_a_write_that_was_refused_is_repeated() -> None:
    place = Place(outcomes=[False])
    place.change()
    place.wait(SETTLE_SECONDS)
    assert place.problem() is not None
    place.wait(1.0)
    assert place.passes == 2
    assert place.problem() is None


def test_a_lost_lead_during_a_pass_is_no_problem() -> None:
    place = Place(outcomes=[NotLeaderError("lost")])
    place.change()
    place.wait(SETTLE_SECONDS)
    assert place.problem() is None


def test_a_controller_that_has_lost_the_lead_reports_neither_problems_nor_nodes() -> None:
    place = Place(outcomes=[KubeError("no response")])
    place.services.metrics.replace(metrics.DRIVER_NODES, "gpu-operator", {("gpu-operator", "default", "ready"): 3})
    place.change()
    place.wait(SETTLE_SECONDS)
    assert place.problem() == "no response"
    place.leads = False
    place.wait(1.0)
    assert (place.passes, place.problem()) == (1, None), "otherwise /readyz fails until this controller leads again"
    assert b"default" not in place.services.metrics.render(), "the nodes of the new leader would count twice"


def test_a_pass_follows_without_changes_after_the_interval() -> None:
    place = Place()
    place.change()
    place.wait(SETTLE_SECONDS)
    place.wait(60.0)
    assert place.passes == 2


def test_other_messages_cause_no_pass() -> None:
    place = Place()
    place.controller.handle(Wake())
    place.wait(1000.0)
    assert place.passes == 0


def test_the_metric_counts_the_nodes_of_each_object() -> None:
    nodes = (node("a"), node("b"), node("c", {"nvidia.com/gpu.deploy.driver": "false"}))
    assert count_nodes(plan(*nodes, drivers=[driver()], pods=[pod("a", ready=True)])) == {
        ("gpu-operator", "default", "ready"): 1,
        ("gpu-operator", "default", "waiting"): 1,
        ("gpu-operator", "default", "excluded"): 1,
    }


def test_an_upgrade_that_waits_causes_a_pass_before_the_interval() -> None:
    place = Place(after_s=5.0)
    place.change()
    place.wait(1)
    place.wait(4.9)
    assert place.passes == 1
    place.wait(0.1)
    assert place.passes == 2
