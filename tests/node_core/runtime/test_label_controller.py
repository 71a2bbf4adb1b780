"""The controller of a labelling agent, message by message, with a simulated clock and fixed randomness."""

from collections.abc import Callable, Mapping
from pathlib import Path

import pytest
from structlog.testing import capture_logs

from node_core.domain.desired import CollectorResult, Desired, failed_result
from node_core.domain.extended_resources import ResourcePlan
from node_core.domain.labels import Labels
from node_core.domain.node import NodeView
from node_core.domain.reconcile import FieldOwner
from node_core.domain.taints import Taint, TaintPlan, render_taint_annotation
from node_core.errors import KubeError
from node_core.publish.node import NodeWriter
from node_core.runtime.control_loop import Timers
from node_core.runtime.instance_lock import InstanceLock
from node_core.runtime.label_controller import CLOCK_CHECK, EXPIRY, RESTORE_WINDOW, RETRY, LabelController, LabelLoop
from node_core.runtime.mailbox import Mailbox
from node_core.runtime.messages import AgentMessage, InputsChanged, NodeChanged, NodeUnavailable, Resync, Stop
from node_core.runtime.readiness import STUCK_AFTER, Readiness
from node_core.runtime.services import Services
from node_core.values import replace

TAINTS_ANNOTATION = "example.com/taints"
TAINT = Taint(key="x/t", effect="NoSchedule")


class Clock:
    now = 1000.0

    def __call__(self) -> float:
        return self.now


class Node:
    """A Node in memory. Tests change it as other clients do. See NodeWriteApi."""

    def __init__(self) -> None:
        self.writes: list[Labels] = []
        self.reads = 0
        self.failing: KubeError | None = None
        self.version = 0
        self.now = self.state({})

    def state(self, labels: Labels, uid: str = "u") -> NodeView:
        """Returns a new state of the Node. The agent owns all labels."""
        self.version += 1
        self.now = NodeView(
            name="n", uid=uid, resource_version=str(self.version), labels=labels, owned={"gfd": frozenset(labels)}
        )
        return self.now

    def get(self) -> NodeView:
        self.reads += 1
        self._fail()
        return self.now

    def apply_labels(self, manager: str, labels: Labels, *, annotations: Mapping[str, str], force: bool) -> NodeView:
        self._fail()
        self.writes.append(dict(labels))
        others = {key: value for key, value in self.now.labels.items() if key not in self.now.owned.get(manager, ())}
        return self._changed(
            labels={**others, **labels},
            owned={**self.now.owned, manager: frozenset(labels)},
            annotations={**self.now.annotations, **annotations},
            owned_annotations={manager: frozenset(annotations)},
        )

    def set_capacity(self, manager: str, plan: ResourcePlan) -> NodeView:
        self._fail()
        return self._changed(capacity=plan.resources, owned_capacity={manager: frozenset(plan.resources)})

    def set_taints(self, manager: str, plan: TaintPlan, observed: NodeView, *, taints_annotation: str) -> NodeView:
        self._fail()
        if observed.resource_version != self.now.resource_version:
            raise KubeError("the Node has changed", status=409)
        return self._changed(
            taints=plan.taints,
            annotations={**self.now.annotations, taints_annotation: render_taint_annotation(plan.owned)},
        )

    def _changed(self, **fields: object) -> NodeView:
        self.version += 1
        self.now = replace(self.now, resource_version=str(self.version), **fields)  # type: ignore[arg-type]
        return self.now

    def _fail(self) -> None:
        if self.failing:
            raise self.failing


class Bench:
    """An agent with its loop. `play`: each message causes one wake-up. None is a wake-up by a timer or the heartbeat."""

    def __init__(
        self,
        collect: Callable[[NodeView | None], Desired],
        *,
        reads: Callable[[NodeView], object] = lambda _: None,
        lock: InstanceLock | None = None,
    ) -> None:
        self.clock = Clock()
        self.node = Node()
        self.services = Services(readiness=Readiness(self.clock), clock=self.clock, wall=self.clock, chance=lambda: 0.0)
        self.timers = Timers(self.clock)
        self.controller = LabelController(
            "gfd",
            collect=collect,
            writer=NodeWriter(self.node, FieldOwner(manager="gfd", taints_annotation=TAINTS_ANNOTATION)),
            services=self.services,
            timers=self.timers,
            reads=reads,
            volatile=frozenset({"x/time"}),
        )
        self.agent = LabelLoop(self.controller, self.services, mailbox=Mailbox(), timers=self.timers, lock=lock)

    def play(self, *messages: AgentMessage | None) -> None:
        for message in messages:
            self.agent._wake(message)

    def seen(self, labels: Labels, uid: str = "u") -> NodeChanged:
        return NodeChanged(self.node.state(labels, uid))

    @property
    def retry_at(self) -> float | None:
        return self.timers._deadlines.get(RETRY)

    def why(self) -> str | None:
        return self.services.readiness.problems().get("gfd/published")


