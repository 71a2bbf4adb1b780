"""Removals against a simulated API server, and what prevents them."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from gpu_operator.garbage import agent as module
from gpu_operator.garbage.agent import PERIOD, SOON, GarbageCollector
from node_core.domain.node_feature import NODE_NAME_LABEL
from node_core.errors import KubeError
from node_core.kube.http import ApiClient
from node_core.runtime.control_loop import Timers
from node_core.runtime.messages import InputsChanged
from node_core.runtime.services import Services
from simulation.apiserver import ApiServer
from simulation.apiserver.resources import resource_named
from simulation.apiserver.writes import Target, Writer

FEATURES, TOPOLOGIES = "nodefeatures.nfd.k8s-sigs.io", "noderesourcetopologies.topology.node.k8s.io"


class Intercepting(ApiClient):
    """before_delete: called before each DELETE. failing: the verb of the requests that raise `error`."""

    failing = ""
    error = KubeError("HTTP 500", status=500)

    def before_delete(self) -> None:
        """Does nothing."""

    def request(self, verb: str, path: str, **request: Any) -> Any:
        if verb == self.failing:
            raise self.error
        if verb == "DELETE":
            self.before_delete()
        return super().request(verb, path, **request)


class Stage:
    def __init__(self, server: ApiServer, kubeconfig: Path) -> None:
        self.server = server
        self.nodes: set[str] | None = {"n1"}
        self.is_leader = True
        self.api = Intercepting(kubeconfig=str(kubeconfig), user_agent="t")
        self.services = Services(clock=lambda: 0.0, chance=lambda: 0.0)
        self.timers = Timers(self.services.clock)
        self.collector = GarbageCollector(
            self.services,
            self.timers,
            api=self.api,
            read_nodes=lambda: self.nodes,
            is_leader=lambda: self.is_leader,
            interval=3600,
        )
        self.collector.start()

    def create(self, resource: str, name: str, *, node: str | None = None) -> None:
        labels = {} if node is None else {NODE_NAME_LABEL: node}
        target = Target(resource=resource_named(resource), namespace="default" if resource == FEATURES else "")
        body = {
            "apiVersion": target.resource.api_version,
            "kind": target.resource.kind,
            "metadata": {"name": name, "labels": labels},
            **({"spec": {}} if resource == FEATURES else {"zones": [], "topologyPolicies": []}),
        }
        self.server.api.create(target, body, Writer(manager="upstream"))

    def left(self) -> set[str]:
        return {each["metadata"]["name"] for kind in (FEATURES, TOPOLOGIES) for each in self.server.store.list(kind)[0]}

    def run(self) -> None:
        self.collector.timer(PERIOD)


@pytest.fixture
def stage(tmp_path: Path) -> Iterator[Stage]:
    with ApiServer() as server:
        server.add_node("n1")
        server.write_kubeconfig(tmp_path / "kubeconfig")
        made = Stage(server, tmp_path / "kubeconfig")
        made.create(FEATURES, "f1", node="n1")
        made.create(FEATURES, "f2", node="gone")
        made.create(TOPOLOGIES, "n1")
        made.create(TOPOLOGIES, "gone")
        yield made


def test_only_objects_of_nodes_that_are_gone_are_removed(stage: Stage) -> None:
    stage.run()
    assert stage.left() == {"f1", "n1"}
    assert stage.timers.is_set(PERIOD)


@pytest.mark.parametrize("nodes", [None, set[str]()], ids=["not known", "empty"])
def test_nothing_is_requested_without_a_list_of_nodes(stage: Stage, nodes: set[str] | None) -> None:
    stage.nodes = nodes
    stage.server.forget_requests()
    stage.run()
    assert not stage.server.requests


def test_only_the_leader_removes(stage: Stage) -> None:
    stage.is_leader = False
    stage.run()
    assert "gone" in stage.left()


def test_a_node_that_exists_after_all_protects_its_objects(stage: Stage) -> None:
    stage.server.add_node("gone")
    stage.run()
    assert stage.left() == {"f1", "f2", "n1", "gone"}


def test_an_object_that_has_changed_since_the_list_remains(stage: Stage) -> None:
    def change() -> None:
        target = Target(resource=resource_named(FEATURES), namespace="default", name="f2")
        stage.server.api.update(target, lambda old: {**old, "spec": {"labels": {"a": "b"}}}, Writer(manager="upstream"))

    stage.api.before_delete = change  # type: ignore[method-assign]
    stage.run()
    assert stage.left() == {"f1", "f2", "n1"}


@pytest.mark.parametrize("verb", ["GET", "DELETE"])
def test_an_error_is_reported_and_the_run_is_repeated(stage: Stage, verb: str) -> None:
    stage.api.failing = verb
    stage.run()
    assert any(stage.services.readiness.problems().values())
    assert stage.timers.is_set(SOON)
    stage.api.failing = ""
    stage.collector.timer(SOON)
    assert stage.left() == {"f1", "n1"}
    assert not any(stage.services.readiness.problems().values())


def test_a_controller_that_has_lost_the_lead_reports_no_error(stage: Stage) -> None:
    stage.api.failing = "GET"
    stage.run()
    stage.is_leader = False
    stage.collector.timer(SOON)
    assert not any(stage.services.readiness.problems().values())


def test_a_missing_kind_is_no_error(stage: Stage) -> None:
    stage.api.failing, stage.api.error = "GET", KubeError("HTTP 404", status=404)
    stage.run()
    assert not any(stage.services.readiness.problems().values())


def test_the_objects_of_a_deleted_node_are_removed_soon(stage: Stage) -> None:
    stage.nodes = {"n1", "gone"}
    stage.collector.handle(InputsChanged())
    assert not stage.timers.is_set(SOON)
    stage.nodes = {"n1"}
    stage.collector.handle(InputsChanged())
    assert stage.timers.is_set(SOON)


def test_a_run_removes_a_limited_number_of_objects(stage: Stage, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "MAX_DELETIONS", 1)
    stage.run()
    assert len(stage.left()) == 3
    assert stage.timers.is_set(SOON)
    stage.collector.timer(SOON)
    assert stage.left() == {"f1", "n1"}
