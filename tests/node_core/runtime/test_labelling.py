"""The life of a labelling agent, message by message, with a clock and chance of our own."""

from collections.abc import Callable, Sequence
from pathlib import Path

from structlog.testing import capture_logs

from node_core.domain.labels import Collected, Labels
from node_core.domain.node import NodeView
from node_core.errors import KubeError
from node_core.runtime.instance import InstanceLock
from node_core.runtime.labelling import LabelAgent
from node_core.runtime.mailbox import Mailbox
from node_core.runtime.messages import AgentMessage, NodeLost, NodeSeen, Pass, RulesChanged, Stop
from node_core.runtime.readiness import STUCK_AFTER, Readiness
from node_core.runtime.services import Services


class Clock:
    now = 1000.0

    def __call__(self) -> float:
        return self.now


class Node:
    """A publisher with a Node of its own that others may change."""

    def __init__(self) -> None:
        self.view: NodeView | None = None
        self.writes: list[Labels] = []
        self.failing: KubeError | None = None
        self.version = 0

    def state(self, labels: Labels) -> NodeView:
        self.version += 1
        return NodeView(
            name="n", uid="u", resource_version=str(self.version), labels=labels, owned={"gfd": frozenset(labels)}
        )

    def known(self) -> Labels | None:
        return None if self.view is None else self.view.applied_by("gfd")

    def is_current(self, labels: Labels) -> bool:
        return labels == self.known()

    def observe(self, view: NodeView) -> None:
        self.view = view

    def refresh(self) -> None:
        if self.failing:
            raise self.failing
        self.view = self.state({})

    def publish(self, labels: Labels) -> bool:
        if self.failing:
            raise self.failing
        if labels == self.known():
            return False
        self.writes.append(dict(labels))
        self.view = self.state(labels)
        return True


class Bench:
    """An agent, its surroundings, and `play`: messages handled in order, then whatever is due at the clock's time."""

    def __init__(self, collect: Callable[[], Sequence[Collected]]) -> None:
        self.clock = Clock()
        self.node = Node()
        self.services = Services(readiness=Readiness(self.clock), clock=self.clock, chance=lambda: 0.0)
        self.agent = LabelAgent(
            "gfd", collect=collect, publisher=self.node, services=self.services, volatile=frozenset({"x/time"})
        )

    def play(self, *messages: AgentMessage | None) -> None:
        for message in messages:
            self.agent._handle(message)

    def seen(self, labels: Labels) -> NodeSeen:
        return NodeSeen(self.node.state(labels))

    def why(self) -> str | None:
        return self.services.readiness.problems().get("gfd/published")


def gpu(labels: Labels | None) -> Callable[[], Sequence[Collected]]:
    return lambda: [Collected(name="nvml", labels=labels, owns=("x/",))]


def test_a_pass_waits_for_the_node_and_goes_out_when_it_is_seen() -> None:
    bench = Bench(gpu({"x/count": "8"}))
    bench.play(Pass())
    assert bench.node.writes == []
    bench.play(bench.seen({}))
    assert bench.node.writes == [{"x/count": "8"}]
    assert bench.why() is None


def test_steady_state_writes_nothing() -> None:
    times = iter(range(1000))
    bench = Bench(lambda: [Collected(name="nvml", labels={"x/count": "8", "x/time": str(next(times))}, owns=("x/",))])
    bench.play(bench.seen({}), *[Pass()] * 1000)
    assert len(bench.node.writes) == 1


def test_a_failing_look_keeps_what_an_earlier_process_published() -> None:
    bench = Bench(gpu(None))
    bench.play(bench.seen({"x/count": "8"}), Pass())
    assert bench.node.writes == []
    assert bench.node.known() == {"x/count": "8"}


