"""From rules in the cluster to the Node and its events: an agent with its informers, publisher and reporter, over HTTPS."""

from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest

from nfd_lite.rule_reporter import RuleReporter
from nfd_lite.rules.model import RuleProblem
from node_core.domain.backoff import Backoff
from node_core.domain.desired import CollectorResult, Desired, failed_result
from node_core.domain.node import NodeView
from node_core.domain.reconcile import FieldOwner
from node_core.domain.taints import RULE_TAINTS_ANNOTATION, Taint
from node_core.errors import KubeError
from node_core.kube.client import NodeApi
from node_core.kube.events import EventApi
from node_core.kube.resources import node_feature_rules
from node_core.publish.node import NodeWriter
from node_core.runtime.control_loop import Timers
from node_core.runtime.event_recorder import EventRecorder
from node_core.runtime.informers import CollectionInformer, NodeInformer
from node_core.runtime.label_controller import LabelController, LabelLoop
from node_core.runtime.mailbox import Mailbox
from node_core.runtime.messages import InputsChanged, Resync
from node_core.runtime.services import Services
from simulation.apiserver import ApiServer
from simulation.apiserver.resources import resource_named
from simulation.apiserver.writes import Target, Writer

RULES = resource_named("nodefeaturerules.nfd.k8s-sigs.io")
QUICK = Backoff(first=0.01, maximum=0.05)
RULE: dict[str, Any] = {
    "labels": {"example.com/l": "1"},
    "annotations": {"example.com/a": "1"},
    "extendedResources": {"example.com/fpga": "2"},
    "taints": [{"key": "example.com/t", "effect": "NoSchedule"}],
}
ALL = ({"example.com/l": "1"}, {"example.com/a": "1"}, {"example.com/fpga": "2"}, ["example.com/t"])
NOTHING: Any = ({}, {}, {}, [])


class Process:
    """An agent whose rules all match and create the outputs that they contain. `start` and `stop` start and stop the process."""

    def __init__(self, kubeconfig: str, api: type[NodeApi]) -> None:
        self.services = Services(chance=lambda: 0.0)
        self.node = NodeInformer("n1", kubeconfig=kubeconfig, user_agent="nfd-lite/test")
        self.rules = CollectionInformer(
            api("n1", kubeconfig=kubeconfig, user_agent="nfd-lite/test"),
            node_feature_rules(),
            agent="nfd-lite",
            check="rules",
            services=self.services,
            backoff=QUICK,
        )
        self.events = EventRecorder(lambda: EventApi(self.node.api), self.services)
        self.reporter = RuleReporter(self.events, agent="nfd-lite", node_name="n1", services=self.services)
        timers = Timers(self.services.clock)
        controller = LabelController(
            "nfd-lite",
            collect=self.collect,
            writer=NodeWriter(self.node.api, FieldOwner(manager="nfd-lite", taints_annotation=RULE_TAINTS_ANNOTATION)),
            services=self.services,
            timers=timers,
        )
        self.agent = LabelLoop(controller, self.services, mailbox=Mailbox(), timers=timers)
        self.node.subscribe(self.agent.mailbox)
        self.rules.subscribe(self.agent.mailbox)

    def collect(self, _: NodeView | None) -> Desired:
        objects = self.rules.state
        if objects is None:
            return Desired(results=(failed_result("rules"),))
        rules = {name: rule for name, obj in sorted(objects.items()) for rule in obj["spec"]["rules"]}
        bad = [
            RuleProblem(set_name=name, rule="r", why="it is broken") for name, rule in rules.items() if "broken" in rule
        ]
        self.reporter.report(bad, objects)
        self.events.step()
        taints = [Taint(**taint) for rule in rules.values() for taint in rule.get("taints", ())]
        found = CollectorResult(
            name="rules",
            labels=_union(rules, "labels"),
            annotations=_union(rules, "annotations"),
            taints={taint.identity: taint for taint in taints},
            extended_resources=_union(rules, "extendedResources"),
        )
        return Desired(results=(*((failed_result("broken"),) if bad else ()), found))

    def start(self) -> None:
        self.node.start()
        self.rules.start()
        self.agent.mailbox.post(Resync())

    def stop(self) -> None:
        self.node.stop()
        self.rules.stop()

    def handle_until(self, true: Callable[[], bool]) -> None:
        """Handles messages until the condition is true."""
        while not true():
            self.agent._wake(self.agent._next())

    def handle_all(self) -> None:
        """Handles all present messages, at least one pass, and the messages that these cause."""
        self.agent._wake(Resync())
        while (message := self.agent.mailbox.get(0.2)) is not None:
            self.agent._wake(message)