def found(labels: Labels | None, **more: object) -> Desired:
    return Desired(results=(CollectorResult(name="nvml", labels=labels, owns=("x/",), **more),))  # type: ignore[arg-type]


def gpu(labels: Labels | None) -> Callable[[NodeView | None], Desired]:
    return lambda _: found(labels)


def test_the_first_write_waits_until_the_node_is_observed() -> None:
    bench = Bench(gpu({"x/count": "8"}))
    bench.play(Resync())
    assert bench.node.writes == []
    bench.play(bench.seen({}))
    assert bench.node.writes == [{"x/count": "8"}]
    assert bench.why() is None


def test_the_loop_collects_when_it_starts() -> None:
    bench = Bench(gpu({"x/count": "8"}))
    bench.controller.start()
    assert bench.why() == "not completed yet"
    bench.play(None, bench.seen({}))
    assert bench.node.writes == [{"x/count": "8"}]


def test_the_number_and_the_duration_of_collections_are_metrics() -> None:
    def collect(_: NodeView | None) -> Desired:
        bench.clock.now += 2.5
        return found({"x/count": "8"})

    bench = Bench(collect)
    bench.play(bench.seen({}), Resync())
    metrics = bench.services.metrics.render()
    assert b'gpunode_pass_seconds{agent="gfd"} 2.5' in metrics
    assert b'gpunode_passes_total{agent="gfd"} 1.0' in metrics


def test_steady_state_writes_nothing() -> None:
    times = iter(range(1000))
    bench = Bench(lambda _: found({"x/count": "8", "x/time": str(next(times))}))
    bench.play(bench.seen({}), *[Resync()] * 1000)
    assert (len(bench.node.writes), bench.node.reads) == (1, 0)


def test_a_failed_collection_retains_the_labels_of_a_previous_process() -> None:
    bench = Bench(gpu(None))
    bench.play(bench.seen({"x/count": "8"}), Resync())
    assert bench.node.writes == []
    assert bench.node.now.labels == {"x/count": "8"}


def test_removed_labels_of_this_process_are_restored_even_while_their_collector_fails() -> None:
    parts = [found({"x/count": "8"})]
    bench = Bench(lambda _: parts[-1])
    bench.play(bench.seen({}), Resync())
    parts.append(found(None))
    bench.play(Resync(), bench.seen({}))
    assert bench.node.writes == [{"x/count": "8"}] * 2


def test_a_refused_label_is_logged_once_and_the_other_labels_are_published() -> None:
    bench = Bench(gpu({"x/good": "1", "x/bad": "not a value"}))
    with capture_logs() as logs:
        bench.play(bench.seen({}), Resync(), Resync())
    assert bench.node.writes == [{"x/good": "1"}]
    assert [entry["key"] for entry in logs if entry["event"] == "label_refused"] == ["x/bad"]
    assert b'gpunode_labels_refused{agent="gfd"} 1.0' in bench.services.metrics.render()


def test_an_api_outage_is_retried_with_growing_delays_and_published_after() -> None:
    bench = Bench(gpu({"x/count": "8"}))
    bench.play(bench.seen({}))
    bench.node.failing = KubeError("down", status=0)
    bench.play(Resync())
    assert bench.why() == "down"
    waits = []
    for _ in range(8):
        assert bench.retry_at is not None
        waits.append(bench.retry_at - bench.clock.now)
        bench.clock.now = bench.retry_at
        bench.play(None)
    assert waits == [0.5, 1, 2, 4, 8, 16, 30, 30]
    bench.node.failing = None
    assert bench.retry_at is not None
    bench.clock.now = bench.retry_at
    bench.play(None, None)
    assert bench.node.writes == [{"x/count": "8"}]
    assert bench.why() is None
    assert bench.retry_at is None


@pytest.fixture
def delayed() -> Bench:
    """An agent whose failed write of x/count=8 is retried in 16 seconds. The API server responds again."""
    bench = Bench(gpu({"x/count": "8"}))
    bench.play(bench.seen({}))
    bench.node.failing = KubeError("down")
    bench.play(Resync())
    for _ in range(5):
        assert bench.retry_at is not None
        bench.clock.now = bench.retry_at
        bench.play(None)
    bench.node.failing = None
    bench.clock.now += 2
    return bench