def test_a_refused_label_is_said_once_and_the_rest_is_published() -> None:
    bench = Bench(gpu({"x/good": "1", "x/bad": "not a value"}))
    with capture_logs() as logs:
        bench.play(bench.seen({}), Pass(), Pass())
    assert bench.node.writes == [{"x/good": "1"}]
    assert [entry["key"] for entry in logs if entry["event"] == "label_refused"] == ["x/bad"]
    assert b'gpunode_labels_refused{agent="gfd"} 1.0' in bench.services.metrics.render()


def test_an_api_outage_is_retried_with_growing_delays_and_published_after() -> None:
    bench = Bench(gpu({"x/count": "8"}))
    bench.play(bench.seen({}))
    bench.node.failing = KubeError("down", status=0)
    bench.play(Pass())
    assert bench.why() == "down"
    waits = []
    for _ in range(8):
        assert bench.agent._retry_at is not None
        waits.append(bench.agent._retry_at - bench.clock.now)
        bench.clock.now = bench.agent._retry_at
        bench.play(None)
    assert waits == [0.5, 1, 2, 4, 8, 16, 30, 30]
    bench.node.failing = None
    assert bench.agent._retry_at is not None
    bench.clock.now = bench.agent._retry_at
    bench.play(None, None)
    assert bench.node.writes == [{"x/count": "8"}]
    assert bench.why() is None
    assert bench.agent._retry_at is None


def test_an_hour_without_the_api_and_a_restart_in_it_lose_nothing() -> None:
    before = Bench(gpu({"x/count": "8", "x/driver": "550"}))
    before.play(before.seen({}), Pass())
    published = before.node.known()
    before.node.failing = KubeError("down")
    after = Bench(gpu({"x/count": "7", "x/driver": "550"}))
    after.node.failing = KubeError("down")
    for bench in (before, after):  # the first half hour, a restart, the second
        end = bench.clock.now + 1800
        while bench.clock.now < end:
            bench.play(Pass(), NodeLost(KubeError("down")))
            bench.clock.now = max(bench.agent._retry_at or 0, bench.clock.now + 60)
            bench.play(None)
    assert before.node.known() == published
    assert after.node.writes == []
    after.node.failing = None
    after.play(after.seen({"x/count": "8", "x/driver": "550"}))
    assert after.node.writes == [{"x/count": "7", "x/driver": "550"}]


def test_other_changes_of_the_node_do_not_cut_a_wait_short() -> None:
    bench = Bench(gpu({"x/count": "8"}))
    bench.play(bench.seen({}))
    bench.node.failing = KubeError("down", status=503)
    bench.play(Pass())
    tries = bench.services.metrics.render().count(b'check="published"')
    waits = bench.agent._retry_at
    for _ in range(20):
        bench.play(bench.seen({}))
    assert bench.agent._retry_at == waits, "an unrelated change is no reason to ask again"
    assert bench.services.metrics.render().count(b'check="published"') == tries


def test_a_person_who_insists_is_answered_ever_slower_whatever_else_changes_on_the_node() -> None:
    bench = Bench(gpu({"x/count": "8"}))
    bench.play(bench.seen({}), Pass())
    for _ in range(10):
        bench.play(bench.seen({}), bench.seen({}))
    assert len(bench.node.writes) == 2


def test_a_collector_that_fails_is_shown_until_it_recovers_and_one_that_is_gone_is_not() -> None:
    parts = [Collected(name="pci", labels=None, owns=("x/",)), Collected(name="pci", labels={}, owns=("x/",))]
    bench = Bench(lambda: parts)
    bench.play(Pass())
    assert b'gpunode_collector_failed{agent="gfd",collector="pci"} 1.0' in bench.services.metrics.render()
    parts[:] = []
    bench.play(Pass())
    assert b"collector_failed{" not in bench.services.metrics.render()


def test_the_return_of_the_api_is_used_at_once() -> None:
    bench = Bench(gpu({"x/count": "8"}))
    bench.play(bench.seen({}))
    bench.node.failing = KubeError("down")
    bench.play(Pass(), NodeLost(KubeError("down")))
    assert bench.services.readiness.problems()["gfd/node"] == "down"
    bench.node.failing = None
    bench.play(bench.seen({}))
    assert bench.node.writes == [{"x/count": "8"}]
    assert bench.services.readiness.problems()["gfd/node"] is None


