"""The informers of an agent: the message for each change, and states that remain during errors."""

import threading
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest
from structlog.testing import capture_logs

from node_core.domain.backoff import Backoff
from node_core.domain.node_feature import NodeFeature
from node_core.errors import KubeError
from node_core.kube.client import NodeApi
from node_core.kube.resources import Obj, Resource, config_map, node_feature_rules, openshift_rules
from node_core.runtime.informers import (
    RETRY_SECONDS,
    CollectionInformer,
    NodeFeatureInformer,
    NodeInformer,
    config_map_informer,
    node_features_informer,
    rules_informer,
)
from node_core.runtime.mailbox import Mailbox
from node_core.runtime.messages import AgentMessage, InputsChanged, NodeChanged, NodeFeatureChanged, NodeUnavailable
from node_core.runtime.services import Services
from simulation.apiserver import ApiServer
from simulation.apiserver.resources import resource_named
from simulation.apiserver.writes import Target, Writer

KEY = "example.com/config"
LABELS = {"feature.node.kubernetes.io/x": "true"}
RULES = resource_named("nodefeaturerules.nfd.k8s-sigs.io")
QUICK = Backoff(first=0.01, maximum=0.02)
RULE: Mapping[str, Any] = {"metadata": {"name": "r"}}


@pytest.fixture
def server(tmp_path: Path) -> Iterator[ApiServer]:
    with ApiServer() as running:
        running.add_node("n1", labels={KEY: "a"})
        running.write_kubeconfig(tmp_path / "kubeconfig")
        yield running


@pytest.fixture
def kubeconfig(server: ApiServer, tmp_path: Path) -> str:
    assert server.url
    return str(tmp_path / "kubeconfig")


@pytest.fixture
def node(kubeconfig: str) -> Iterator[NodeInformer]:
    informer = NodeInformer("n1", kubeconfig=kubeconfig, user_agent="t")
    yield informer
    informer.stop()


def subscribed(informer: NodeInformer | NodeFeatureInformer) -> Mailbox[AgentMessage]:
    mailbox: Mailbox[AgentMessage] = Mailbox()
    informer.subscribe(mailbox)
    informer.start()
    return mailbox


def label(server: ApiServer, labels: dict[str, str]) -> None:
    def change(obj: dict[str, Any]) -> dict[str, Any]:
        obj["metadata"]["labels"] = labels
        return obj

    server.store.mutate("nodes", "n1", change)


def until_seen(mailbox: Mailbox[AgentMessage], labels: dict[str, str]) -> None:
    for _ in range(100):
        message = mailbox.get(timeout=60)
        assert isinstance(message, NodeChanged)
        if {key: value for key, value in message.view.labels.items() if key in (KEY, "x")} == labels:
            return
    raise AssertionError(labels)


def test_a_callback_for_a_label_is_called_at_first_and_when_the_value_changes(
    server: ApiServer, node: NodeInformer
) -> None:
    changes: list[str | None] = []
    node.on_label_change(KEY, lambda: changes.append((node.labels or {}).get(KEY)))
    assert node.labels is None
    mailbox = subscribed(node)
    states = [{KEY: "a"}, {KEY: "a", "x": "1"}, {KEY: "b"}, {KEY: "b", "x": "2"}, {"x": "2"}, {}]
    until_seen(mailbox, states[0])
    for labels in states[1:]:
        label(server, labels)
        until_seen(mailbox, labels)
    assert changes == ["a", "b", None]


def until_lost(mailbox: Mailbox[AgentMessage]) -> KubeError:
    while not isinstance(message := mailbox.get(timeout=60), NodeUnavailable):
        assert message is not None
    return message.error


def test_a_deleted_node_is_reported_as_missing_until_it_is_created_again(server: ApiServer, node: NodeInformer) -> None:
    mailbox = subscribed(node)
    until_seen(mailbox, {KEY: "a"})
    server.store.delete("nodes", "n1")
    error = until_lost(mailbox)
    assert (error.status, str(error)) == (404, "Node n1 was deleted")
    server.store.delete("leases.coordination.k8s.io", "n1", namespace="kube-node-lease")
    server.add_node("n1", labels={KEY: "b"})
    until_seen(mailbox, {KEY: "b"})


def test_a_node_that_never_existed_is_missing_and_the_error_has_a_hint(server: ApiServer, kubeconfig: str) -> None:
    informer = NodeInformer("n2", kubeconfig=kubeconfig, user_agent="t")
    mailbox = subscribed(informer)
    error = until_lost(mailbox)
    assert (error.status, str(error)[:60]) == (404, 'nodes "n2" not found (no such Node: compare --node-name or N')
    server.add_node("n2")
    assert isinstance(mailbox.get(timeout=60), NodeChanged)
    informer.stop()
    assert not informer._thread.is_alive()


