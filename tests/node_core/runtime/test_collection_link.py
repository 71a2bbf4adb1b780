"""Rules of the cluster in an agent's process: unknown is not none, and an error takes nothing away."""

import threading
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest
from structlog.testing import capture_logs

from node_core.domain.backoff import Backoff
from node_core.errors import KubeError
from node_core.kube.client import NodeApi
from node_core.kube.collection import Collection, Objects, node_feature_rules
from node_core.runtime.collection_link import CollectionLink, node_features_link, rules_link
from node_core.runtime.mailbox import Mailbox
from node_core.runtime.messages import AgentMessage, RulesChanged
from node_core.runtime.node_link import NodeLink
from node_core.runtime.services import Services
from node_core.simulate.apiserver import ApiServer
from node_core.simulate.apiserver.resources import resource_named
from node_core.simulate.apiserver.writes import Target, Writer

RULES = resource_named("nodefeaturerules.nfd.k8s-sigs.io")
QUICK = Backoff(first=0.01, most=0.02)
RULE: Mapping[str, Any] = {"metadata": {"name": "r"}}


@pytest.fixture
def server(tmp_path: Path) -> Iterator[ApiServer]:
    with ApiServer() as running:
        running.write_kubeconfig(tmp_path / "kubeconfig")
        yield running


@pytest.fixture
def kubeconfig(server: ApiServer, tmp_path: Path) -> str:
    assert server.url
    return str(tmp_path / "kubeconfig")


def add_rule(server: ApiServer, name: str) -> None:
    server.api.create(Target(resource=RULES), {"metadata": {"name": name}}, Writer(manager="kubectl"))


class Bench:
    """A link of which the test plays the watch, or starts it."""

    def __init__(self, subject: Collection) -> None:
        self.services = Services()
        self.mailbox: Mailbox[AgentMessage] = Mailbox()
        self.link = CollectionLink(
            subject, agent="nfd-lite", check="rules", services=self.services, backoff=QUICK, absent=QUICK
        )
        self.link.tell(self.mailbox)

    @property
    def told(self) -> bool:
        return isinstance(self.mailbox.take(0), RulesChanged)

    def why(self) -> str | None:
        return self.services.readiness.problems().get("nfd-lite/rules")

    def until(self, true: Callable[[], bool]) -> None:
        while not true():
            assert self.mailbox.take(10) is not None


@pytest.fixture
def played(kubeconfig: str) -> Bench:
    return Bench(node_feature_rules(NodeApi("n1", kubeconfig=kubeconfig, user_agent="t")))


@pytest.fixture
def started(played: Bench) -> Iterator[Bench]:
    played.link.start()
    yield played
    played.link.stop()


def test_nothing_is_known_at_first_and_no_rules_are_an_empty_state(started: Bench) -> None:
    started.until(lambda: started.link.state is not None)
    assert started.link.state == {}
    assert started.why() is None


def test_a_process_that_runs_once_asks_once(server: ApiServer, played: Bench) -> None:
    add_rule(server, "a")
    server.forget_requests()
    played.link.look()
    assert (played.link.state or {}).keys() == {"a"}
    assert sum(server.requests.values()) == 1


@pytest.mark.parametrize(("status", "state"), [(404, {}), (403, None)])
def test_a_process_that_runs_once_tells_absent_from_refused(
    kubeconfig: str, status: int, state: dict[str, Any] | None
) -> None:
    class Refusing(Collection):
        def look(self) -> tuple[Objects, str]:
            raise KubeError("no", status=status)

    bench = Bench(Refusing(NodeApi("n1", kubeconfig=kubeconfig, user_agent="t"), shown="rules", path="/"))
    bench.link.look()
    assert (bench.link.state, bench.why()) == (state, None if status == 404 else "no")


def test_an_agent_is_told_of_every_change(server: ApiServer, started: Bench) -> None:
    started.until(lambda: started.link.state == {})
    add_rule(server, "a")
    started.until(lambda: (started.link.state or {}).keys() == {"a"})


def test_a_refusal_is_said_counted_and_leaves_the_state_unknown(played: Bench) -> None:
    played.link._failed(KubeError("forbidden", status=403))
    assert (played.link.state, played.why(), played.told) == (None, "forbidden", False)
    assert b'gpunode_errors_total{agent="nfd-lite",check="rules"} 1.0' in played.services.metrics.render()


@pytest.mark.parametrize("status", [0, 401, 403, 410, 500, 503])
def test_trouble_after_rules_were_known_leaves_them_in_force(played: Bench, status: int) -> None:
    played.link._seen({"r": RULE})
    assert played.told
    for _ in range(10):
        played.link._failed(KubeError("trouble", status=status))
    assert (played.link.state, played.why(), played.told) == ({"r": RULE}, "trouble", False)
    played.link._seen({"r": RULE})
    assert (played.why(), played.told) == (None, False)


def test_a_cluster_without_the_kind_has_no_rules_once_it_says_so_twice_and_one_line_says_it(played: Bench) -> None:
    absent = KubeError("the cluster does not know NodeFeatureRules", status=404)
    with capture_logs() as logs:
        played.link._failed(absent)
        assert (played.link.state, played.told) == (None, False)
        for _ in range(10):
            played.link._failed(absent)
    assert (played.link.state, played.told, played.why()) == ({}, True, None)
    assert [entry["event"] for entry in logs] == ["kind_absent"]


def test_an_api_server_that_is_only_starting_takes_no_rules_away(played: Bench) -> None:
    played.link._seen({"r": RULE})
    for _ in range(5):
        played.link._failed(KubeError("not found", status=404))
        played.link._failed(KubeError("the API server does not answer"))
    played.link._failed(KubeError("not found", status=404))
    assert played.link.state == {"r": RULE}
    played.link._seen({"r": RULE})
    played.link._failed(KubeError("not found", status=404))
    assert played.link.state == {"r": RULE}


def test_a_kind_that_comes_later_is_found(server: ApiServer, kubeconfig: str) -> None:
    known = threading.Event()

    class Later(NodeApi):
        def open(self, verb: str, path: str, **request: Any) -> Any:
            if not known.is_set():
                raise KubeError("HTTP 404: the server could not find the requested resource", status=404)
            return super().open(verb, path, **request)

    bench = Bench(node_feature_rules(Later("n1", kubeconfig=kubeconfig, user_agent="t")))
    bench.link.start()
    try:
        bench.until(lambda: bench.link.state == {})
        add_rule(server, "a")
        known.set()
        bench.until(lambda: (bench.link.state or {}).keys() == {"a"})
    finally:
        bench.link.stop()


def test_the_links_of_a_process_share_its_connection_and_follow_their_kinds(server: ApiServer, kubeconfig: str) -> None:
    server.add_node("n1")
    node = NodeLink("n1", kubeconfig=kubeconfig, user_agent="t")
    services = Services()
    features = node_features_link(node, agent="nfd-lite", services=services)
    assert features is not None
    links = (rules_link(node, agent="nfd-lite", services=services), features)
    mailbox: Mailbox[AgentMessage] = Mailbox()
    for link in links:
        link.tell(mailbox)
        link.start()
    try:
        while any(link.state is None for link in links):
            assert mailbox.take(10) is not None
    finally:
        for link in links:
            link.stop()
    assert services.readiness.problems() == {"nfd-lite/rules": None, "nfd-lite/node-features": None}


def test_a_node_whose_name_no_label_can_hold_has_no_node_features(kubeconfig: str) -> None:
    node = NodeLink("a." * 40 + "a", kubeconfig=kubeconfig, user_agent="t")
    assert node_features_link(node, agent="nfd-lite", services=Services()) is None
