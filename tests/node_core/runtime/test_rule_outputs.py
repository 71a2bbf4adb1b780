"""From rules in the cluster to the Node and back: an agent with its links, its publisher and its reporter, over a real connection."""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from node_core.domain.backoff import Backoff
from node_core.domain.labels import Collected
from node_core.domain.outputs import NodeOutputs
from node_core.domain.taints import RULE_TAINTS_ANNOTATION, Taint
from node_core.errors import KubeError
from node_core.kube.client import NodeApi
from node_core.kube.collection import Collection, Objects, node_feature_rules
from node_core.kube.events import EventApi
from node_core.publish.node import NodePublisher
from node_core.publish.outputs import OutputsPublisher
from node_core.publish.resources import ResourceKeeper
from node_core.publish.taints import TaintKeeper
from node_core.runtime.collection_link import CollectionLink
from node_core.runtime.labelling import LabelAgent
from node_core.runtime.messages import Pass, RulesChanged
from node_core.runtime.node_link import NodeLink
from node_core.runtime.rule_reporter import RuleReporter
from node_core.runtime.services import Services
from node_core.simulate.apiserver import ApiServer
from node_core.simulate.apiserver.resources import resource_named
from node_core.simulate.apiserver.writes import Target, Writer

RULES = resource_named("nodefeaturerules.nfd.k8s-sigs.io")
QUICK = Backoff(first=0.01, most=0.05)
RULE: dict[str, Any] = {
    "labels": {"example.com/l": "1"},
    "annotations": {"example.com/a": "1"},
    "extendedResources": {"example.com/fpga": "2"},
    "taints": [{"key": "example.com/t", "effect": "NoSchedule"}],
}
ALL = ({"example.com/l": "1"}, {"example.com/a": "1"}, {"example.com/fpga": "2"}, ["example.com/t"])
NOTHING: Any = ({}, {}, {}, [])


@dataclass(frozen=True)
class Problem:
    set_name: str
    why: str
    rule: str = "r"
    key: str | None = None


class Life:
    """An agent whose rules all match, and make what stands in them. Its process begins and ends with `start` and `stop`."""

    def __init__(self, kubeconfig: str, rules: Callable[[NodeApi], Collection]) -> None:
        self.services = Services(chance=lambda: 0.0)
        self.node = NodeLink("n1", kubeconfig=kubeconfig, user_agent="nfd-lite/test")
        self.link = CollectionLink(
            rules(self.node.api), agent="nfd-lite", check="rules", services=self.services, backoff=QUICK
        )
        self.outputs: NodeOutputs | None = None
        events = EventApi(self.node.api)
        self.reporter = RuleReporter(events, agent="nfd-lite", node_name="n1", services=self.services)
        publisher = OutputsPublisher(
            NodePublisher(self.node.api, "nfd-lite", outputs=lambda: self.outputs),
            outputs=lambda: self.outputs,
            taints=TaintKeeper(self.node.api, "nfd-lite", claim=RULE_TAINTS_ANNOTATION),
            resources=ResourceKeeper(self.node.api, "nfd-lite"),
        )
        self.agent = LabelAgent("nfd-lite", collect=self.collect, publisher=publisher, services=self.services)
        self.node.tell(self.agent.mailbox)
        self.link.tell(self.agent.mailbox)

    def collect(self) -> tuple[Collected, ...]:
        objects = self.link.state
        if objects is None:
            self.outputs = None
            return (Collected(name="rules", labels=None, rest=True),)
        rules = {name: rule for name, obj in sorted(objects.items()) for rule in obj["spec"]["rules"]}
        bad = [Problem(name, "it is broken") for name, rule in rules.items() if "broken" in rule]
        self.reporter.report(bad, objects)
        self.outputs = NodeOutputs(
            annotations=_union(rules, "annotations"),
            extended_resources=_union(rules, "extendedResources"),
            taints=tuple(Taint(**taint) for rule in rules.values() for taint in rule.get("taints", ())),
            partial=bool(bad),
        )
        kept = (Collected(name="broken", labels=None, rest=True),) if bad else ()
        return (*kept, Collected(name="rules", labels=_union(rules, "labels"), rest=True))

    def start(self) -> None:
        self.node.start()
        self.link.start()
        self.agent.mailbox.post(Pass())

    def stop(self) -> None:
        self.node.stop()
        self.link.stop()

    def pump(self, true: Callable[[], bool]) -> None:
        """Handles messages until something holds."""
        while not true():
            self.agent._handle(self.agent._next())

    def rest(self) -> None:
        """Handles what there is, a pass at the least, and whatever follows from it."""
        self.agent._handle(Pass())
        while (message := self.agent.mailbox.take(0.2)) is not None:
            self.agent._handle(message)