def test_the_watch_of_an_object_reports_changes_and_ends_when_it_is_stopped(node: NodeInformer) -> None:
    """An agent is created again when a config file changes. Its previous watches must have ended."""
    informer = NodeFeatureInformer(node, "gfd", namespace="default")
    mailbox = subscribed(informer)
    assert isinstance(mailbox.get(timeout=60), NodeFeatureChanged)
    informer.features.apply("gfd", NodeFeature(node_name="n1", node_uid="u", labels=LABELS), force=False)
    seen = mailbox.get(timeout=60)
    assert isinstance(seen, NodeFeatureChanged)
    assert seen.view is not None
    assert informer._thread.is_alive()
    informer.stop()
    assert not informer._thread.is_alive()


def add_rule(server: ApiServer, name: str) -> None:
    server.api.create(Target(resource=RULES), {"metadata": {"name": name}}, Writer(manager="kubectl"))


class Bench:
    """An informer of rules. The test calls its callbacks in place of an API server, or starts the informer."""

    def __init__(self, api: NodeApi, resource: Resource[Obj] | None = None) -> None:
        self.services = Services()
        self.mailbox: Mailbox[AgentMessage] = Mailbox()
        self.slept: list[float] = []
        self.rules = CollectionInformer(
            api,
            resource or node_feature_rules(),
            agent="nfd-lite",
            check="rules",
            services=self.services,
            backoff=QUICK,
            missing_backoff=QUICK,
            sleep=self.slept.append,
        )
        self.rules.subscribe(self.mailbox)

    @property
    def has_changed(self) -> bool:
        return isinstance(self.mailbox.get(0), InputsChanged)

    def why(self) -> str | None:
        return self.services.readiness.problems().get("nfd-lite/rules")

    def until(self, true: Callable[[], bool]) -> None:
        while not true():
            assert self.mailbox.get(60) is not None


@pytest.fixture
def bench(kubeconfig: str) -> Iterator[Bench]:
    made = Bench(NodeApi("n1", kubeconfig=kubeconfig, user_agent="t"))
    yield made
    made.rules.stop()


def test_the_state_is_unknown_before_the_first_list_and_empty_without_rules(bench: Bench) -> None:
    at_first = bench.rules.state
    bench.rules.start()
    bench.until(lambda: bench.rules.state is not None)
    assert (at_first, bench.rules.state) == (None, {})
    assert bench.why() is None


def test_a_process_that_runs_once_lists_once(server: ApiServer, bench: Bench) -> None:
    add_rule(server, "a")
    server.forget_requests()
    bench.rules.list_once()
    assert (bench.rules.state or {}).keys() == {"a"}
    assert sum(server.requests.values()) == 1
    assert bench.slept == []


class FailingLists(NodeApi):
    """Lists fail with these errors, one after the other. Then lists succeed."""

    def __init__(self, kubeconfig: str, *statuses: int) -> None:
        super().__init__("n1", kubeconfig=kubeconfig, user_agent="t")
        self.statuses = list(statuses)

    def request(self, verb: str, path: str, **request: Any) -> Mapping[str, Any]:
        if self.statuses:
            raise KubeError("no", status=self.statuses.pop(0))
        return super().request(verb, path, **request)


@pytest.mark.parametrize(
    ("statuses", "names", "slept"),
    [
        ((404, 404), set(), [RETRY_SECONDS]),
        ((404,), {"a"}, [RETRY_SECONDS]),
        ((404, 503), None, [RETRY_SECONDS]),
        ((403,), None, []),
    ],
    ids=["absent", "starting", "unknown", "refused"],
)
def test_for_a_process_that_runs_once_a_kind_is_absent_after_two_404s_with_a_delay_between(
    server: ApiServer, kubeconfig: str, statuses: tuple[int, ...], names: set[str] | None, slept: list[float]
) -> None:
    add_rule(server, "a")
    bench = Bench(FailingLists(kubeconfig, *statuses))
    bench.rules.list_once()
    assert (None if bench.rules.state is None else set(bench.rules.state)) == names
    assert bench.slept == slept
    assert (bench.why() is None) == (names is not None)


def test_an_agent_receives_a_message_for_each_change(server: ApiServer, bench: Bench) -> None:
    bench.rules.start()
    bench.until(lambda: bench.rules.state == {})
    add_rule(server, "a")
    bench.until(lambda: (bench.rules.state or {}).keys() == {"a"})


def test_a_403_is_reported_and_counted_and_leaves_the_state_unknown(bench: Bench) -> None:
    bench.rules._observe_error(KubeError("forbidden", status=403))
    assert (bench.rules.state, bench.why(), bench.has_changed) == (None, "forbidden", False)
    assert b'gpunode_errors_total{agent="nfd-lite",check="rules"} 1.0' in bench.services.metrics.render()


@pytest.mark.parametrize("status", [0, 401, 403, 410, 500, 503])
def test_known_rules_remain_during_errors(bench: Bench, status: int) -> None:
    bench.rules._observe({"r": RULE})
    assert bench.has_changed
    for _ in range(10):
        bench.rules._observe_error(KubeError("trouble", status=status))
    assert (bench.rules.state, bench.why(), bench.has_changed) == ({"r": RULE}, "trouble", False)
    bench.rules._observe({"r": RULE})
    assert (bench.why(), bench.has_changed) == (None, False)