def test_an_unchanged_collection_does_not_shorten_the_delay_of_a_retry(delayed: Bench) -> None:
    retry_at = delayed.retry_at
    delayed.play(InputsChanged(), None)
    assert (delayed.retry_at, delayed.node.writes) == (retry_at, [])


def test_a_changed_collection_is_written_without_the_delay_of_a_retry(delayed: Bench) -> None:
    delayed.controller._collect = gpu({"x/count": "9"})
    delayed.play(InputsChanged(), None)
    assert delayed.node.writes == [{"x/count": "9"}]


def test_a_periodic_pass_writes_without_the_delay_of_a_retry(delayed: Bench) -> None:
    delayed.play(Resync(), None)
    assert delayed.node.writes == [{"x/count": "8"}]


def test_an_hour_without_the_api_server_and_a_restart_remove_no_labels() -> None:
    before = Bench(gpu({"x/count": "8", "x/driver": "550"}))
    before.play(before.seen({}), Resync())
    published = before.node.now.labels
    before.node.failing = KubeError("down")
    after = Bench(gpu({"x/count": "7", "x/driver": "550"}))
    after.node.failing = KubeError("down")
    for bench in (before, after):  # the first half hour, a restart, the second
        end = bench.clock.now + 1800
        while bench.clock.now < end:
            bench.play(Resync(), NodeUnavailable(KubeError("down")))
            bench.clock.now = max(bench.retry_at or 0, bench.clock.now + 60)
            bench.play(None)
    assert before.node.now.labels == published
    assert after.node.writes == []
    after.node.failing = None
    after.play(after.seen({"x/count": "8", "x/driver": "550"}))
    assert after.node.writes == [{"x/count": "7", "x/driver": "550"}]


def test_other_changes_of_the_node_do_not_shorten_a_delay() -> None:
    bench = Bench(gpu({"x/count": "8"}))
    bench.play(bench.seen({}))
    bench.node.failing = KubeError("down", status=503)
    bench.play(Resync())
    tries = bench.services.metrics.render().count(b'check="published"')
    waits = bench.retry_at
    assert waits is not None
    for _ in range(20):
        bench.play(bench.seen({}))
    assert bench.retry_at == waits, "an unrelated change does not cause a write"
    assert bench.services.metrics.render().count(b'check="published"') == tries


def test_repeated_changes_of_labels_are_overwritten_with_growing_delays_despite_other_changes() -> None:
    bench = Bench(gpu({"x/count": "8"}))
    bench.play(bench.seen({}), Resync())
    for _ in range(10):
        bench.play(bench.seen({}), bench.seen({}))
    assert len(bench.node.writes) == 2


def test_the_metric_of_a_failed_collector_remains_until_the_collector_recovers_or_is_removed() -> None:
    pci = CollectorResult(name="pci", labels=None, owns=("x/",))
    parts = [pci, replace(pci, labels={})]
    bench = Bench(lambda _: Desired(results=tuple(parts)))
    bench.play(Resync())
    assert b'gpunode_collector_failed{agent="gfd",collector="pci"} 1.0' in bench.services.metrics.render()
    parts[:] = []
    bench.play(Resync())
    assert b"collector_failed{" not in bench.services.metrics.render()


def test_labels_are_written_at_once_when_the_api_server_responds_again() -> None:
    bench = Bench(gpu({"x/count": "8"}))
    bench.play(bench.seen({}))
    bench.node.failing = KubeError("down")
    bench.play(Resync(), NodeUnavailable(KubeError("down")))
    assert bench.services.readiness.problems()["gfd/node"] == "down"
    assert b'gpunode_errors_total{agent="gfd",check="node"} 1.0' in bench.services.metrics.render()
    bench.node.failing = None
    bench.play(bench.seen({}))
    assert bench.node.writes == [{"x/count": "8"}]
    assert bench.services.readiness.problems()["gfd/node"] is None


def test_labels_that_another_client_changes_are_restored_at_once_and_then_with_growing_delays() -> None:
    bench = Bench(gpu({"x/count": "8"}))
    bench.play(bench.seen({}), Resync())
    with capture_logs() as logs:
        bench.play(bench.seen({}))
        assert len(bench.node.writes) == 2
        bench.play(bench.seen({}))
        assert len(bench.node.writes) == 2, "repeated changes by another client are overwritten with a delay"
        assert bench.retry_at == bench.clock.now + 0.5
        bench.clock.now += 1
        bench.play(None)
        assert len(bench.node.writes) == 3
    assert [line["event"] for line in logs] == ["labels_restored"], "one line for all changes of the other client"


