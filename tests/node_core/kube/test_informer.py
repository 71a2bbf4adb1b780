"""Informers with the simulated API server: one list in pages, then watches, and a new list only after the server has lost the history."""

import queue
import threading
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest

from node_core.domain.backoff import Backoff
from node_core.domain.labels import Labels
from node_core.domain.node_feature import GFD_PREFIX, NodeFeature
from node_core.errors import KubeError
from node_core.kube.client import NodeApi
from node_core.kube.http import JSON, METADATA, METADATA_LIST, ApiClient, EventStream
from node_core.kube.informer import MAX_REFUSALS, PAGE, WATCH_SECONDS, WATCH_SPREAD_SECONDS, Informer
from node_core.kube.node_feature import NodeFeatureApi
from node_core.kube.resources import Obj, Resource, node, node_feature_rules, node_features_of
from node_core.values import replace
from simulation.apiserver import ApiServer
from simulation.apiserver.resources import resource_named
from simulation.apiserver.writes import Target, Writer
from tests.waiting import until

RULES = resource_named("nodefeaturerules.nfd.k8s-sigs.io")
FEATURES = resource_named("nodefeatures.nfd.k8s-sigs.io")
LIST = ("list", "/apis/nfd.k8s-sigs.io/v1alpha1/nodefeaturerules")
WATCH = ("watch", "/apis/nfd.k8s-sigs.io/v1alpha1/nodefeaturerules")
LIST_NODES = ("list", "/api/v1/nodes")
WATCH_NODES = ("watch", "/api/v1/nodes")
PERSON = Writer(manager="kubectl")
QUICK = Backoff(first=0.01, maximum=0.05)


class Followed:
    """An informer. The tests read its calls from queues."""

    def __init__(self, api: ApiClient, resource: Resource[Any]) -> None:
        self.states: queue.Queue[Mapping[str, Any]] = queue.Queue()
        self.errors: queue.Queue[KubeError] = queue.Queue()
        self.informer = Informer(api, resource, on_change=self.states.put, on_error=self.errors.put, backoff=QUICK)
        self.informer.start()

    def until(self, true: Callable[[Any], bool]) -> Any:
        while not true(state := self.states.get(timeout=60)):
            pass
        return state


Follow = Callable[[ApiClient, Resource[Any]], Followed]


@pytest.fixture
def follow() -> Iterator[Follow]:
    made: list[Followed] = []

    def start(api: ApiClient, resource: Resource[Any]) -> Followed:
        made.append(Followed(api, resource))
        return made[-1]

    yield start
    for each in made:
        each.informer.stop()


def lister(api: ApiClient, resource: Resource[Any]) -> Informer[Any]:
    return Informer(api, resource, on_change=lambda _: None, on_error=lambda _: None)


def add_rule(server: ApiServer, name: str, **spec: Any) -> None:
    server.api.create(Target(resource=RULES), {"metadata": {"name": name}, "spec": {"rules": [], **spec}}, PERSON)


def add_features(server: ApiServer, name: str, node_name: str | None, namespace: str = "default") -> None:
    labels = {"nfd.node.kubernetes.io/node-name": node_name} if node_name else {}
    target = Target(resource=FEATURES, namespace=namespace)
    server.api.create(target, {"metadata": {"name": name, "labels": labels}, "spec": {}}, PERSON)


def test_after_a_compaction_the_watch_starts_from_the_version_of_the_list(
    server: ApiServer, api: NodeApi, follow: Follow
) -> None:
    """The version of the Node is older than the history of the API server, as after each restart of the API server."""
    for number in range(20):
        server.add_node(f"other-{number}")
    server.store.compact()
    server.forget_requests()
    followed = follow(api, node("n1"))
    followed.states.get(timeout=60)
    api.apply_labels("gfd", {"x": "1"}, force=False)
    followed.until(lambda nodes: nodes["n1"].labels.get("x") == "1")
    assert followed.errors.empty()
    assert (server.requests[LIST_NODES], server.requests[WATCH_NODES]) == (1, 1)


def test_an_unchanged_node_is_watched_after_a_server_restart_without_history(
    server: ApiServer, api: NodeApi, follow: Follow
) -> None:
    followed = follow(api, node("n1"))
    followed.states.get(timeout=60)
    server.stop()
    for number in range(20):
        server.add_node(f"other-{number}")
    server.store.compact()
    server.start()
    followed.states.get(timeout=60)
    failures = followed.errors.qsize()
    server.forget_requests()
    api.apply_labels("gfd", {"x": "1"}, force=False)
    followed.until(lambda nodes: nodes["n1"].labels.get("x") == "1")
    assert followed.errors.qsize() == failures
    assert server.requests[LIST_NODES] == 0


