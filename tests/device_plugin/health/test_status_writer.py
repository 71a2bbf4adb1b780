"""Writes of the condition and the startup taint, with rejections, outages and Nodes that are created again."""

import threading
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest
from structlog.testing import capture_logs

from device_plugin.health.node_status import NodeStatus
from device_plugin.health.startup_taint import STARTUP_TAINT_ANNOTATION
from device_plugin.health.status_writer import HealthStatusWriter
from node_core.domain.backoff import Backoff
from node_core.domain.conditions import GPU_READY, Condition, parse_conditions
from node_core.domain.node import NodeView
from node_core.domain.taints import Taint, TaintPlan
from node_core.errors import KubeError
from node_core.kube.client import NodeApi
from node_core.runtime.services import Services
from node_core.values import replace
from simulation.apiserver import ApiServer
from tests.waiting import until

TAINT = Taint(key="nvidia.com/gpu-not-ready", effect="NoSchedule")
READY = Condition(type=GPU_READY, is_true=True, reason="GPUsReady", message="8 of 8 GPUs are available.")
NODE = NodeView(name="n1", uid="A", resource_version="1", labels={})

AGENT = "gpu-device-plugin"


TAINTED = {"key": TAINT.key, "effect": TAINT.effect}


BROKEN = Condition(type=GPU_READY, is_true=False, reason="NoDriver", message="there is no driver")


class Cluster:
    """A fake API server. node: the current Node. refuse: the status of every response. before: runs during each write."""

    def __init__(self, node: NodeView = NODE) -> None:
        self.node = node
        self.refuse: int | None = None
        self.conflicts = 0
        self.writes: list[tuple[str, str]] = []
        self.gets = 0
        self.before: Callable[[], None] = lambda: None

    def get(self) -> NodeView:
        self.gets += 1
        return self.node

    def patch_status(self, manager: str, patch: Mapping[str, Any]) -> NodeView:
        target = self._reached()
        conditions = parse_conditions(patch["status"])
        self.writes.append((target.uid, conditions[GPU_READY].reason))
        return self._became(target, replace(target, conditions=conditions))

    def set_taints(self, manager: str, plan: TaintPlan, observed: NodeView, *, taints_annotation: str) -> NodeView:
        target = self._reached()
        if observed.resource_version != target.resource_version:
            self.conflicts += 1
            raise KubeError("the Node has changed", status=409)
        self.writes.append((target.uid, "tainted" if plan.owned else "untainted"))
        annotations = {STARTUP_TAINT_ANNOTATION: str(TAINT)} if plan.owned else {}
        return self._became(target, replace(target, taints=plan.taints, annotations=annotations))

    def _reached(self) -> NodeView:
        target = self.node
        self.before()
        if self.refuse is not None:
            raise KubeError("no", status=self.refuse)
        return target

    def _became(self, target: NodeView, after: NodeView) -> NodeView:
        after = replace(after, resource_version=str(int(target.resource_version) + 1))
        if self.node.uid == target.uid:
            self.node = after
        return after


def writer(cluster: Cluster, *, taint: Taint | None = None) -> HealthStatusWriter:
    services = Services(wall=lambda: 1_700_000_000.0)
    return HealthStatusWriter(cluster, services, agent=AGENT, taint=taint, retries=Backoff(first=0.01, maximum=0.02))


def test_nothing_is_written_before_the_node_is_observed() -> None:
    cluster = Cluster()
    status = writer(cluster)
    status.desire(NodeStatus(condition=READY))
    assert status.step()
    assert cluster.writes == []


def test_a_condition_is_written_if_it_differs_without_reading_the_node() -> None:
    cluster = Cluster()
    status = writer(cluster)
    status.observe(NODE)
    for condition in (READY, READY, BROKEN, replace(BROKEN, message="still none"), READY):
        status.desire(NodeStatus(condition=condition))
        assert status.step()
    assert [reason for _, reason in cluster.writes] == ["GPUsReady", "NoDriver", "NoDriver", "GPUsReady"]
    assert cluster.gets == 0


def test_an_unchanged_status_retains_its_transition_time() -> None:
    cluster = Cluster()
    status = writer(cluster)
    status.observe(NODE)
    status.desire(NodeStatus(condition=BROKEN))
    status.step()
    first = cluster.node.conditions[GPU_READY].since
    later = HealthStatusWriter(cluster, Services(wall=lambda: 1_800_000_000.0), agent=AGENT)
    later.observe(cluster.node)
    for condition in (replace(BROKEN, message="still none"), READY):
        later.desire(NodeStatus(condition=condition))
        later.step()
        if condition is not READY:
            assert cluster.node.conditions[GPU_READY].since == first
    assert cluster.node.conditions[GPU_READY].since == "2027-01-15T08:00:00Z"


def test_a_new_process_does_not_write_an_equal_condition() -> None:
    cluster = Cluster()
    for _ in range(2):
        status = writer(cluster)
        status.observe(cluster.node)
        status.desire(NodeStatus(condition=READY))
        assert status.step()
    assert len(cluster.writes) == 1


def test_a_node_that_is_created_again_gets_its_condition_and_loses_the_kubelets_taint() -> None:
    cluster = Cluster()
    status = writer(cluster, taint=TAINT)
    status.observe(NODE)
    status.desire(NodeStatus(condition=READY, is_tainted=False))
    assert status.step()
    cluster.node = replace(NODE, uid="B", resource_version="5", taints=(TAINTED,))
    status.observe(cluster.node)
    assert status.step()
    assert cluster.writes == [("A", "GPUsReady"), ("B", "untainted"), ("B", "GPUsReady")]
    assert cluster.node.taints == ()


