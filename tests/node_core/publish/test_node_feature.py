"""Labels in a NodeFeature object: the agent writes its object when it differs, and creates a deleted object again."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from structlog.testing import capture_logs

from node_core.domain.desired import CollectorResult, Desired, Outputs
from node_core.domain.features import Features
from node_core.domain.labels import Labels
from node_core.domain.node import NodeView
from node_core.domain.node_feature import parse_node_feature
from node_core.domain.reconcile import FieldOwner
from node_core.domain.taints import GFD_TAINTS_ANNOTATION, Taint, TaintPlan, render_taint
from node_core.errors import KubeError, PublishError
from node_core.kube.client import NodeApi
from node_core.kube.node_feature import NodeFeatureApi, find_pod_namespace, read_pod_namespace
from node_core.publish.node_feature import NodeFeatureWriter
from node_core.runtime.control_loop import Timers
from node_core.runtime.informers import NodeFeatureInformer, NodeInformer
from node_core.runtime.label_controller import LabelController, LabelLoop
from node_core.runtime.mailbox import Mailbox
from node_core.runtime.messages import AgentMessage, NodeChanged, NodeFeatureChanged, Resync
from node_core.runtime.readiness import Readiness
from node_core.runtime.services import Services
from simulation.apiserver import ApiServer
from simulation.apiserver.patch import merge_patch
from simulation.apiserver.resources import resource_named
from simulation.apiserver.writes import Target, Writer
from tests.node_core.publish.publishing import Publishing

RESOURCE = resource_named("nodefeatures.nfd.k8s-sigs.io")
NAME = "nvidia-features-for-n1"
PATH = "/apis/nfd.k8s-sigs.io/v1alpha1/namespaces/{namespace}/nodefeatures/{name}"
LABELS = {"nvidia.com/gpu.count": "8", "nvidia.com/gpu.product": "NVIDIA-H100-80GB-HBM3"}


class Bench:
    """A simulated API server with one Node, and publishers that start and stop as processes do."""

    def __init__(self, server: ApiServer, kubeconfig: Path) -> None:
        self.server = server
        self.node = NodeApi("n1", kubeconfig=str(kubeconfig), user_agent="gfd/test")

    def publisher(
        self, namespace: str = "default", manager: str = "gfd", features: Features | None = None
    ) -> Publishing:
        return Publishing(self.writer(namespace, manager), Outputs(features=features or Features()))

    def writer(self, namespace: str = "default", manager: str = "gfd") -> NodeFeatureWriter:
        api = NodeFeatureApi(self.node, namespace=namespace, prefix="nvidia-features-for-")
        return NodeFeatureWriter(api, self.node, FieldOwner(manager=manager, taints_annotation=GFD_TAINTS_ANNOTATION))

    def started(self, **options: Any) -> Publishing:
        one = self.publisher(**options)
        one.writer.refresh()
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


def test_the_object_has_the_form_that_nfd_master_reads(bench: Bench) -> None:
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
    with pytest.raises(PublishError, match="has not read the Node yet"):
        publisher.publish(LABELS)
    assert bench.writes == 0


def test_a_thousand_passes_cause_one_read_and_one_write(bench: Bench) -> None:
    publisher = bench.publisher()
    publisher.writer.observe(bench.node.get())
    for _ in range(1000):
        assert publisher.known() is not None
        publisher.publish(LABELS)
    assert bench.writes == 1
    assert bench.server.requests["get", PATH] == 1


def test_emptied_features_are_removed_first(bench: Bench) -> None:
    """The simulated API server permits this. A real API server returns 422."""
    publisher = bench.started()
    publisher.publish(LABELS)
    writes = bench.writes
    bench.server.fail_next(1, 422)
    assert publisher.publish({})
    assert bench.writes == writes + 3
    assert bench.object["spec"] == {"features": {"flags": {}, "attributes": {}, "instances": {}}}


def test_a_change_is_written_and_missing_labels_are_removed(bench: Bench) -> None:
    publisher = bench.started()
    publisher.publish(LABELS)
    assert publisher.publish({"nvidia.com/gpu.count": "7"})
    assert bench.object["spec"]["labels"] == {"nvidia.com/gpu.count": "7"}
    assert publisher.publish({})
    assert "labels" not in bench.object["spec"]
    assert not publisher.publish({})


def test_a_new_process_reads_the_published_object_and_writes_nothing(bench: Bench) -> None:
    bench.started().publish(LABELS)
    again = bench.started()
    assert again.known() == LABELS
    assert not again.publish(LABELS)
    assert bench.writes == 1


def test_a_deleted_object_is_created_again(bench: Bench) -> None:
    publisher = bench.started()
    publisher.publish(LABELS)
    bench.server.store.delete(RESOURCE.name, NAME, namespace="default")
    publisher.writer.observe_object(None)
    assert publisher.known() == {}
    assert not publisher.is_current(LABELS)
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
def test_a_changed_owned_field_is_restored(bench: Bench, patch: dict[str, Any]) -> None:
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


def test_labels_and_features_of_others_remain_and_cause_no_write(bench: Bench) -> None:
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


def test_a_conflict_with_another_manager_is_resolved_with_force(bench: Bench) -> None:
    bench.started(manager="other").publish({"nvidia.com/gpu.count": "7"})
    publisher = bench.started()
    assert publisher.known() == {}
    assert publisher.publish(LABELS)
    assert publisher.is_current(LABELS)


def test_a_recreated_node_owns_a_new_object(bench: Bench) -> None:
    publisher = bench.started()
    publisher.publish(LABELS)
    bench.server.store.delete("nodes", "n1")
    bench.server.store.delete(RESOURCE.name, NAME, namespace="default")
    bench.server.store.delete("leases.coordination.k8s.io", "n1", namespace="kube-node-lease")
    bench.server.add_node("n1")
    publisher.writer.observe(bench.node.get())
    assert not publisher.is_current(LABELS)
    assert publisher.publish(LABELS)
    (owner,) = bench.object["metadata"]["ownerReferences"]
    assert owner["uid"] == bench.server.store.get("nodes", "n1")["metadata"]["uid"]


def test_an_object_of_a_deleted_node_gets_only_the_new_owner(bench: Bench) -> None:
    publisher = bench.started()
    publisher.publish(LABELS)
    bench.server.store.delete("nodes", "n1")
    bench.server.store.delete("leases.coordination.k8s.io", "n1", namespace="kube-node-lease")
    bench.server.add_node("n1")
    publisher.writer.observe(bench.node.get())
    assert publisher.publish(LABELS)
    (owner,) = bench.object["metadata"]["ownerReferences"]
    assert owner["uid"] == bench.server.store.get("nodes", "n1")["metadata"]["uid"]


def test_the_error_names_a_missing_namespace(bench: Bench) -> None:
    publisher = bench.started(namespace="absent")
    with pytest.raises(KubeError, match="create the namespace absent") as caught:
        publisher.publish(LABELS)
    assert caught.value.status == 404


def test_an_outage_at_the_first_read_is_an_error_and_not_an_empty_object(bench: Bench) -> None:
    bench.started().publish(LABELS)
    publisher = bench.publisher()
    publisher.writer.observe(bench.node.get())
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
    named = [find_pod_namespace(tmp_path / name) for name in ("namespace", "empty", "absent")]
    assert named == ["gpunode", None, None]


class Life:
    """A labelling agent that publishes to the object, message by message."""

    def __init__(self, bench: Bench, labels: Labels | None = LABELS, namespace: str = "default") -> None:
        self.bench = bench
        self.now = 1000.0
        self.labels = labels
        self.services = Services(readiness=Readiness(self.clock), clock=self.clock, chance=lambda: 0.0)
        timers = Timers(self.clock)
        controller = LabelController(
            "gfd",
            collect=self.collect,
            writer=bench.writer(namespace),
            services=self.services,
            timers=timers,
        )
        self.agent = LabelLoop(controller, self.services, mailbox=Mailbox(), timers=timers)

    def clock(self) -> float:
        return self.now

    def collect(self, _: NodeView | None) -> Desired:
        return Desired(results=(CollectorResult(name="nvml", labels=self.labels, owns=("nvidia.com/",)),))

    def play(self, *messages: AgentMessage | None) -> None:
        for message in messages:
            self.agent._wake(message)

    def node(self) -> NodeChanged:
        return NodeChanged(self.bench.node.get())

    def why(self) -> str | None:
        return self.services.readiness.problems().get("gfd/published")


def test_an_agent_publishes_after_the_first_observation_of_the_node_and_then_stops_writing(bench: Bench) -> None:
    life = Life(bench)
    life.play(Resync())
    assert bench.writes == 0
    with capture_logs() as logs:
        life.play(life.node())
        for _ in range(300):
            life.play(Resync(), life.node(), None)
    assert bench.object["spec"]["labels"] == LABELS
    assert bench.writes == 1
    assert bench.server.requests["get", PATH] == 1
    assert [entry["event"] for entry in logs if entry["log_level"] != "debug"] == ["labels_published"]


def test_a_list_from_before_the_first_write_causes_no_second_write(bench: Bench) -> None:
    life = Life(bench)
    life.play(Resync())
    with capture_logs() as logs:
        life.play(life.node(), NodeFeatureChanged(None), None)
    assert bench.writes == 1
    assert bench.server.requests["get", PATH] == 2
    assert [entry["event"] for entry in logs if entry["log_level"] != "debug"] == ["labels_published"]


def test_a_failed_collection_after_a_restart_does_not_change_the_object(bench: Bench) -> None:
    bench.started().publish(LABELS)
    life = Life(bench, labels=None)
    life.play(life.node(), Resync())
    assert bench.object["spec"]["labels"] == LABELS
    assert bench.writes == 1


def test_a_rejected_object_is_reported_and_retried_until_it_is_accepted(bench: Bench) -> None:
    life = Life(bench, namespace="later")
    node = life.node()
    life.play(node, Resync())
    assert "create the namespace later" in str(life.why())
    bench.server.api.create(
        Target(resource=resource_named("namespaces")), {"metadata": {"name": "later"}}, Writer(manager="kubectl")
    )
    life.now += 60
    life.play(None)
    assert life.why() is None
    assert bench.server.store.get(RESOURCE.name, NAME, "later")["spec"]["labels"] == LABELS


def test_a_failed_first_read_is_reported_and_retried_and_removes_nothing(bench: Bench) -> None:
    bench.started().publish(LABELS)
    life = Life(bench, labels=None)
    node = life.node()
    life.play(Resync())
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


def test_the_informer_reports_a_deleted_object_and_the_agent_creates_it_again(bench: Bench) -> None:
    life = Life(bench)
    life.play(Resync(), life.node())
    bench.server.store.delete(RESOURCE.name, NAME, namespace="default")
    life.play(NodeFeatureChanged(None))
    assert bench.object["spec"]["labels"] == LABELS


def test_a_state_older_than_the_last_write_is_ignored(bench: Bench) -> None:
    publisher = bench.started()
    publisher.publish({"a": "1"})
    old = parse_node_feature(bench.object)
    publisher.publish({"a": "2"})
    publisher.writer.observe_object(old)
    assert publisher.is_current({"a": "2"})


def test_the_next_list_after_a_restore_from_a_backup_is_used(bench: Bench) -> None:
    publisher = bench.started()
    publisher.publish({"a": "1"})
    old = parse_node_feature(bench.object, list_number=1)
    publisher.publish({"a": "2"})
    assert publisher.is_current({"a": "2"})
    publisher.writer.observe_object(old)
    assert not publisher.is_current({"a": "2"})


def test_a_node_name_that_is_too_long_for_a_label_is_an_error_without_a_write(bench: Bench) -> None:
    publisher = bench.publisher()
    publisher.writer.observe(NodeView(name=".".join(["very-long-name"] * 5), uid="u", resource_version="1", labels={}))
    with pytest.raises(PublishError, match=r"74 characters, 63 are allowed.*--publish node"):
        publisher.publish(LABELS)
    assert bench.writes == 0


def test_annotations_of_the_object_are_published_and_restored(bench: Bench) -> None:
    api = NodeFeatureApi(bench.node, namespace="default", prefix="nvidia-features-for-")
    owner = FieldOwner(manager="gfd", taints_annotation=GFD_TAINTS_ANNOTATION)
    publisher = Publishing(NodeFeatureWriter(api, bench.node, owner, annotations={"example.com/v": "1"}))
    publisher.writer.refresh()
    publisher.publish(LABELS)
    assert bench.object["metadata"]["annotations"] == {"example.com/v": "1"}
    assert not publisher.publish(LABELS)
    bench.person_patches({"metadata": {"annotations": {"example.com/v": "2"}}})
    publisher.writer.refresh()
    assert publisher.publish(LABELS)
    assert bench.object["metadata"]["annotations"] == {"example.com/v": "1"}


def test_taints_of_an_old_version_are_removed_by_the_first_write(bench: Bench) -> None:
    taint = Taint(key="nvidia.com/p", effect="NoSchedule")
    plan = TaintPlan(taints=(render_taint(taint),), owned=frozenset({taint}))
    bench.node.set_taints("gfd", plan, bench.node.get(), taints_annotation=GFD_TAINTS_ANNOTATION)
    assert bench.started().publish(LABELS)
    node = bench.node.get()
    assert (node.taints, GFD_TAINTS_ANNOTATION in node.annotations) == ((), False)
    assert not bench.started().publish(LABELS)


@pytest.mark.usefixtures("bench")
def test_a_failed_watch_is_logged_once_until_it_works_again(tmp_path: Path) -> None:
    node = NodeInformer("n1", kubeconfig=str(tmp_path / "kubeconfig"), user_agent="gfd/test")
    informer = NodeFeatureInformer(node, "gfd", namespace="default")
    with capture_logs() as logs:
        for _ in range(2):
            informer._log_failure(KubeError("refused", status=403))
            informer._log_failure(KubeError("refused", status=403))
            informer._post_state({})
    assert [entry["event"] for entry in logs] == ["node_feature_watch_failed"] * 2


def test_the_informer_posts_every_state_of_the_object(bench: Bench, tmp_path: Path) -> None:
    node = NodeInformer("n1", kubeconfig=str(tmp_path / "kubeconfig"), user_agent="gfd/test")
    informer = NodeFeatureInformer(node, "gfd", namespace="default")
    mailbox: Mailbox[AgentMessage] = Mailbox()
    informer.subscribe(mailbox)
    bench.started().publish(LABELS)
    informer.start()
    try:
        first = mailbox.get(60)
        assert isinstance(first, NodeFeatureChanged)
        assert first.view is not None
        bench.server.store.delete(RESOURCE.name, NAME, namespace="default")
        assert mailbox.get(60) == NodeFeatureChanged(None)
    finally:
        informer.stop()