def test_objects_without_a_view_are_ignored(server: ApiServer, api: NodeApi, follow: Follow) -> None:
    nodes: Resource[str | None] = Resource(
        description="nodes", path="/api/v1/nodes", parse=lambda obj, _: obj["metadata"]["labels"].get("x")
    )
    server.add_node("a", labels={"x": "1"})
    followed = follow(api, nodes)
    assert followed.states.get(timeout=60) == {"a": "1"}
    server.add_node("b")
    server.add_node("c", labels={"x": "2"})
    followed.until(lambda found: found == {"a": "1", "c": "2"})
    api.apply_labels("gfd", {"x": "3"}, force=False)
    followed.until(lambda found: found == {"a": "1", "c": "2", "n1": "3"})
    api.apply_labels("gfd", {}, force=False)
    followed.until(lambda found: found == {"a": "1", "c": "2"})


def test_a_steady_watch_lists_the_node_once(server: ApiServer, api: NodeApi, follow: Follow) -> None:
    followed = follow(api, node("n1"))
    followed.states.get(timeout=60)
    for count in range(20):
        api.apply_labels("gfd", {"x": str(count)}, force=False)
    followed.until(lambda nodes: nodes["n1"].labels.get("x") == "19")
    assert (server.requests[LIST_NODES], server.requests[WATCH_NODES]) == (1, 1)


def test_an_informer_reports_an_outage_and_continues_after_it(server: ApiServer, api: NodeApi, follow: Follow) -> None:
    followed = follow(api, node("n1"))
    followed.states.get(timeout=60)
    server.stop()
    assert "does not respond" in followed.errors.get(timeout=60).message
    server.start()
    api.apply_labels("gfd", {"x": "after"}, force=False)
    followed.until(lambda nodes: nodes["n1"].labels.get("x") == "after")


def test_renewed_credentials_are_used_after_a_401(
    server: ApiServer, api: NodeApi, kubeconfig: Path, follow: Follow
) -> None:
    followed = follow(api, node("n1"))
    followed.states.get(timeout=60)
    server.reject_token(server.token)
    server.stop()
    server.start()
    while followed.errors.get(timeout=60).status != 401:
        pass
    server.accept_token("renewed", "gfd")
    server.write_kubeconfig(kubeconfig, "renewed")
    followed.states.get(timeout=60)


def test_one_watch_reports_a_deleted_and_recreated_node(server: ApiServer, api: NodeApi, follow: Follow) -> None:
    followed = follow(api, node("n1"))
    followed.states.get(timeout=60)
    server.store.delete("nodes", "n1")
    followed.until(lambda nodes: nodes == {})
    server.store.delete("leases.coordination.k8s.io", "n1", namespace="kube-node-lease")
    server.add_node("n1", labels={"back": "again"})
    followed.until(lambda nodes: "n1" in nodes and nodes["n1"].labels.get("back") == "again")
    assert (server.requests[LIST_NODES], server.requests[WATCH_NODES]) == (1, 1)


def test_a_cluster_without_rules_has_an_empty_list(api: NodeApi) -> None:
    assert lister(api, node_feature_rules()).list_objects() == {}


