"""Labels as a NodeFeature object: one object of our name, written when it differs, put back when somebody takes it away."""

import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from structlog.testing import capture_logs

from node_core.domain.features import Features
from node_core.domain.labels import Collected, Labels
from node_core.domain.node import NodeView
from node_core.domain.node_feature import parse_node_feature
from node_core.errors import KubeError, PublishError
from node_core.kube.client import NodeApi
from node_core.kube.node_feature import NodeFeatureApi, pod_namespace, read_pod_namespace
from node_core.publish.node_feature import NodeFeaturePublisher
from node_core.runtime.feature_link import FeatureLink
from node_core.runtime.labelling import LabelAgent
from node_core.runtime.messages import AgentMessage, NodeSeen, Pass
from node_core.runtime.node_link import NodeLink
from node_core.runtime.readiness import Readiness
from node_core.runtime.services import Services
from node_core.simulate.apiserver import ApiServer
from node_core.simulate.apiserver.patch import merge_patch
from node_core.simulate.apiserver.resources import resource_named
from node_core.simulate.apiserver.writes import Target, Writer

RESOURCE = resource_named("nodefeatures.nfd.k8s-sigs.io")
NAME = "nvidia-features-for-n1"
PATH = "/apis/nfd.k8s-sigs.io/v1alpha1/namespaces/{namespace}/nodefeatures/{name}"
LABELS = {"nvidia.com/gpu.count": "8", "nvidia.com/gpu.product": "NVIDIA-H100-80GB-HBM3"}


class Bench:
    """A stand-in API server with one Node, and publishers that come and go as processes do."""

    def __init__(self, server: ApiServer, kubeconfig: Path) -> None:
        self.server = server
        self.node = NodeApi("n1", kubeconfig=str(kubeconfig), user_agent="gfd/test")

    def publisher(
        self, namespace: str = "default", manager: str = "gfd", features: Features | None = None
    ) -> NodeFeaturePublisher:
        api = NodeFeatureApi(self.node, namespace=namespace, prefix="nvidia-features-for-")
        return NodeFeaturePublisher(api, self.node, manager, features=lambda: features or Features())

    def started(self, **options: Any) -> NodeFeaturePublisher:
        one = self.publisher(**options)
        one.refresh()
        return one

    @property
    def object(self) -> dict[str, Any]:
        found: dict[str, Any] = self.server.store.get(RESOURCE.name, NAME, "default")
        return found

    def person_patches(self, patch: dict[str, Any]) -> None:
        target = Target(resource=RESOURCE, namespace="default", name=NAME)
        self.server.api.update(target, lambda obj: merge_patch(obj, patch), Writer(manager="kubectl-edit"))

    @property
    def writes(self) -> int:
        return self.server.writes


@pytest.fixture
def bench(tmp_path: Path) -> Iterator[Bench]:
    with ApiServer() as server:
        server.add_node("n1")
        server.write_kubeconfig(tmp_path / "kubeconfig")
        server.forget_requests()
        yield Bench(server, tmp_path / "kubeconfig")


def test_the_object_is_what_nfd_master_reads(bench: Bench) -> None:
    assert bench.started().publish(LABELS)
    obj = bench.object
    assert (obj["apiVersion"], obj["kind"]) == ("nfd.k8s-sigs.io/v1alpha1", "NodeFeature")
    assert obj["metadata"]["labels"] == {"nfd.node.kubernetes.io/node-name": "n1"}
    assert obj["spec"] == {"labels": LABELS, "features": {"flags": {}, "attributes": {}, "instances": {}}}


def test_the_node_owns_the_object_and_no_pod_does(bench: Bench) -> None:
    bench.started().publish(LABELS)
    uid = bench.server.store.get("nodes", "n1")["metadata"]["uid"]
    assert bench.object["metadata"]["ownerReferences"] == [
        {"apiVersion": "v1", "kind": "Node", "name": "n1", "uid": uid}
    ]


def test_nothing_is_written_before_the_node_is_known(bench: Bench) -> None:
    publisher = bench.publisher()
    assert publisher.known() is None
    assert not publisher.is_current(LABELS)
    with pytest.raises(PublishError, match="not been read"):
        publisher.publish(LABELS)
    assert bench.writes == 0


def test_a_thousand_passes_write_once_and_read_once(bench: Bench) -> None:
    publisher = bench.publisher()
    publisher.observe(bench.node.get())
    for _ in range(1000):
        assert publisher.known() is not None
        publisher.publish(LABELS)
    assert bench.writes == 1
    assert bench.server.requests["get", PATH] == 1


