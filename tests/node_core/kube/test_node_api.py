"""The Kubernetes door against the stand-in API server: apply, conflicts, watches, and every way in which a cluster may be missing."""

import queue
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from node_core.domain.backoff import Backoff
from node_core.domain.node import NodeView
from node_core.errors import KubeError
from node_core.kube.client import NodeApi
from node_core.kube.watch import NodeWatch
from node_core.simulate.apiserver import ApiServer

GET = ("get", "/api/v1/nodes/{name}")
WATCH = ("watch", "/api/v1/nodes")


@pytest.fixture
def server() -> Iterator[ApiServer]:
    with ApiServer() as running:
        running.add_node("n1")
        running.forget_requests()
        yield running


@pytest.fixture
def kubeconfig(server: ApiServer, tmp_path: Path) -> Path:
    server.write_kubeconfig(tmp_path / "kubeconfig")
    return tmp_path / "kubeconfig"


@pytest.fixture
def api(kubeconfig: Path) -> NodeApi:
    return NodeApi("n1", kubeconfig=str(kubeconfig), user_agent="gfd/test")


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


def test_stopping_ends_the_thread_while_nothing_happens(api: NodeApi) -> None:
    followed = Followed(api)
    followed.views.get(timeout=10)
    followed.watch.stop()
    assert not followed.watch._thread.is_alive()