def test_an_unchanged_collection_does_not_shorten_the_delay_of_a_restore() -> None:
    bench = Bench(gpu({"x/count": "8"}), reads=lambda node: node.labels.get("y"))
    bench.play(bench.seen({}), Resync(), bench.seen({}), bench.seen({}))
    waits = bench.retry_at
    bench.play(bench.seen({"y": "1"}), InputsChanged())
    assert (bench.retry_at, len(bench.node.writes)) == (waits, 2)


def test_an_unchanged_node_causes_no_write() -> None:
    bench = Bench(gpu({"x/count": "8"}))
    bench.play(bench.seen({}), Resync())
    for _ in range(100):
        bench.play(bench.seen({"x/count": "8"}))
    assert len(bench.node.writes) == 1


def test_a_recreated_node_gets_all_outputs_at_once() -> None:
    outputs = {"annotations": {"x/a": "1"}, "taints": {TAINT.identity: TAINT}, "extended_resources": {"x.com/r": "2"}}
    parts = [found({"x/count": "8"}, **outputs)]
    bench = Bench(lambda _: parts[-1])
    bench.play(bench.seen({}), Resync())
    parts.append(Desired(results=(failed_result("everything"),)))
    bench.play(Resync())
    for uid in ("v", "w"):  # twice within the period in which repeated changes are overwritten with a delay
        bench.play(bench.seen({}, uid))
        now = bench.node.now
        assert (now.uid, now.labels, now.capacity) == (uid, {"x/count": "8"}, {"x.com/r": "2"})
        assert now.annotations == {TAINTS_ANNOTATION: "x/t:NoSchedule", "x/a": "1"}
        assert list(now.taints) == [{"key": "x/t", "effect": "NoSchedule"}]


def test_taints_are_planned_from_the_newest_state_and_not_from_the_first() -> None:
    bench = Bench(lambda _: found({}, taints={TAINT.identity: TAINT}))
    bench.play(bench.seen({}), Resync())
    assert len(bench.node.now.taints) == 1
    foreign = {"key": "other", "effect": "NoExecute"}
    changed = bench.node._changed(taints=(foreign,), annotations={})
    bench.play(NodeChanged(changed))
    assert list(bench.node.now.taints) == [foreign, {"key": "x/t", "effect": "NoSchedule"}]


def test_taints_are_planned_again_if_the_node_has_changed_meanwhile() -> None:
    bench = Bench(lambda _: found({}, taints={TAINT.identity: TAINT}))
    seen = bench.seen({})
    foreign = {"key": "other", "effect": "NoExecute"}
    bench.node._changed(taints=(foreign,))
    bench.play(seen, Resync())
    assert list(bench.node.now.taints) == [foreign, {"key": "x/t", "effect": "NoSchedule"}]
    assert bench.node.reads == 1


def test_changed_rules_cause_a_collection_at_once_and_then_at_most_once_a_second() -> None:
    discoveries: list[float] = []

    def collect(_: NodeView | None) -> Desired:
        discoveries.append(bench.clock.now)
        return Desired()

    bench = Bench(collect)
    bench.play(bench.seen({}), Resync())
    bench.clock.now += 5
    bench.play(InputsChanged())
    assert discoveries == [1000, 1005]
    for _ in range(40):
        bench.clock.now += 0.125
        bench.play(InputsChanged(), None)
    assert discoveries == [1000, *range(1005, 1011)]
    bench.play(*[None] * 10)
    assert len(discoveries) == 7, "a handled change causes no other discovery"


def test_only_changes_of_the_fields_that_a_collection_reads_cause_a_collection() -> None:
    discoveries: list[Mapping[str, str]] = []

    def collect(node: NodeView | None) -> Desired:
        discoveries.append(dict(node.labels) if node else {})
        return Desired()

    bench = Bench(collect, reads=lambda node: node.labels.get("nvidia.com/gpu.count"))
    bench.play(Resync(), NodeChanged(replace(bench.node.state({"nvidia.com/gpu.count": "7"}), owned={})))
    assert len(discoveries) == 2
    for number in range(100):
        bench.clock.now += 10
        bench.play(
            NodeChanged(
                replace(bench.node.now, resource_version=str(1000 + number), kubelet_version=str(number), owned={})
            )
        )
    assert len(discoveries) == 2, "heartbeats of the kubelet change no features of rules"
    bench.play(
        NodeChanged(replace(bench.node.now, resource_version="2000", labels={"nvidia.com/gpu.count": "8"}, owned={}))
    )
    assert discoveries[2:] == [{"nvidia.com/gpu.count": "8"}]