@pytest.mark.parametrize("count", [1, PAGE, PAGE + 1, 2 * PAGE + 50])
def test_a_large_collection_is_listed_in_pages(server: ApiServer, api: NodeApi, count: int) -> None:
    for number in range(count):
        add_rule(server, f"rule-{number}")
    assert len(lister(api, node_feature_rules()).list_objects()) == count
    assert server.requests[LIST] == -(-count // PAGE)


def test_created_changed_and_deleted_rules_are_reported_with_one_list(
    server: ApiServer, api: NodeApi, follow: Follow
) -> None:
    add_rule(server, "a")
    followed = follow(api, node_feature_rules())
    assert followed.states.get(timeout=60).keys() == {"a"}
    add_rule(server, "b")
    assert followed.states.get(timeout=60).keys() == {"a", "b"}
    change = Target(resource=RULES, name="a")
    server.api.update(change, lambda obj: {**obj, "spec": {"rules": [{"name": "x"}]}}, PERSON)
    state = followed.states.get(timeout=60)
    assert state["a"]["spec"] == {"rules": [{"name": "x"}]}
    assert (state["a"]["metadata"]["generation"], "managedFields" in state["a"]["metadata"]) == (2, False)
    server.api.delete(change)
    assert followed.states.get(timeout=60).keys() == {"b"}
    assert (server.requests[LIST], server.requests[WATCH]) == (1, 1)


def test_a_reported_state_never_changes(server: ApiServer, api: NodeApi, follow: Follow) -> None:
    followed = follow(api, node_feature_rules())
    first = followed.states.get(timeout=60)
    add_rule(server, "a")
    followed.until(lambda state: "a" in state)
    assert first == {}


def test_changes_during_an_outage_are_reported_afterwards(server: ApiServer, api: NodeApi, follow: Follow) -> None:
    add_rule(server, "a")
    followed = follow(api, node_feature_rules())
    followed.states.get(timeout=60)
    server.stop()
    assert "does not respond" in followed.errors.get(timeout=60).message
    server.api.delete(Target(resource=RULES, name="a"))
    add_rule(server, "b")
    server.start()
    followed.until(lambda state: state.keys() == {"b"})


class Intervening(NodeApi):
    """before_watch: called before each watch, with the number of watches before it. seconds: how long a watch lasts.

    asked: how long the last watch should last.
    """

    before_watch: Callable[[int], None] = staticmethod(lambda _: None)
    seconds: int | None = None
    watches = 0
    asked = 0

    def watch(self, path: str, query: Mapping[str, str], *, seconds: int, **request: Any) -> EventStream:
        self.before_watch(self.watches)
        self.watches += 1
        self.asked = seconds
        return super().watch(path, query, seconds=self.seconds or seconds, **request)


@pytest.fixture
def intervening(kubeconfig: Path) -> Intervening:
    return Intervening("n1", kubeconfig=str(kubeconfig), user_agent="t")


def test_a_watch_lasts_at_least_some_minutes_and_a_random_part_of_a_minute(
    intervening: Intervening, follow: Follow
) -> None:
    follow(intervening, node_feature_rules()).states.get(timeout=60)
    until(lambda: intervening.asked)
    assert WATCH_SECONDS <= intervening.asked < WATCH_SECONDS + WATCH_SPREAD_SECONDS


def test_an_ended_watch_continues_without_a_list(server: ApiServer, intervening: Intervening, follow: Follow) -> None:
    intervening.seconds = 1
    followed = follow(intervening, node_feature_rules())
    followed.states.get(timeout=60)
    while server.requests[WATCH] < 3:
        add_rule(server, f"after-{server.requests[WATCH]}-{server.store.version}")
        followed.states.get(timeout=60)
    assert server.requests[LIST] == 1


def test_a_watch_that_a_busy_server_refuses_is_repeated_without_a_list(
    server: ApiServer, intervening: Intervening, follow: Follow
) -> None:
    intervening.before_watch = lambda watches: server.fail_next(1, status=429) if watches < MAX_REFUSALS - 1 else None
    followed = follow(intervening, node_feature_rules())
    followed.states.get(timeout=60)
    until(lambda: intervening.watches == MAX_REFUSALS)
    add_rule(server, "a")
    followed.until(lambda state: state.keys() == {"a"})
    assert (server.requests[LIST], followed.errors.qsize()) == (1, 0)


def test_a_server_that_refuses_every_watch_is_reported_and_the_objects_are_listed_again(
    server: ApiServer, intervening: Intervening, follow: Follow
) -> None:
    intervening.before_watch = lambda watches: server.fail_next(1, status=429) if watches < MAX_REFUSALS else None
    followed = follow(intervening, node_feature_rules())
    assert followed.errors.get(timeout=60).status == 429
    until(lambda: server.requests[LIST] == 2)


def test_a_watch_without_events_continues_from_its_last_bookmark(
    server: ApiServer, intervening: Intervening, follow: Follow
) -> None:
    """Other objects are written and the history is compacted: without bookmarks, the version of the list would have expired."""
    second = threading.Event()

    def intervene(watches: int) -> None:
        if watches == 1:
            server.store.compact()
            second.set()

    server.bookmark_seconds = 0.01
    intervening.before_watch = intervene
    intervening.seconds = 1
    followed = follow(intervening, node_feature_rules())
    followed.states.get(timeout=60)
    for number in range(20):
        server.add_node(f"other-{number}")
    assert second.wait(60)
    add_rule(server, "a")
    followed.until(lambda state: state.keys() == {"a"})
    assert (server.requests[LIST], followed.errors.qsize()) == (1, 0)


def test_an_expired_version_causes_an_immediate_list(
    server: ApiServer, intervening: Intervening, follow: Follow
) -> None:
    def intervene(watches: int) -> None:
        if watches == 0:
            add_rule(server, "between")
            server.store.compact()

    intervening.before_watch = intervene
    followed = follow(intervening, node_feature_rules())
    assert followed.states.get(timeout=60) == {}
    assert followed.states.get(timeout=60).keys() == {"between"}
    assert followed.errors.empty()
    assert server.requests[LIST] == 2


def test_a_list_with_an_expired_continuation_starts_again(server: ApiServer, kubeconfig: Path, follow: Follow) -> None:
    for number in range(PAGE + 1):
        add_rule(server, f"rule-{number}")

    class Slow(NodeApi):
        pages = 0

        def request(self, verb: str, path: str, **request: Any) -> Any:
            self.pages += 1
            if self.pages == 2:
                add_rule(server, "late")
                server.store.compact()
            return super().request(verb, path, **request)

    followed = follow(Slow("n1", kubeconfig=str(kubeconfig), user_agent="t"), node_feature_rules())
    assert len(followed.states.get(timeout=60)) == PAGE + 2
    assert followed.errors.empty()


def test_too_many_objects_are_an_error() -> None:
    class Endless(ApiClient):
        pages = 0

        def request(self, verb: str, path: str, **request: Any) -> Any:
            self.pages += 1
            items = [{"metadata": {"name": f"{self.pages}-{number}"}} for number in range(PAGE)]
            return {"metadata": {"resourceVersion": "1", "continue": "more"}, "items": items}

    endless = Endless(kubeconfig=None, user_agent="t")
    with pytest.raises(KubeError, match="more than 5000 NodeFeatureRules"):
        lister(endless, node_feature_rules()).list_objects()
    assert endless.pages == 26


@pytest.mark.parametrize(
    "response",
    [{}, [], {"metadata": {}}, {"metadata": {"resourceVersion": "1"}, "items": [{}]}, {"metadata": 5}],
    ids=["empty", "list", "no version", "object without metadata", "number"],
)
def test_a_response_that_is_not_a_list_is_a_kube_error(response: Any) -> None:
    class InvalidApi(ApiClient):
        def request(self, verb: str, path: str, **request: Any) -> Any:
            return response

    with pytest.raises(KubeError, match="cannot parse"):
        lister(InvalidApi(kubeconfig=None, user_agent="t"), node_feature_rules()).list_objects()


def test_node_features_about_the_node_are_watched_in_all_namespaces(
    server: ApiServer, api: NodeApi, follow: Follow
) -> None:
    add_features(server, "mine", "n1")
    add_features(server, "mine", "n1", "kube-system")
    add_features(server, "other", "n2")
    add_features(server, "none", None)
    followed = follow(api, node_features_of("n1"))
    assert followed.states.get(timeout=60).keys() == {"default/mine", "kube-system/mine"}
    target = Target(resource=FEATURES, namespace="default", name="mine")
    server.api.update(target, lambda obj: {**obj, "metadata": {**obj["metadata"], "labels": {}}}, PERSON)
    assert followed.states.get(timeout=60).keys() == {"kube-system/mine"}


class FollowedFeature:
    """The NodeFeature object of gfd, and an informer of it."""

    def __init__(self, api: NodeApi, follow: Follow) -> None:
        self.api = NodeFeatureApi(api, namespace="default", prefix=GFD_PREFIX)
        self.followed = follow(api, self.api.resource)

    def apply(self, labels: Labels) -> None:
        self.api.apply("gfd", NodeFeature(node_name="n1", node_uid="u", labels=labels), force=False)

    def next(self) -> Any:
        return self.followed.states.get(timeout=60).get("default/nvidia-features-for-n1")


def test_creation_change_deletion_and_recreation_of_a_node_feature_are_reported(
    server: ApiServer, api: NodeApi, follow: Follow
) -> None:
    feature = FollowedFeature(api, follow)
    assert feature.next() is None
    for value in ("1", "2"):
        feature.apply({"x": value})
        assert feature.next().labels_by("gfd") == {"x": value}
    server.store.delete(FEATURES.name, "nvidia-features-for-n1", namespace="default")
    assert feature.next() is None
    feature.apply({"x": "3"})
    assert feature.next() is not None


def test_only_the_selected_node_feature_is_watched_and_listed_once(
    server: ApiServer, api: NodeApi, follow: Follow
) -> None:
    feature = FollowedFeature(api, follow)
    assert feature.next() is None
    add_features(server, "other", "n1")
    feature.apply({"x": "1"})
    assert feature.next().labels == {"x": "1"}
    path = "/apis/nfd.k8s-sigs.io/v1alpha1/namespaces/{namespace}/nodefeatures"
    assert (server.requests["list", path], server.requests["watch", path]) == (1, 1)


class Accepting(NodeApi):
    """Records the media types of responses."""

    def __init__(self, kubeconfig: Path) -> None:
        super().__init__("n1", kubeconfig=str(kubeconfig), user_agent="t")
        self.accepted: list[str] = []

    def open(self, verb: str, path: str, **request: Any) -> Any:
        self.accepted.append(request["accept"])
        return super().open(verb, path, **request)


@pytest.mark.parametrize(("only_metadata", "accepted"), [(False, [JSON, JSON]), (True, [METADATA_LIST, METADATA])])
def test_the_metadata_alone_is_requested_for_a_resource_of_metadata(
    kubeconfig: Path, follow: Follow, only_metadata: bool, accepted: list[str]
) -> None:
    api = Accepting(kubeconfig)
    follow(api, replace(node_feature_rules(), has_only_metadata=only_metadata)).states.get(timeout=60)
    until(lambda: len(api.accepted) == 2)
    assert api.accepted == accepted


class WithoutCrd(NodeApi):
    """A cluster that does not have the kind."""

    def open(self, verb: str, path: str, **request: Any) -> Any:
        raise KubeError(f"{verb} {path}: HTTP 404: the server could not find the requested resource", status=404)


@pytest.mark.parametrize(
    ("resource", "why"),
    [
        (node_feature_rules(), r"does not know NodeFeatureRules.*manifests/crds"),
        (NodeFeatureApi(NodeApi("n1", kubeconfig=None, user_agent="t"), namespace="default").resource, "CRD installed"),
    ],
    ids=["rules", "own object"],
)
def test_a_missing_kind_is_a_404_with_a_hint(kubeconfig: Path, resource: Resource[Obj], why: str) -> None:
    with pytest.raises(KubeError, match=why) as caught:
        lister(WithoutCrd("n1", kubeconfig=str(kubeconfig), user_agent="t"), resource).list_objects()
    assert caught.value.status == 404


def test_stop_ends_an_idle_informer(api: NodeApi, follow: Follow) -> None:
    followed = follow(api, node("n1"))
    followed.states.get(timeout=60)
    api.apply_labels("gfd", {"x": "1"}, force=False)
    followed.until(lambda nodes: nodes["n1"].labels.get("x") == "1")
    followed.informer.stop()
    assert not followed.informer._thread.is_alive()


def test_stop_ends_a_watch_that_is_being_opened(intervening: Intervening, follow: Follow) -> None:
    opening, stopped = threading.Event(), threading.Event()

    def intervene(_: int) -> None:
        opening.set()
        assert stopped.wait(60)

    intervening.before_watch = intervene
    followed = follow(intervening, node("n1"))
    assert opening.wait(60)
    followed.informer._stopping.set()  # the first part of `stop`: the watch is not open yet
    stopped.set()
    followed.informer._thread.join(60)
    assert not followed.informer._thread.is_alive()
    assert followed.errors.empty()


@pytest.mark.filterwarnings("ignore::pytest.PytestUnhandledThreadExceptionWarning")
def test_a_dead_thread_is_a_liveness_problem_unless_it_was_stopped(api: NodeApi) -> None:
    def broken(_: object) -> None:
        raise SystemExit

    informer = Informer(api, node("n1"), on_change=broken, on_error=lambda _: None)
    assert informer.liveness_problem() is None
    informer.start()
    informer._thread.join(60)
    assert informer.liveness_problem() == "the thread of informer Node n1 has ended"
    informer.stop()
    assert informer.liveness_problem() is None