def test_what_cannot_be_emptied_goes_first(bench: Bench) -> None:
    """The stand-in can; a real API server answers 422, see tests/e2e/test_policy.py."""
    publisher = bench.started()
    publisher.publish(LABELS)
    writes = bench.writes
    bench.server.fail_next(1, 422)
    assert publisher.publish({})
    assert bench.writes == writes + 3
    assert bench.object["spec"] == {"features": {"flags": {}, "attributes": {}, "instances": {}}}


def test_a_change_is_written_and_what_is_left_out_goes_away(bench: Bench) -> None:
    publisher = bench.started()
    publisher.publish(LABELS)
    assert publisher.publish({"nvidia.com/gpu.count": "7"})
    assert bench.object["spec"]["labels"] == {"nvidia.com/gpu.count": "7"}
    assert publisher.publish({})
    assert "labels" not in bench.object["spec"]
    assert not publisher.publish({})


def test_a_new_process_knows_what_the_last_one_published_and_writes_nothing(bench: Bench) -> None:
    bench.started().publish(LABELS)
    again = bench.started()
    assert again.known() == LABELS
    assert not again.publish(LABELS)
    assert bench.writes == 1


def test_an_object_that_a_person_deleted_is_put_back_once_it_is_seen(bench: Bench) -> None:
    publisher = bench.started()
    publisher.publish(LABELS)
    bench.server.store.delete(RESOURCE.name, NAME, namespace="default")
    publisher.seen(None)
    assert not publisher.is_current(LABELS)
    assert publisher.known() == LABELS
    assert publisher.publish(LABELS)
    assert bench.object["spec"]["labels"] == LABELS


@pytest.mark.parametrize(
    "patch",
    [
        {"spec": {"labels": {"nvidia.com/gpu.count": "9000"}}},
        {"spec": {"labels": None}},
        {"spec": {"features": {"flags": None}}},
        {"metadata": {"labels": None}},
        {"metadata": {"ownerReferences": None}},
    ],
    ids=["value", "no labels", "features", "no node name", "no owner"],
)
def test_what_a_person_changed_of_ours_is_seen_and_written_over(bench: Bench, patch: dict[str, Any]) -> None:
    publisher = bench.started()
    publisher.publish(LABELS)
    before = bench.object
    bench.person_patches(patch)
    again = bench.started()
    assert not again.is_current(LABELS)
    again.publish(LABELS)
    assert bench.object["spec"]["labels"] == before["spec"]["labels"]
    assert bench.object["metadata"]["labels"] == before["metadata"]["labels"]
    assert bench.object["metadata"]["ownerReferences"] == before["metadata"]["ownerReferences"]


def test_extra_labels_and_features_of_somebody_else_stay_and_cost_no_write(bench: Bench) -> None:
    features = Features(attributes={"kernel.version": {"major": "6"}})
    bench.started(features=features).publish(LABELS)
    theirs = {
        "flags": {"cpu.cpuid": {"elements": {"X": {}}}},
        "attributes": {"kernel.version": {"elements": {"x": "1"}}},
    }
    spec = {"labels": {"example.com/mine": "1"}, "features": theirs}
    bench.person_patches({"spec": spec, "metadata": {"labels": {"team": "a"}}})
    again = bench.started(features=features)
    assert again.known() == LABELS
    assert not again.publish(LABELS)
    assert bench.object["spec"]["features"]["attributes"]["kernel.version"]["elements"] == {"major": "6", "x": "1"}
    assert bench.object["spec"]["labels"] == {**LABELS, "example.com/mine": "1"}


def test_features_are_published_in_nfds_form(bench: Bench) -> None:
    features = Features(
        flags={"cpu.cpuid": frozenset({"AVX", "SSE"})},
        attributes={"kernel.version": {"major": "6"}},
        instances={"pci.device": ({"vendor": "10de"},)},
    )
    publisher = bench.started(features=features)
    publisher.publish({})
    assert bench.object["spec"]["features"] == {
        "flags": {"cpu.cpuid": {"elements": {"AVX": {}, "SSE": {}}}},
        "attributes": {"kernel.version": {"elements": {"major": "6"}}},
        "instances": {"pci.device": {"elements": [{"attributes": {"vendor": "10de"}}]}},
    }
    assert not bench.started(features=features).publish({})


def test_a_conflict_with_another_manager_is_taken_over(bench: Bench) -> None:
    bench.started(manager="somebody").publish({"nvidia.com/gpu.count": "7"})
    publisher = bench.started()
    assert publisher.known() == {}
    assert publisher.publish(LABELS)
    assert publisher.is_current(LABELS)