def _union(rules: Mapping[str, Any], part: str) -> dict[str, str]:
    return {key: value for rule in rules.values() for key, value in rule.get(part, {}).items()}


class Bench:
    def __init__(self, server: ApiServer, kubeconfig: str) -> None:
        self.server = server
        self.kubeconfig = kubeconfig
        self.lives: list[Life] = []

    def life(self, rules: Callable[[NodeApi], Collection] = node_feature_rules) -> Life:
        self.lives.append(Life(self.kubeconfig, rules))
        self.lives[-1].start()
        return self.lives[-1]

    def set_rule(self, **rule: Any) -> None:
        self.server.api.create(
            Target(resource=RULES), {"metadata": {"name": "r"}, "spec": {"rules": [rule]}}, Writer(manager="me")
        )

    def change_rule(self, **rule: Any) -> None:
        change = Target(resource=RULES, name="r")
        self.server.api.update(change, lambda obj: {**obj, "spec": {"rules": [rule]}}, Writer(manager="me"))

    def delete_rule(self) -> None:
        self.server.api.delete(Target(resource=RULES, name="r"))

    @property
    def found(self) -> Any:
        view = self.lives[0].node.api.get()
        mine = view.applied_by("nfd-lite"), view.annotations_by("nfd-lite"), view.capacity_by("nfd-lite")
        return *mine, [taint["key"] for taint in view.taints]


@pytest.fixture
def bench(tmp_path: Path) -> Iterator[Bench]:
    with ApiServer() as server:
        server.add_node("n1")
        server.write_kubeconfig(tmp_path / "kubeconfig")
        made = Bench(server, str(tmp_path / "kubeconfig"))
        yield made
        for life in made.lives:
            life.stop()


def test_a_rule_that_comes_makes_its_outputs_and_one_that_goes_takes_them_along(bench: Bench) -> None:
    life = bench.life()
    life.pump(lambda: life.link.state == {})
    bench.set_rule(**RULE)
    life.pump(lambda: bench.found == ALL)
    bench.delete_rule()
    life.pump(lambda: bench.found == NOTHING)


def test_at_rest_nothing_is_written_and_nothing_is_read(bench: Bench) -> None:
    bench.set_rule(**RULE)
    life = bench.life()
    life.pump(lambda: bench.found == ALL)
    life.rest()
    bench.server.forget_requests()
    for _ in range(300):
        life.agent._handle(Pass())
        life.agent._handle(RulesChanged())
    life.rest()
    assert bench.server.requests == {}


def test_a_restart_writes_nothing(bench: Bench) -> None:
    bench.set_rule(**RULE)
    life = bench.life()
    life.pump(lambda: bench.found == ALL)
    life.rest()
    life.stop()
    bench.server.forget_requests()
    again = bench.life()
    again.pump(lambda: bool(again.link.state))
    again.rest()
    assert bench.server.writes == 0
    assert bench.found == ALL


def test_a_restart_that_may_not_read_the_rules_leaves_their_outputs_and_is_not_ready(bench: Bench) -> None:
    bench.set_rule(**RULE)
    life = bench.life()
    life.pump(lambda: bench.found == ALL)
    life.rest()
    life.stop()

    class Forbidden(Collection):
        def look(self) -> tuple[Objects, str]:
            raise KubeError("may not list nodefeaturerules", status=403)

    again = bench.life(lambda api: Forbidden(api, shown="rules", path="/"))
    again.pump(lambda: again.agent._tried)
    again.rest()
    assert bench.found == ALL
    assert again.services.readiness.problems()["nfd-lite/rules"] == "may not list nodefeaturerules"


def test_a_rule_that_breaks_keeps_its_outputs_and_its_author_is_told(bench: Bench) -> None:
    bench.set_rule(**RULE)
    life = bench.life()
    life.pump(lambda: bench.found == ALL)
    bench.change_rule(broken=True)
    life.pump(lambda: bool(bench.server.store.list("events")[0]))
    life.rest()
    assert bench.found == ALL
    bench.change_rule()
    life.pump(lambda: bench.found == NOTHING)


def test_what_a_person_takes_away_is_put_back(bench: Bench) -> None:
    bench.set_rule(**RULE)
    life = bench.life()
    life.pump(lambda: bench.found == ALL)
    life.rest()

    def strip(node: dict[str, Any]) -> dict[str, Any]:
        metadata = {**node["metadata"], "labels": {}, "annotations": {}}
        return {**node, "metadata": metadata, "spec": {}}

    bench.server.api.update(Target(resource=resource_named("nodes"), name="n1"), strip, Writer(manager="kubectl"))
    life.pump(lambda: bench.found == ALL)
