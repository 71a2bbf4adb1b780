"""The Kubernetes door against the stand-in API server: apply, conflicts, watches, and every way in which a cluster may be missing."""

import queue
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from node_core.domain.backoff import Backoff
from node_core.domain.labels import Labels
from node_core.domain.node import NodeView
from node_core.domain.node_feature import GFD_PREFIX, NodeFeature, NodeFeatureView
from node_core.domain.taints import TAINTS_ANNOTATION, Taint, TaintPlan, render_taint
from node_core.errors import KubeError
from node_core.kube.client import NodeApi
from node_core.kube.node_feature import NodeFeatureApi
from node_core.kube.watch import NodeWatch, ObjectWatch
from node_core.simulate.apiserver import ApiServer

GET = ("get", "/api/v1/nodes/{name}")
WATCH = ("watch", "/api/v1/nodes")
NODE_FEATURES = "nodefeatures.nfd.k8s-sigs.io"


class Followed:
    """A watch whose calls land in queues."""

    def __init__(self, api: NodeApi) -> None:
        self.views: queue.Queue[NodeView] = queue.Queue()
        self.errors: queue.Queue[KubeError] = queue.Queue()
        self.watch = NodeWatch(api, seen=self.views.put, failed=self.errors.put, backoff=Backoff(first=0.01, most=0.05))
        self.watch.start()

    def until(self, true: Callable[[NodeView], bool]) -> NodeView:
        while True:
            view = self.views.get(timeout=10)
            if true(view):
                return view


@pytest.fixture
def followed(api: NodeApi) -> Iterator[Followed]:
    one = Followed(api)
    yield one
    one.watch.stop()


def test_labels_are_applied_owned_and_taken_back(api: NodeApi) -> None:
    view = api.apply_labels("gfd", {"nvidia.com/gpu.count": "8"}, force=False)
    assert view.applied_by("gfd") == {"nvidia.com/gpu.count": "8"}
    assert "kubernetes.io/hostname" in view.labels
    view = api.apply_labels("gfd", {}, force=False)
    assert "nvidia.com/gpu.count" not in view.labels
    assert "kubernetes.io/hostname" in view.labels


def test_two_managers_keep_their_own(api: NodeApi) -> None:
    api.apply_labels("gfd", {"nvidia.com/gpu.count": "8"}, force=False)
    view = api.apply_labels("nfd-lite", {"nvidia.com/gpu.present": "true"}, force=False)
    assert view.applied_by("gfd") == {"nvidia.com/gpu.count": "8"}
    assert view.applied_by("nfd-lite") == {"nvidia.com/gpu.present": "true"}


def test_a_conflict_names_field_and_manager_and_force_wins(api: NodeApi) -> None:
    api.apply_labels("kubectl", {"nvidia.com/gpu.count": "7"}, force=False)
    with pytest.raises(KubeError, match=r'conflict with "kubectl".*nvidia.com/gpu.count') as caught:
        api.apply_labels("gfd", {"nvidia.com/gpu.count": "8"}, force=False)
    assert caught.value.status == 409
    assert api.apply_labels("gfd", {"nvidia.com/gpu.count": "8"}, force=True).labels["nvidia.com/gpu.count"] == "8"


def test_a_value_that_kubernetes_refuses_is_a_422(api: NodeApi) -> None:
    with pytest.raises(KubeError) as caught:
        api.apply_labels("gfd", {"nvidia.com/gpu.product": "no good"}, force=False)
    assert caught.value.status == 422


@pytest.mark.parametrize(
    ("name", "token", "status", "hint"),
    [("none", None, 404, "check --node-name"), ("n1", "wrong", 401, "token or certificate was refused")],
)
def test_a_missing_node_and_a_wrong_token_say_what_to_check(
    server: ApiServer, tmp_path: Path, name: str, token: str | None, status: int, hint: str
) -> None:
    server.write_kubeconfig(tmp_path / "other", token)
    with pytest.raises(KubeError, match=hint) as caught:
        NodeApi(name, kubeconfig=str(tmp_path / "other"), user_agent="t").get()
    assert caught.value.status == status


def test_a_renewed_token_is_read_from_the_kubeconfig(server: ApiServer, api: NodeApi, kubeconfig: Path) -> None:
    api.get()
    server.reject_token(server.token)
    with pytest.raises(KubeError, match="401"):
        api.get()
    server.accept_token("renewed", "gfd")
    server.write_kubeconfig(kubeconfig, "renewed")
    assert api.get().name == "n1"


@pytest.mark.parametrize(
    "content", [None, "", "[]", "just text", "{clusters: 5}", "\x00", "{current-context: x, contexts: []}"]
)
def test_a_kubeconfig_that_is_none_is_an_error_and_no_crash(tmp_path: Path, content: str | None) -> None:
    path = tmp_path / "kubeconfig"
    if content is not None:
        path.write_text(content)
    with pytest.raises(KubeError, match="no usable cluster configuration"):
        NodeApi("n1", kubeconfig=str(path), user_agent="t").get()