def _union(rules: Mapping[str, Any], part: str) -> dict[str, str]:
    return {key: value for rule in rules.values() for key, value in rule.get(part, {}).items()}


class Bench:
    def __init__(self, server: ApiServer, kubeconfig: str) -> None:
        self.server = server
        self.kubeconfig = kubeconfig
        self.processes: list[Process] = []

    def process(self, api: type[NodeApi] = NodeApi) -> Process:
        self.processes.append(Process(self.kubeconfig, api))
        self.processes[-1].start()
        return self.processes[-1]

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
        view = self.processes[0].node.api.get()
        mine = view.labels_by("nfd-lite"), view.annotations_by("nfd-lite"), view.capacity_by("nfd-lite")
        return *mine, [taint["key"] for taint in view.taints]


@pytest.fixture
def bench(tmp_path: Path) -> Iterator[Bench]:
    with ApiServer() as server:
        server.add_node("n1")
        server.write_kubeconfig(tmp_path / "kubeconfig")
        made = Bench(server, str(tmp_path / "kubeconfig"))
        yield made
        for process in made.processes:
            process.stop()


@pytest.mark.exhaustive
def test_a_created_rule_creates_its_outputs_and_a_deleted_rule_removes_them(bench: Bench) -> None:
    process = bench.process()
    process.handle_until(lambda: process.rules.state == {})
    bench.set_rule(**RULE)
    process.handle_until(lambda: bench.found == ALL)
    bench.delete_rule()
    process.handle_until(lambda: bench.found == NOTHING)


def test_without_changes_there_are_no_requests(bench: Bench) -> None:
    bench.set_rule(**RULE)
    process = bench.process()
    process.handle_until(lambda: bench.found == ALL)
    process.handle_all()
    bench.server.forget_requests()
    for _ in range(300):
        process.agent._wake(Resync())
        process.agent._wake(InputsChanged())
    process.handle_all()
    assert bench.server.requests == {}


def test_a_restart_writes_nothing(bench: Bench) -> None:
    bench.set_rule(**RULE)
    process = bench.process()
    process.handle_until(lambda: bench.found == ALL)
    process.handle_all()
    process.stop()
    bench.server.forget_requests()
    again = bench.process()
    again.handle_until(lambda: bool(again.rules.state))
    again.handle_all()
    assert bench.server.writes == 0
    assert bench.found == ALL


def test_a_restarted_agent_without_access_to_rules_retains_their_outputs_and_is_not_ready(bench: Bench) -> None:
    bench.set_rule(**RULE)
    process = bench.process()
    process.handle_until(lambda: bench.found == ALL)
    process.handle_all()
    process.stop()

    class Forbidden(NodeApi):
        def request(self, verb: str, path: str, **request: Any) -> Any:
            raise KubeError("may not list nodefeaturerules", status=403)

    again = bench.process(Forbidden)
    again.handle_until(lambda: again.services.readiness.problems().get("nfd-lite/published", "") is None)
    again.handle_all()
    assert bench.found == ALL
    assert again.services.readiness.problems()["nfd-lite/rules"] == "may not list nodefeaturerules"


def test_a_broken_rule_retains_its_outputs_and_causes_an_event(bench: Bench) -> None:
    bench.set_rule(**RULE)
    process = bench.process()
    process.handle_until(lambda: bench.found == ALL)
    bench.change_rule(broken=True)
    process.handle_until(lambda: bool(bench.server.store.list("events")[0]))
    process.handle_all()
    assert bench.found == ALL
    bench.change_rule()
    process.handle_until(lambda: bench.found == NOTHING)


def test_removed_outputs_are_restored(bench: Bench) -> None:
    bench.set_rule(**RULE)
    process = bench.process()
    process.handle_until(lambda: bench.found == ALL)
    process.handle_all()

    def strip(node: dict[str, Any]) -> dict[str, Any]:
        metadata = {**node["metadata"], "labels": {}, "annotations": {}}
        return {**node, "metadata": metadata, "spec": {}}

    bench.server.api.update(Target(resource=resource_named("nodes"), name="n1"), strip, Writer(manager="kubectl"))
    process.handle_until(lambda: bench.found == ALL)
