"""Collections of objects: listed in pages once, then followed by one watch; what is absent is not what is refused."""

import queue
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from node_core.domain.backoff import Backoff
from node_core.errors import KubeError
from node_core.kube.client import NodeApi
from node_core.kube.collection import PAGE, Collection, Objects, node_feature_rules, node_features_of
from node_core.kube.watch import ObjectWatch
from node_core.simulate.apiserver import ApiServer
from node_core.simulate.apiserver.resources import resource_named
from node_core.simulate.apiserver.writes import Target, Writer

RULES = resource_named("nodefeaturerules.nfd.k8s-sigs.io")
FEATURES = resource_named("nodefeatures.nfd.k8s-sigs.io")
LIST = ("list", "/apis/nfd.k8s-sigs.io/v1alpha1/nodefeaturerules")
WATCH = ("watch", "/apis/nfd.k8s-sigs.io/v1alpha1/nodefeaturerules")
PERSON = Writer(manager="kubectl")


def add_rule(server: ApiServer, name: str, **spec: Any) -> None:
    server.api.create(Target(resource=RULES), {"metadata": {"name": name}, "spec": {"rules": [], **spec}}, PERSON)


def add_features(server: ApiServer, name: str, node: str | None, namespace: str = "default") -> None:
    labels = {"nfd.node.kubernetes.io/node-name": node} if node else {}
    target = Target(resource=FEATURES, namespace=namespace)
    server.api.create(target, {"metadata": {"name": name, "labels": labels}, "spec": {}}, PERSON)


class Followed:
    """A watch of a collection whose calls land in queues."""

    def __init__(self, subject: Collection) -> None:
        self.states: queue.Queue[Objects] = queue.Queue()
        self.errors: queue.Queue[KubeError] = queue.Queue()
        quick = Backoff(first=0.01, most=0.05)
        self.watch = ObjectWatch(subject, seen=self.states.put, failed=self.errors.put, backoff=quick)
        self.watch.start()

    def until(self, true: Callable[[Objects], bool]) -> Objects:
        while not true(state := self.states.get(timeout=10)):
            pass
        return state


@pytest.fixture
def follow() -> Iterator[Callable[[Collection], Followed]]:
    made: list[Followed] = []

    def start(subject: Collection) -> Followed:
        made.append(Followed(subject))
        return made[-1]

    yield start
    for each in made:
        each.watch.stop()


def test_no_rules_are_an_empty_collection(api: NodeApi) -> None:
    assert node_feature_rules(api).look()[0] == {}