def test_no_cluster_at_all_says_how_to_name_one(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("KUBERNETES_SERVICE_HOST", raising=False)
    with pytest.raises(KubeError, match="--kubeconfig or KUBECONFIG"):
        NodeApi("n1", kubeconfig=None, user_agent="t").get()


def test_a_server_that_is_gone_says_so_without_class_names(server: ApiServer, api: NodeApi) -> None:
    server.stop()
    with pytest.raises(KubeError, match="does not answer") as caught:
        api.get()
    assert "object at 0x" not in str(caught.value)
    assert caught.value.status == 0


def test_the_watch_brings_every_change(followed: Followed, api: NodeApi) -> None:
    followed.views.get(timeout=10)
    api.apply_labels("gfd", {"nvidia.com/gpu.count": "8"}, force=False)
    followed.until(lambda view: view.labels.get("nvidia.com/gpu.count") == "8")


def test_a_steady_watch_reads_the_node_once(followed: Followed, server: ApiServer, api: NodeApi) -> None:
    followed.views.get(timeout=10)
    for count in range(20):
        api.apply_labels("gfd", {"x": str(count)}, force=False)
    followed.until(lambda view: view.labels.get("x") == "19")
    assert server.requests[GET] == 1
    assert server.requests[WATCH] == 1


def test_the_watch_survives_an_outage(followed: Followed, server: ApiServer, api: NodeApi) -> None:
    followed.views.get(timeout=10)
    server.stop()
    assert "does not answer" in followed.errors.get(timeout=10).message
    server.start()
    api.apply_labels("gfd", {"x": "after"}, force=False)
    followed.until(lambda view: view.labels.get("x") == "after")


def test_a_history_that_is_gone_is_read_anew(server: ApiServer, api: NodeApi) -> None:
    server.watch_seconds = 0.2
    followed = Followed(api)
    try:
        followed.views.get(timeout=10)
        server.fail_next(1, status=410)
        deadline = time.monotonic() + 10
        while server.requests[GET] < 2 and time.monotonic() < deadline:
            server.store.compact()
            server.stop()
            server.start()
            followed.views.get(timeout=10)
        assert server.requests[GET] >= 2
    finally:
        followed.watch.stop()


def test_a_node_that_is_deleted_is_reported_and_followed_again_when_it_returns(
    followed: Followed, server: ApiServer
) -> None:
    followed.views.get(timeout=10)
    server.store.delete("nodes", "n1")
    assert "deleted" in followed.errors.get(timeout=10).message
    server.store.delete("leases.coordination.k8s.io", "n1", namespace="kube-node-lease")
    server.add_node("n1", labels={"back": "again"})
    followed.until(lambda view: view.labels.get("back") == "again")


class FollowedFeatures:
    """A watch of the NodeFeature object of our Node."""

    def __init__(self, api: NodeApi, namespace: str = "default") -> None:
        self.states: queue.Queue[NodeFeatureView | None] = queue.Queue()
        self.errors: queue.Queue[KubeError] = queue.Queue()
        self.api = NodeFeatureApi(api, namespace=namespace, prefix=GFD_PREFIX)
        self.watch = ObjectWatch(
            self.api, seen=self.states.put, failed=self.errors.put, backoff=Backoff(first=0.01, most=0.05)
        )
        self.watch.start()

    def apply(self, labels: Labels) -> NodeFeatureView:
        return self.api.apply("gfd", NodeFeature(node_name="n1", node_uid="u", labels=labels), force=False)


@pytest.fixture
def features(api: NodeApi) -> Iterator[FollowedFeatures]:
    one = FollowedFeatures(api)
    yield one
    one.watch.stop()


def test_a_node_feature_is_followed_through_creation_change_deletion_and_return(
    features: FollowedFeatures, server: ApiServer
) -> None:
    assert features.states.get(timeout=10) is None
    for value in ("1", "2"):
        features.apply({"x": value})
        assert (state := features.states.get(timeout=10)) is not None
        assert state.applied_by("gfd") == {"x": value}
    server.store.delete(NODE_FEATURES, "nvidia-features-for-n1", namespace="default")
    assert features.states.get(timeout=10) is None
    features.apply({"x": "3"})
    assert features.states.get(timeout=10) is not None


def test_only_our_own_node_feature_is_followed_and_listed_once(
    features: FollowedFeatures, server: ApiServer, api: NodeApi
) -> None:
    assert features.states.get(timeout=10) is None
    NodeFeatureApi(api, namespace="default", prefix="other-").apply(
        "x", NodeFeature(node_name="n1", node_uid="u", labels={}), force=False
    )
    features.apply({"x": "1"})
    assert (state := features.states.get(timeout=10)) is not None
    assert state.labels == {"x": "1"}
    path = "/apis/nfd.k8s-sigs.io/v1alpha1/namespaces/{namespace}/nodefeatures"
    assert (server.requests["list", path], server.requests["watch", path]) == (1, 1)


def test_a_node_feature_is_deleted_only_as_it_was_seen(api: NodeApi) -> None:
    feature = NodeFeatureApi(api, namespace="default")
    wanted = NodeFeature(node_name="n1", node_uid="u", labels={"a": "1"})
    seen = feature.apply("gfd", wanted, force=False)
    feature.apply("somebody", NodeFeature(node_name="n1", node_uid="u", labels={"b": "1"}), force=False)
    with pytest.raises(KubeError) as refused:
        feature.delete(seen)
    assert refused.value.status == 409
    feature.release("gfd")
    left = feature.get()
    assert left is not None
    assert left.labels == {"b": "1"}
    feature.delete(left)
    assert feature.get() is None


def test_a_watch_of_a_node_feature_survives_an_outage(features: FollowedFeatures, server: ApiServer) -> None:
    assert features.states.get(timeout=10) is None
    server.stop()
    assert "does not answer" in features.errors.get(timeout=10).message
    server.start()
    features.apply({"x": "1"})
    while features.states.get(timeout=10) is None:
        pass


class WithoutCrd(NodeApi):
    """A cluster that does not know the kind, in the two ways API servers say so."""

    says = ""

    def open(self, verb: str, path: str, **request: Any) -> Any:
        if "nodefeatures" in path:
            raise KubeError(f"{verb} {path}: HTTP 404: {self.says}", status=404, hint="no such Node")
        return super().open(verb, path, **request)


@pytest.mark.parametrize("says", ["Not Found", "the server could not find the requested resource"])
def test_a_cluster_without_the_crd_says_so_and_is_no_empty_object(kubeconfig: Path, says: str) -> None:
    node = WithoutCrd("n1", kubeconfig=str(kubeconfig), user_agent="t")
    node.says = says
    api = NodeFeatureApi(node, namespace="default")
    wanted = NodeFeature(node_name="n1", node_uid="u", labels={})
    for ask in (api.get, api.look, lambda: api.apply("gfd", wanted, force=False)):
        with pytest.raises(KubeError, match=r"is the NodeFeature CRD installed\?.*manifests/crds") as caught:
            ask()
        assert "no such Node" not in str(caught.value)


def test_an_unknown_path_of_the_real_door_is_a_404_without_the_objects_name(api: NodeApi) -> None:
    with pytest.raises(KubeError) as caught:
        api.request("GET", "/apis/nfd.k8s-sigs.io/v9/namespaces/default/nodefeatures/n1")
    assert caught.value.status == 404
    assert '"n1" not found' not in caught.value.message


def test_taints_and_the_claim_on_them_are_written_together_and_only_to_the_state_that_was_seen(api: NodeApi) -> None:
    taint = Taint(key="nvidia.com/a", effect="NoSchedule")
    plan = TaintPlan(taints=(render_taint(taint),), owned=frozenset({taint}))
    before = api.get()
    after = api.set_taints("gfd", plan, before, claim=TAINTS_ANNOTATION)
    assert after.taints == ({"key": "nvidia.com/a", "effect": "NoSchedule"},)
    assert after.annotations[TAINTS_ANNOTATION] == "nvidia.com/a:NoSchedule"
    with pytest.raises(KubeError, match="were not written") as caught:
        api.set_taints("gfd", plan, before, claim=TAINTS_ANNOTATION)
    assert caught.value.status == 409


def test_labels_and_taints_do_not_take_each_other_away(api: NodeApi) -> None:
    taint = Taint(key="nvidia.com/a", effect="NoSchedule")
    api.set_taints(
        "gfd", TaintPlan(taints=(render_taint(taint),), owned=frozenset({taint})), api.get(), claim=TAINTS_ANNOTATION
    )
    view = api.apply_labels("gfd", {"nvidia.com/b": "1"}, force=False)
    assert (len(view.taints), TAINTS_ANNOTATION in view.annotations) == (1, True)
    view = api.set_taints("gfd", TaintPlan(taints=(), owned=frozenset()), view, claim=TAINTS_ANNOTATION)
    assert view.applied_by("gfd") == {"nvidia.com/b": "1"}


def test_stopping_ends_the_thread_while_nothing_happens(api: NodeApi) -> None:
    followed = Followed(api)
    followed.views.get(timeout=10)
    followed.watch.stop()
    assert not followed.watch._thread.is_alive()