def test_a_node_that_was_created_anew_owns_a_new_object(bench: Bench) -> None:
    publisher = bench.started()
    publisher.publish(LABELS)
    bench.server.store.delete("nodes", "n1")
    bench.server.store.delete(RESOURCE.name, NAME, namespace="default")
    bench.server.store.delete("leases.coordination.k8s.io", "n1", namespace="kube-node-lease")
    bench.server.add_node("n1")
    publisher.observe(bench.node.get())
    assert not publisher.is_current(LABELS)
    assert publisher.publish(LABELS)
    (owner,) = bench.object["metadata"]["ownerReferences"]
    assert owner["uid"] == bench.server.store.get("nodes", "n1")["metadata"]["uid"]


def test_an_object_that_outlived_its_node_gets_the_new_owner_alone(bench: Bench) -> None:
    publisher = bench.started()
    publisher.publish(LABELS)
    bench.server.store.delete("nodes", "n1")
    bench.server.store.delete("leases.coordination.k8s.io", "n1", namespace="kube-node-lease")
    bench.server.add_node("n1")
    publisher.observe(bench.node.get())
    assert publisher.publish(LABELS)
    (owner,) = bench.object["metadata"]["ownerReferences"]
    assert owner["uid"] == bench.server.store.get("nodes", "n1")["metadata"]["uid"]


def test_a_namespace_that_is_missing_is_named(bench: Bench) -> None:
    publisher = bench.started(namespace="absent")
    with pytest.raises(KubeError, match="create the namespace absent") as caught:
        publisher.publish(LABELS)
    assert caught.value.status == 404


def test_an_outage_at_the_first_read_is_an_error_and_not_an_empty_object(bench: Bench) -> None:
    bench.started().publish(LABELS)
    publisher = bench.publisher()
    publisher.observe(bench.node.get())
    bench.server.fail_next(1, status=403)
    with pytest.raises(KubeError, match="403"):
        publisher.known()
    assert publisher.known() == LABELS


def test_the_namespace_is_the_pods_or_default(tmp_path: Path) -> None:
    (tmp_path / "namespace").write_text("gpunode\n")
    assert read_pod_namespace(tmp_path / "namespace") == "gpunode"
    (tmp_path / "empty").write_text("")
    assert read_pod_namespace(tmp_path / "empty") == "default"
    assert read_pod_namespace(tmp_path / "absent") == "default"
    named = [pod_namespace(tmp_path / name) for name in ("namespace", "empty", "absent")]
    assert named == ["gpunode", None, None]


class Life:
    """A labelling agent that publishes to the object, message by message."""

    def __init__(self, bench: Bench, labels: Labels | None = LABELS, namespace: str = "default") -> None:
        self.bench = bench
        self.now = 1000.0
        self.labels = labels
        self.publisher = bench.publisher(namespace=namespace)
        self.services = Services(readiness=Readiness(self.clock), clock=self.clock, chance=lambda: 0.0)
        self.agent = LabelAgent("gfd", collect=self.collect, publisher=self.publisher, services=self.services)

    def clock(self) -> float:
        return self.now

    def collect(self) -> tuple[Collected, ...]:
        return (Collected(name="nvml", labels=self.labels, owns=("nvidia.com/",)),)

    def play(self, *messages: AgentMessage | None) -> None:
        for message in messages:
            self.agent._handle(message)

    def node(self) -> NodeSeen:
        return NodeSeen(self.bench.node.get())

    def why(self) -> str | None:
        return self.services.readiness.problems().get("gfd/published")


def test_an_agent_publishes_when_it_first_sees_the_node_and_then_rests(bench: Bench) -> None:
    life = Life(bench)
    life.play(Pass())
    assert bench.writes == 0
    with capture_logs() as logs:
        life.play(life.node())
        for _ in range(300):
            life.play(Pass(), life.node(), None)
    assert bench.object["spec"]["labels"] == LABELS
    assert bench.writes == 1
    assert bench.server.requests["get", PATH] == 1
    assert [entry["event"] for entry in logs] == ["labels_published"]


def test_a_look_that_fails_after_a_restart_keeps_the_object_as_it_is(bench: Bench) -> None:
    bench.started().publish(LABELS)
    life = Life(bench, labels=None)
    life.play(life.node(), Pass())
    assert life.publisher.known() == LABELS
    assert bench.writes == 1