@pytest.mark.parametrize("count", [1, PAGE, PAGE + 1, 2 * PAGE + 50])
def test_a_large_collection_is_read_in_pages(server: ApiServer, api: NodeApi, count: int) -> None:
    for number in range(count):
        add_rule(server, f"rule-{number}")
    assert len(node_feature_rules(api).look()[0]) == count
    assert server.requests[LIST] == -(-count // PAGE)


def test_rules_come_change_and_go_and_the_collection_is_listed_once(
    server: ApiServer, api: NodeApi, follow: Callable[[Collection], Followed]
) -> None:
    add_rule(server, "a")
    followed = follow(node_feature_rules(api))
    assert followed.states.get(timeout=10).keys() == {"a"}
    add_rule(server, "b")
    assert followed.states.get(timeout=10).keys() == {"a", "b"}
    change = Target(resource=RULES, name="a")
    server.api.update(change, lambda obj: {**obj, "spec": {"rules": [{"name": "x"}]}}, PERSON)
    state = followed.states.get(timeout=10)
    assert state["a"]["spec"] == {"rules": [{"name": "x"}]}
    assert (state["a"]["metadata"]["generation"], "managedFields" in state["a"]["metadata"]) == (2, False)
    server.api.delete(change)
    assert followed.states.get(timeout=10).keys() == {"b"}
    assert (server.requests[LIST], server.requests[WATCH]) == (1, 1)


def test_a_state_that_was_handed_out_never_changes(
    server: ApiServer, api: NodeApi, follow: Callable[[Collection], Followed]
) -> None:
    followed = follow(node_feature_rules(api))
    first = followed.states.get(timeout=10)
    add_rule(server, "a")
    followed.until(lambda state: "a" in state)
    assert first == {}


def test_changes_during_an_outage_are_there_after_it(
    server: ApiServer, api: NodeApi, follow: Callable[[Collection], Followed]
) -> None:
    add_rule(server, "a")
    followed = follow(node_feature_rules(api))
    followed.states.get(timeout=10)
    server.stop()
    assert "does not answer" in followed.errors.get(timeout=10).message
    server.api.delete(Target(resource=RULES, name="a"))
    add_rule(server, "b")
    server.start()
    followed.until(lambda state: state.keys() == {"b"})


def test_a_watch_that_ends_is_resumed_without_a_list(
    server: ApiServer, api: NodeApi, follow: Callable[[Collection], Followed]
) -> None:
    class Brief(Collection):
        """Its watches last a second."""

        def open_watch(self, **query: Any) -> Any:
            return super().open_watch(**{**query, "timeout_seconds": 1})

    followed = follow(Brief(api, shown="rules", path=node_feature_rules(api).path))
    followed.states.get(timeout=10)
    while server.requests[WATCH] < 3:
        add_rule(server, f"after-{server.requests[WATCH]}-{server.store.version}")
        followed.states.get(timeout=10)
    assert server.requests[LIST] == 1


def test_a_history_that_is_gone_is_listed_anew(
    server: ApiServer, api: NodeApi, follow: Callable[[Collection], Followed]
) -> None:
    class Lagging(Collection):
        """Somebody writes and compacts between the first list and the first watch."""

        done = False

        def open_watch(self, **query: Any) -> Any:
            if not self.done:
                self.done = True
                add_rule(server, "between")
                server.store.compact()
            return super().open_watch(**query)

    followed = follow(Lagging(api, shown="rules", path=node_feature_rules(api).path))
    assert followed.states.get(timeout=10) == {}
    assert followed.states.get(timeout=10).keys() == {"between"}
    assert followed.errors.empty()
    assert server.requests[LIST] == 2


def test_a_list_whose_continuation_expires_is_begun_anew(
    server: ApiServer, api: NodeApi, follow: Callable[[Collection], Followed]
) -> None:
    for number in range(PAGE + 1):
        add_rule(server, f"rule-{number}")

    class Slow(Collection):
        pages = 0

        def _page(self, query: Any) -> Any:
            self.pages += 1
            if self.pages == 2:
                add_rule(server, "late")
                server.store.compact()
            return super()._page(query)

    followed = follow(Slow(api, shown="rules", path=node_feature_rules(api).path))
    assert len(followed.states.get(timeout=10)) == PAGE + 2
    assert followed.errors.empty()


def test_more_than_anybody_has_is_an_error_before_it_fills_the_memory() -> None:
    class Endless(NodeApi):
        pages = 0

        def request(self, verb: str, path: str, **request: Any) -> Any:
            self.pages += 1
            items = [{"metadata": {"name": f"{self.pages}-{number}"}} for number in range(PAGE)]
            return {"metadata": {"resourceVersion": "1", "continue": "more"}, "items": items}

    endless = Endless("n1", kubeconfig=None, user_agent="t")
    with pytest.raises(KubeError, match="more than 5000 NodeFeatureRules"):
        node_feature_rules(endless).look()
    assert endless.pages == 26


@pytest.mark.parametrize(
    "answer",
    [{}, [], {"metadata": {}}, {"metadata": {"resourceVersion": "1"}, "items": [{}]}, {"metadata": 5}],
    ids=["empty", "list", "no version", "object without metadata", "number"],
)
def test_an_answer_that_is_no_list_is_an_error_and_no_crash(answer: Any) -> None:
    class Odd(NodeApi):
        def request(self, verb: str, path: str, **request: Any) -> Any:
            return answer

    with pytest.raises(KubeError, match="cannot be understood"):
        node_feature_rules(Odd("n1", kubeconfig=None, user_agent="t")).look()


def test_node_features_of_all_namespaces_are_followed_if_they_are_about_our_node(
    server: ApiServer, api: NodeApi, follow: Callable[[Collection], Followed]
) -> None:
    add_features(server, "mine", "n1")
    add_features(server, "mine", "n1", "kube-system")
    add_features(server, "other", "n2")
    add_features(server, "nobody", None)
    followed = follow(node_features_of(api))
    assert followed.states.get(timeout=10).keys() == {"default/mine", "kube-system/mine"}
    target = Target(resource=FEATURES, namespace="default", name="mine")
    server.api.update(target, lambda obj: {**obj, "metadata": {**obj["metadata"], "labels": {}}}, PERSON)
    assert followed.states.get(timeout=10).keys() == {"kube-system/mine"}


class WithoutCrd(NodeApi):
    """A cluster that does not know the kind."""

    def open(self, verb: str, path: str, **request: Any) -> Any:
        raise KubeError(f"{verb} {path}: HTTP 404: the server could not find the requested resource", status=404)


def test_a_kind_that_is_not_known_is_a_404_that_says_what_to_apply(kubeconfig: Path) -> None:
    with pytest.raises(KubeError, match=r"does not know NodeFeatureRules.*manifests/crds") as caught:
        node_feature_rules(WithoutCrd("n1", kubeconfig=str(kubeconfig), user_agent="t")).look()
    assert caught.value.status == 404
