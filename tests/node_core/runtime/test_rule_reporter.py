"""Authors of rules are told once: by whichever node is first, and never at the price of anything else."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from structlog.testing import capture_logs

from node_core.errors import KubeError
from node_core.kube.client import NodeApi
from node_core.kube.events import EventApi
from node_core.runtime.rule_reporter import MOST_EVENTS, EventSink, RuleReporter
from node_core.runtime.services import Services
from node_core.simulate.apiserver import ApiServer
from node_core.simulate.apiserver.resources import resource_named
from node_core.simulate.apiserver.writes import Target, Writer

RULES = resource_named("nodefeaturerules.nfd.k8s-sigs.io")
CREATE = ("create", "/api/v1/namespaces/{namespace}/events")


@dataclass(frozen=True)
class Problem:
    """As the engine of rules reports it."""

    set_name: str = "my-rules"
    rule: str = "fast"
    why: str = "'x' is no number"
    key: str | None = None


class Bench:
    """A cluster with one NodeFeatureRule, and the reporters of its nodes."""

    def __init__(self, server: ApiServer, kubeconfig: str) -> None:
        self.server = server
        self.kubeconfig = kubeconfig
        self.services = Services()
        body = {"metadata": {"name": "my-rules"}, "spec": {"rules": []}}
        server.api.create(Target(resource=RULES), body, Writer(manager="kubectl"))

    def reporter(self, node: str = "n1", events: EventSink | None = None) -> RuleReporter:
        sink = events or EventApi(NodeApi(node, kubeconfig=self.kubeconfig, user_agent="t"))
        return RuleReporter(sink, agent="nfd-lite", node_name=node, services=self.services)

    @property
    def objects(self) -> dict[str, Any]:
        return {item["metadata"]["name"]: item for item in self.server.store.list(RULES.name)[0]}

    @property
    def events(self) -> list[dict[str, Any]]:
        return self.server.store.list("events")[0]

    def author_changes_the_rules(self) -> None:
        target = Target(resource=RULES, name="my-rules")
        self.server.api.update(target, lambda obj: {**obj, "spec": {"rules": [{"name": "x"}]}}, Writer(manager="me"))


@pytest.fixture
def bench(tmp_path: Path) -> Iterator[Bench]:
    with ApiServer() as server:
        server.write_kubeconfig(tmp_path / "kubeconfig")
        yield Bench(server, str(tmp_path / "kubeconfig"))


def test_a_rule_that_fails_is_told_on_its_object_with_rule_node_and_reason(bench: Bench) -> None:
    bench.reporter().report([Problem()], bench.objects)
    (event,) = bench.events
    metadata = bench.objects["my-rules"]["metadata"]
    assert event["involvedObject"] == {
        "apiVersion": "nfd.k8s-sigs.io/v1alpha1", "kind": "NodeFeatureRule", "name": "my-rules",
        "uid": metadata["uid"], "resourceVersion": metadata["resourceVersion"],
    }  # fmt: skip
    assert (event["type"], event["reason"], event["metadata"]["namespace"]) == ("Warning", "RuleFailed", "default")
    for word in ("'fast'", "n1", "'x' is no number"):
        assert word in event["message"]
    assert (event["source"], event["count"]) == ({"component": "nfd-lite", "host": "n1"}, 1)


def test_an_output_that_is_left_out_is_told_by_its_key(bench: Bench) -> None:
    bench.reporter().report([Problem(key="kubernetes.io/os", why="belongs to Kubernetes")], bench.objects)
    (event,) = bench.events
    assert event["reason"] == "OutputRefused"
    assert "kubernetes.io/os is left out on Node n1: belongs to Kubernetes" in event["message"]


def test_a_thousand_passes_ask_once(bench: Bench) -> None:
    reporter = bench.reporter()
    for _ in range(1000):
        reporter.report([Problem()], bench.objects)
    assert bench.server.requests[CREATE] == 1


def test_many_nodes_with_one_problem_make_one_event_whatever_values_they_met(bench: Bench) -> None:
    for number in range(30):
        bench.reporter(f"n{number}").report([Problem(why=f"'{number}' is no version")], bench.objects)
    assert len(bench.events) == 1


def test_another_problem_another_generation_and_another_object_are_told_anew(bench: Bench) -> None:
    reporter = bench.reporter()
    reporter.report([Problem(), Problem(key="a"), Problem(rule="slow")], bench.objects)
    assert len(bench.events) == 3
    bench.author_changes_the_rules()
    reporter.report([Problem()], bench.objects)
    assert len(bench.events) == 4
    bench.server.api.delete(Target(resource=RULES, name="my-rules"))
    bench.server.api.create(Target(resource=RULES), {"metadata": {"name": "my-rules"}}, Writer(manager="me"))
    reporter.report([Problem()], bench.objects)
    assert len(bench.events) == 5


def test_problems_of_files_are_in_the_log_alone(bench: Bench) -> None:
    with capture_logs() as logs:
        bench.reporter().report([Problem(set_name="/etc/custom.d/x")], bench.objects)
    assert [(entry["event"], entry["rules"]) for entry in logs] == [("rule_failed", "/etc/custom.d/x")]
    assert bench.events == []


def test_a_problem_is_logged_when_it_comes_and_when_it_goes(bench: Bench) -> None:
    reporter = bench.reporter()
    with capture_logs() as logs:
        for problems in ([Problem()] * 1, [Problem()], [Problem(), Problem(key="k")], [], []):
            reporter.report(problems, {})
    assert [entry["event"] for entry in logs] == ["rule_failed", "output_refused", "rules_recovered"]


def test_the_metric_counts_problems_by_object_and_forgets_what_is_gone(bench: Bench) -> None:
    reporter = bench.reporter()
    reporter.report([Problem(), Problem(key="k")], {})
    assert b'gpunode_rule_problems{agent="nfd-lite",rules="my-rules"} 2.0' in bench.services.metrics.render()
    reporter.report([], {})
    assert b"rule_problems{" not in bench.services.metrics.render()


def test_an_author_of_a_thousand_wrong_rules_gets_a_few_events(bench: Bench) -> None:
    bench.reporter().report([Problem(rule=f"r{number}") for number in range(1000)], bench.objects)
    assert len(bench.events) == MOST_EVENTS


def test_words_without_end_are_cut(bench: Bench) -> None:
    bench.reporter().report([Problem(rule="r" * 5000, why="w" * 5000)], bench.objects)
    assert len(bench.events[0]["message"]) == 1024


class Refusing:
    """Says no with a status, and counts."""

    def __init__(self, status: int) -> None:
        self.status = status
        self.asked = 0

    def create(self, event: Any) -> None:
        self.asked += 1
        raise KubeError("no", status=self.status)


@pytest.mark.parametrize(("status", "asked"), [(403, 2), (422, 2), (404, 2), (429, 20), (503, 20), (0, 20)])
def test_a_refusal_hurts_nobody_and_is_tried_again_only_where_that_may_help(
    bench: Bench, status: int, asked: int
) -> None:
    sink = Refusing(status)
    reporter = bench.reporter(events=sink)
    for _ in range(20):
        reporter.report([Problem(), Problem(key="k")], bench.objects)
    assert sink.asked == asked


def test_after_an_outage_the_author_is_told(bench: Bench) -> None:
    reporter = bench.reporter()
    bench.server.stop()
    reporter.report([Problem()], bench.objects)
    bench.server.start()
    reporter.report([Problem()], bench.objects)
    assert len(bench.events) == 1


def test_the_longest_name_of_rules_makes_a_name_that_kubernetes_takes(bench: Bench) -> None:
    name = ".".join(["a" * 62] * 4)
    bench.server.api.create(Target(resource=RULES), {"metadata": {"name": name}}, Writer(manager="me"))
    bench.reporter().report([Problem(set_name=name), Problem(set_name=name, rule="\ud800\n")], bench.objects)
    assert len(bench.events) == 2