def test_a_cluster_that_refuses_the_object_is_reported_and_asked_again_until_it_takes_it(bench: Bench) -> None:
    life = Life(bench, namespace="later")
    node = life.node()
    life.play(node, Pass())
    assert "create the namespace later" in str(life.why())
    bench.server.api.create(
        Target(resource=resource_named("namespaces")), {"metadata": {"name": "later"}}, Writer(manager="kubectl")
    )
    life.now += 60
    life.play(None)
    assert life.why() is None
    assert bench.server.store.get(RESOURCE.name, NAME, "later")["spec"]["labels"] == LABELS


def test_a_first_read_that_fails_is_reported_and_tried_again_and_removes_nothing(bench: Bench) -> None:
    bench.started().publish(LABELS)
    life = Life(bench, labels=None)
    node = life.node()
    life.play(Pass())
    bench.server.fail_next(2, status=403)
    life.play(node)
    assert "403" in str(life.why())
    life.now += 60
    life.play(None)
    assert "403" in str(life.why())
    life.now += 60
    life.play(None)
    assert life.why() is None
    assert bench.object["spec"]["labels"] == LABELS


def test_what_a_watch_brings_is_put_right_at_the_next_sign_of_life(bench: Bench) -> None:
    life = Life(bench)
    life.play(Pass(), life.node())
    bench.server.store.delete(RESOURCE.name, NAME, namespace="default")
    life.publisher.seen(None)
    life.play(None)
    assert bench.object["spec"]["labels"] == LABELS


def test_a_state_from_before_our_own_write_is_passed_over(bench: Bench) -> None:
    publisher = bench.started()
    publisher.publish({"a": "1"})
    old = parse_node_feature(bench.object)
    publisher.publish({"a": "2"})
    publisher.seen(old)
    assert publisher.is_current({"a": "2"})


def test_a_cluster_that_was_restored_from_a_backup_is_believed_from_the_watchs_next_look_on(bench: Bench) -> None:
    publisher = bench.started()
    publisher.publish({"a": "1"})
    old = parse_node_feature(bench.object, look=1)
    publisher.publish({"a": "2"})
    assert publisher.is_current({"a": "2"})
    publisher.seen(old)
    assert not publisher.is_current({"a": "2"})


def test_a_node_whose_name_no_label_can_hold_is_an_error_that_says_so_and_writes_nothing(bench: Bench) -> None:
    publisher = bench.publisher()
    publisher.observe(NodeView(name=".".join(["very-long-name"] * 5), uid="u", resource_version="1", labels={}))
    with pytest.raises(PublishError, match=r"74 characters, 63 are allowed.*--publish node"):
        publisher.publish(LABELS)
    assert bench.writes == 0


def test_annotations_of_the_object_are_published_and_put_back(bench: Bench) -> None:
    api = NodeFeatureApi(bench.node, namespace="default", prefix="nvidia-features-for-")
    publisher = NodeFeaturePublisher(api, bench.node, "gfd", annotations={"example.com/v": "1"})
    publisher.refresh()
    publisher.publish(LABELS)
    assert bench.object["metadata"]["annotations"] == {"example.com/v": "1"}
    assert not publisher.publish(LABELS)
    bench.person_patches({"metadata": {"annotations": {"example.com/v": "2"}}})
    publisher.refresh()
    assert publisher.publish(LABELS)
    assert bench.object["metadata"]["annotations"] == {"example.com/v": "1"}


def test_a_watch_that_breaks_is_said_once_until_it_works_again(bench: Bench) -> None:
    publisher = bench.started()
    with capture_logs() as logs:
        for _ in range(2):
            publisher.unseen(KubeError("refused", status=403))
            publisher.unseen(KubeError("refused", status=403))
            publisher.seen(None)
    assert [entry["event"] for entry in logs] == ["node_feature_unwatched"] * 2


def test_the_link_of_a_process_follows_what_its_publisher_writes(bench: Bench, tmp_path: Path) -> None:
    node = NodeLink("n1", kubeconfig=str(tmp_path / "kubeconfig"), user_agent="gfd/test")
    link = FeatureLink(node, "gfd", namespace="default")
    link.publisher.refresh()
    link.publisher.publish(LABELS)
    link.start()
    try:
        bench.server.store.delete(RESOURCE.name, NAME, namespace="default")
        deadline = time.monotonic() + 10
        while link.publisher.is_current(LABELS) and time.monotonic() < deadline:
            time.sleep(0.01)
        assert not link.publisher.is_current(LABELS)
    finally:
        link.stop()