def test_labels_that_somebody_changed_come_back_at_once_and_then_ever_slower() -> None:
    bench = Bench(gpu({"x/count": "8"}))
    bench.play(bench.seen({}), Pass())
    bench.play(bench.seen({}))
    assert len(bench.node.writes) == 2
    bench.play(bench.seen({}))
    assert len(bench.node.writes) == 2, "a fight is not answered at once"
    assert bench.agent._retry_at == bench.clock.now + 0.5
    bench.clock.now += 1
    bench.play(None)
    assert len(bench.node.writes) == 3


def test_an_unchanged_node_is_no_reason_to_write() -> None:
    bench = Bench(gpu({"x/count": "8"}))
    bench.play(bench.seen({}), Pass())
    for _ in range(100):
        bench.play(bench.seen({"x/count": "8"}))
    assert len(bench.node.writes) == 1


def test_changed_rules_are_looked_at_at_once_and_then_at_most_once_a_second() -> None:
    looks: list[float] = []

    def collect() -> Sequence[Collected]:
        looks.append(bench.clock.now)
        return []

    bench = Bench(collect)
    bench.play(bench.seen({}), Pass())
    bench.clock.now += 5
    bench.play(RulesChanged())
    assert looks == [1000, 1005]
    for _ in range(40):
        bench.clock.now += 0.125
        bench.play(RulesChanged(), None)
    assert looks == [1000, *range(1005, 1011)]
    bench.play(*[None] * 10)
    assert len(looks) == 7, "a change that was looked at is done with"


def test_an_agent_that_waits_to_look_again_wakes_for_it() -> None:
    waits: list[float] = []
    bench = Bench(gpu({}))
    bench.play(bench.seen({}), Pass(), RulesChanged())
    bench.clock.now += 0.25

    class Noted(Mailbox[AgentMessage]):
        def take(self, timeout: float | None = None) -> AgentMessage | None:
            waits.append(timeout or 0.0)
            return None

    bench.agent.mailbox = Noted()
    bench.agent._next()
    assert waits == [0.75]


def test_one_shot_publishes_or_says_that_it_could_not() -> None:
    bench = Bench(gpu({"x/count": "8"}))
    assert bench.agent.run_once()
    assert bench.node.writes == [{"x/count": "8"}]
    bench = Bench(gpu({"x/count": "8"}))
    bench.node.failing = KubeError("no such Node", status=404)
    assert not bench.agent.run_once()
    assert bench.why() == "no such Node"


def test_the_second_agent_of_a_node_waits_and_says_who_has_it(tmp_path: Path) -> None:
    first = InstanceLock(tmp_path, "gfd", "n")
    assert first.acquire() is None
    bench = Bench(gpu({"x/count": "8"}))
    bench.agent._lock = InstanceLock(tmp_path, "gfd", "n")
    bench.agent.mailbox.post(Stop())
    bench.agent.run()
    assert "another process (pid" in (bench.services.readiness.problems()["gfd/instance"] or "")
    first.release()
    bench.agent.mailbox.post(Stop())
    bench.agent.run()
    assert bench.services.readiness.problems()["gfd/instance"] is None
    bench.agent.close()


def test_a_lock_that_cannot_be_made_is_no_reason_to_stand_still(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with capture_logs() as logs:
        assert InstanceLock(tmp_path / "file", "gfd", "n").acquire() is None
    assert logs[0]["event"] == "instance_lock_unavailable"


def test_waiting_for_a_message_is_a_sign_of_life() -> None:
    bench = Bench(gpu({}))
    bench.services.readiness.beat("gfd")
    bench.clock.now += STUCK_AFTER + 1
    assert bench.services.readiness.stuck() == ("gfd",)
    bench.agent.mailbox.post(Stop())
    bench.agent.run()
    assert bench.services.readiness.stuck() == ()