def test_a_node_that_is_created_again_during_a_write_gets_its_condition() -> None:
    cluster = Cluster()
    status = writer(cluster)

    def replace_node() -> None:
        cluster.before = lambda: None
        cluster.node = replace(NODE, uid="B", resource_version="2")
        status.observe(cluster.node)

    cluster.before = replace_node
    status.observe(NODE)
    status.desire(NodeStatus(condition=READY))
    assert status.step()
    assert cluster.writes == [("A", "GPUsReady"), ("B", "GPUsReady")]
    assert cluster.node.conditions[GPU_READY].equals(READY)


def test_an_informer_that_is_behind_causes_no_second_write() -> None:
    cluster = Cluster()
    status = writer(cluster)
    status.observe(NODE)
    status.desire(NodeStatus(condition=READY))
    assert status.step()
    status.observe(NODE)
    assert status.step()
    assert len(cluster.writes) == 1


def test_a_removed_condition_is_written_again() -> None:
    cluster = Cluster()
    status = writer(cluster)
    status.observe(NODE)
    status.desire(NodeStatus(condition=READY))
    status.step()
    status.observe(replace(cluster.node, conditions={}, resource_version="9"))
    status.step()
    assert len(cluster.writes) == 2


def test_after_a_conflict_the_taint_is_planned_from_the_current_node() -> None:
    cluster = Cluster(replace(NODE, resource_version="7", taints=({"key": "other", "effect": "NoSchedule"}, TAINTED)))
    status = writer(cluster, taint=TAINT)
    status.observe(replace(NODE, taints=(TAINTED,)))
    status.desire(NodeStatus(is_tainted=False))
    assert not status.step()
    assert status.step()
    assert (cluster.conflicts, cluster.gets) == (1, 1)
    assert [each["key"] for each in cluster.node.taints] == ["other"]


@pytest.mark.parametrize("status_code", [0, 401, 403, 429, 500, 503])
def test_a_failed_or_forbidden_write_is_retried_and_logged_once(status_code: int) -> None:
    cluster = Cluster()
    cluster.refuse = status_code
    status = writer(cluster)
    status.observe(NODE)
    status.desire(NodeStatus(condition=READY))
    with capture_logs() as logs:
        assert [status.step() for _ in range(5)] == [False] * 5
    assert [entry["event"] for entry in logs] == ["node_status_write_failed"]
    cluster.refuse = None
    assert status.step()
    assert len(cluster.writes) == 1


@pytest.mark.parametrize("status_code", [400, 404, 422])
def test_a_rejected_write_is_logged_once_and_retried_for_a_new_status_or_node(status_code: int) -> None:
    cluster = Cluster()
    cluster.refuse = status_code
    status = writer(cluster)
    status.observe(NODE)
    status.desire(NodeStatus(condition=READY))
    with capture_logs() as logs:
        assert [status.step() for _ in range(3)] == [True] * 3
    assert [entry["event"] for entry in logs] == ["condition_not_written"]
    cluster.refuse = None
    cluster.node = replace(NODE, uid="B")
    status.observe(cluster.node)
    assert status.step()
    assert cluster.writes == [("B", "GPUsReady")]


def test_a_write_without_effect_is_not_repeated_endlessly() -> None:
    class Forgetful(Cluster):
        def _became(self, target: NodeView, after: NodeView) -> NodeView:
            return super()._became(target, replace(after, conditions={}))

    cluster = Forgetful()
    status = writer(cluster)
    status.observe(NODE)
    status.desire(NodeStatus(condition=READY))
    assert [status.step() for _ in range(3)] == [True] * 3
    assert len(cluster.writes) == 1


def test_the_thread_writes_after_an_outage_and_ends() -> None:
    cluster = Cluster()
    reached = threading.Event()
    cluster.refuse, cluster.before = 401, reached.set
    status = writer(cluster)
    status.start()
    status.desire(NodeStatus(condition=READY))
    status.observe(NODE)
    assert reached.wait(60)
    cluster.refuse = None
    until(lambda: bool(cluster.writes))
    assert status.liveness_problem() is None
    status.stop()
    assert not status._thread.is_alive()
    assert status.liveness_problem() is None


@pytest.fixture
def server() -> Iterator[ApiServer]:
    with ApiServer() as running:
        running.add_node("n1")
        yield running


def test_real_requests_retain_the_kubelets_conditions_and_remove_the_taint(server: ApiServer, tmp_path: Path) -> None:
    server.write_kubeconfig(tmp_path / "kubeconfig")
    api = NodeApi("n1", kubeconfig=str(tmp_path / "kubeconfig"), user_agent="test")
    before = {each["type"] for each in server.store.get("nodes", "n1")["status"]["conditions"]}
    status = HealthStatusWriter(api, Services(), agent=AGENT, taint=TAINT)
    status.observe(api.get())
    status.desire(NodeStatus(condition=BROKEN, is_tainted=True))
    assert status.step()
    assert [dict(each) for each in api.get().taints] == [TAINTED]
    assert api.get().annotations[STARTUP_TAINT_ANNOTATION] == str(TAINT)
    status.desire(NodeStatus(condition=READY, is_tainted=False))
    assert status.step()
    node = server.store.get("nodes", "n1")
    conditions = {each["type"]: each for each in node["status"]["conditions"]}
    assert conditions.keys() == before | {GPU_READY}
    assert (conditions[GPU_READY]["status"], conditions[GPU_READY]["reason"]) == ("True", "GPUsReady")
    assert (api.get().taints, STARTUP_TAINT_ANNOTATION in api.get().annotations) == ((), False)