def test_after_the_second_404_the_kind_is_absent_and_one_line_reports_this(bench: Bench) -> None:
    absent = KubeError("the cluster does not know NodeFeatureRules", status=404)
    with capture_logs() as logs:
        bench.rules._observe_error(absent)
        assert (bench.rules.state, bench.has_changed) == (None, False)
        for _ in range(10):
            bench.rules._observe_error(absent)
    assert (bench.rules.state, bench.has_changed, bench.why()) == ({}, True, None)
    assert [entry["event"] for entry in logs] == ["resource_kind_missing"]


@pytest.mark.parametrize("status", [403, 404])
def test_an_optional_kind_is_absent_after_the_first_404_or_403_without_a_report(kubeconfig: str, status: int) -> None:
    bench = Bench(FailingLists(kubeconfig, *[status] * 5), openshift_rules())
    with capture_logs() as logs:
        bench.rules.list_once()
        assert (bench.rules.state, bench.slept, bench.why()) == ({}, [], None)
        for _ in range(5):
            bench.rules._observe_error(KubeError("no", status=status))
    assert (bench.rules.state, bench.why(), logs) == ({}, None, [])


def test_known_objects_of_an_optional_kind_remain_until_the_second_404(kubeconfig: str) -> None:
    bench = Bench(NodeApi("n1", kubeconfig=kubeconfig, user_agent="t"), openshift_rules())
    bench.rules._observe({"r": RULE})
    bench.rules._observe_error(KubeError("no", status=403))
    bench.rules._observe_error(KubeError("no", status=404))
    assert bench.rules.state == {"r": RULE}
    bench.rules._observe_error(KubeError("no", status=404))
    assert bench.rules.state == {}


def test_the_rules_of_openshift_are_watched(server: ApiServer, kubeconfig: str) -> None:
    bench = Bench(NodeApi("n1", kubeconfig=kubeconfig, user_agent="t"), openshift_rules())
    bench.rules.start()
    try:
        bench.until(lambda: bench.rules.state == {})
        target = Target(resource=resource_named("nodefeaturerules.nfd.openshift.io"), namespace="default")
        server.api.create(target, {"metadata": {"name": "a"}}, Writer(manager="kubectl"))
        bench.until(lambda: (bench.rules.state or {}).keys() == {"default/a"})
    finally:
        bench.rules.stop()


def test_single_404s_of_a_starting_api_server_remove_no_rules(bench: Bench) -> None:
    bench.rules._observe({"r": RULE})
    for _ in range(5):
        bench.rules._observe_error(KubeError("not found", status=404))
        bench.rules._observe_error(KubeError("the API server does not respond"))
    bench.rules._observe_error(KubeError("not found", status=404))
    assert bench.rules.state == {"r": RULE}
    bench.rules._observe({"r": RULE})
    bench.rules._observe_error(KubeError("not found", status=404))
    assert bench.rules.state == {"r": RULE}


def test_a_kind_that_is_created_later_is_watched(server: ApiServer, kubeconfig: str) -> None:
    known = threading.Event()

    class Later(NodeApi):
        def open(self, verb: str, path: str, **request: Any) -> Any:
            if not known.is_set():
                raise KubeError("HTTP 404: the server could not find the requested resource", status=404)
            return super().open(verb, path, **request)

    bench = Bench(Later("n1", kubeconfig=kubeconfig, user_agent="t"))
    bench.rules.start()
    try:
        bench.until(lambda: bench.rules.state == {})
        add_rule(server, "a")
        known.set()
        bench.until(lambda: (bench.rules.state or {}).keys() == {"a"})
    finally:
        bench.rules.stop()


def test_the_informers_of_a_process_share_its_connections_and_watch_their_kinds(node: NodeInformer) -> None:
    services = Services()
    features = node_features_informer(node, agent="nfd-lite", services=services)
    assert features is not None
    informers = (rules_informer(node, agent="nfd-lite", services=services), features)
    mailbox: Mailbox[AgentMessage] = Mailbox()
    for informer in informers:
        informer.subscribe(mailbox)
        informer.start()
    try:
        while any(informer.state is None for informer in informers):
            assert mailbox.get(60) is not None
        assert all(informer._thread.is_alive() for informer in informers)
    finally:
        for informer in informers:
            informer.stop()
    assert not any(informer._thread.is_alive() for informer in informers)
    assert services.readiness.problems() == {"nfd-lite/rules": None, "nfd-lite/node-features": None}


def test_a_node_whose_name_is_not_a_label_value_has_no_node_features(kubeconfig: str) -> None:
    node = NodeInformer("a." * 40 + "a", kubeconfig=kubeconfig, user_agent="t")
    assert node_features_informer(node, agent="nfd-lite", services=Services()) is None


def test_the_hint_for_rules_is_not_shown_for_configmaps(node: NodeInformer) -> None:
    assert config_map("a", "b").hint is None
    services = Services()
    config_map_informer(node, "a", "b", agent="gfd", services=services)
    assert services.readiness.problems() == {"gfd/config-map": "not completed yet"}