def test_a_result_that_expires_is_collected_again_by_the_wall_clock() -> None:
    ends = [1100.0, None]
    bench = Bench(lambda _: Desired(expires_at=ends.pop(0)))
    bench.play(Resync())
    waits = []
    while ends:
        waits.append(bench.timers._deadlines[EXPIRY] - bench.clock.now)
        bench.clock.now += waits[-1]
        bench.play(None)
    assert waits == [CLOCK_CHECK, CLOCK_CHECK, CLOCK_CHECK, 10.0]
    assert not bench.timers.is_set(EXPIRY)


def test_run_once_publishes_or_reports_the_failure() -> None:
    seen: list[NodeView | None] = []

    def collect(node: NodeView | None) -> Desired:
        seen.append(node)
        return found({"x/count": "8"})

    bench = Bench(collect)
    assert bench.controller.run_once()
    assert bench.node.writes == [{"x/count": "8"}]
    assert [node and node.uid for node in seen] == ["u"]
    bench = Bench(gpu({"x/count": "8"}))
    bench.node.failing = KubeError("no such Node", status=404)
    assert not bench.controller.run_once()
    assert bench.why() == "no such Node"
    bench = Bench(lambda _: Desired(results=(failed_result("host"),)))
    assert not bench.controller.run_once()


def test_the_log_names_the_labels_that_change() -> None:
    labels: dict[str, str] = {"x/count": "8", "x/mode": "a"}
    bench = Bench(lambda _: found(dict(labels)))
    bench.play(bench.seen({"x/count": "4", "x/old": "1"}))
    with capture_logs() as logs:
        bench.play(Resync())
    (published,) = (entry for entry in logs if entry["event"] == "labels_published")
    assert (published["added"], published["changed"], published["removed"]) == (["x/mode=a"], ["x/count=8"], ["x/old"])
    labels.update({f"x/{number:03}": "1" for number in range(100)})
    with capture_logs() as logs:
        bench.play(Resync())
    (published,) = (entry for entry in logs if entry["event"] == "labels_published")
    assert published["added"][-2:] == ["x/019=1", "and 80 more"]
    assert published.keys() & {"changed", "removed"} == set()


def test_unchanged_labels_are_logged_once_as_info_and_then_as_debug() -> None:
    bench = Bench(gpu({"x/count": "8"}))
    bench.node.state({"x/count": "8"})
    with capture_logs() as logs:
        assert bench.controller.run_once()
        bench.play(None, None)
    assert bench.node.writes == []
    levels = [entry["log_level"] for entry in logs if entry["event"] == "labels_unchanged"]
    assert levels == ["info", "debug", "debug"]


def test_the_second_agent_of_a_node_waits_and_reports_the_first_process(tmp_path: Path) -> None:
    first = InstanceLock(tmp_path, "gfd", "n")
    assert first.acquire() is None
    bench = Bench(gpu({"x/count": "8"}), lock=InstanceLock(tmp_path, "gfd", "n"))
    bench.agent.mailbox.post(Stop())
    bench.agent.run()
    assert "another process (pid" in (bench.services.readiness.problems()["gfd/instance"] or "")
    first.release()
    bench.agent.mailbox.post(Stop())
    bench.agent.run()
    assert bench.services.readiness.problems()["gfd/instance"] is None
    bench.agent.close(is_final=True)


def test_waiting_for_a_message_is_a_sign_of_life() -> None:
    bench = Bench(gpu({}))
    bench.services.readiness.beat("gfd")
    bench.clock.now += STUCK_AFTER + 1
    assert bench.services.readiness.stuck() == ("gfd",)
    bench.agent.mailbox.post(Stop())
    bench.agent.run()
    assert bench.services.readiness.stuck() == ()


@pytest.mark.parametrize("broken", ["labels", "taints"])
def test_a_blocked_output_is_logged_once_and_again_when_it_is_blocked_again(broken: str) -> None:
    bench = Bench(lambda _: found({}, taints={TAINT.identity: TAINT}) if broken == "taints" else found({"x/y": "1"}))
    foreign = {"key": "x/t", "effect": "NoSchedule", "value": "foreign"}
    seen = replace(bench.seen({}).view, taints=(foreign,))
    with capture_logs() as logs:
        bench.play(NodeChanged(seen), Resync(), Resync())
        bench.play(NodeChanged(bench.node._changed(taints=())))
        bench.clock.now += RESTORE_WINDOW + 1
        bench.play(NodeChanged(bench.node._changed(taints=(foreign,))))
    events = [line["event"] for line in logs if line["event"].endswith("_not_set")]
    assert events == (["taint_not_set"] * 2 if broken == "taints" else [])
