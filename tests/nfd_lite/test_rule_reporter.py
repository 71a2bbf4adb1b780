"""Reports of rule problems: one Event for all nodes, log lines and the metric."""

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest
from structlog.testing import capture_logs

from nfd_lite.rule_reporter import MAX_EVENTS, Objects, RuleReporter
from nfd_lite.rules.model import RuleProblem
from node_core.errors import KubeError
from node_core.kube.client import NodeApi
from node_core.kube.events import EventApi
from node_core.runtime.event_recorder import EventApi as EventSender
from node_core.runtime.event_recorder import EventRecorder
from node_core.runtime.services import Services
from node_core.values import replace
from simulation.apiserver import ApiServer
from simulation.apiserver.resources import resource_named
from simulation.apiserver.writes import Target, Writer

RULES = resource_named("nodefeaturerules.nfd.k8s-sigs.io")
CREATE = ("create", "/api/v1/namespaces/{namespace}/events")


def problem(
    set_name: str = "my-rules", rule: str = "fast", why: str = "'x' is no number", key: str | None = None
) -> RuleProblem:
    return RuleProblem(set_name=set_name, rule=rule, why=why, key=key)


class Reporter:
    """A reporter that sends its Events after each report."""

    def __init__(self, recorder: EventRecorder, node: str, services: Services) -> None:
        self._recorder = recorder
        self._reporter = RuleReporter(recorder, agent="nfd-lite", node_name=node, services=services)

    def report(self, problems: Sequence[RuleProblem], objects: Objects) -> None:
        self._reporter.report(problems, objects)
        self._recorder.step()


class Bench:
    """A cluster with one NodeFeatureRule and with reporters on its nodes."""

    def __init__(self, server: ApiServer, kubeconfig: str) -> None:
        self.server = server
        self.kubeconfig = kubeconfig
        self.services = Services()
        body = {"metadata": {"name": "my-rules"}, "spec": {"rules": []}}
        server.api.create(Target(resource=RULES), body, Writer(manager="kubectl"))

    def reporter(self, node: str = "n1", events: EventSender | None = None) -> "Reporter":
        events_api = events or EventApi(NodeApi(node, kubeconfig=self.kubeconfig, user_agent="t"))
        return Reporter(EventRecorder(lambda: events_api, self.services), node, self.services)

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


def test_a_failed_rule_has_an_event_on_its_object_with_rule_node_and_reason(bench: Bench) -> None:
    bench.reporter().report([problem()], bench.objects)
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


def test_the_event_about_a_refused_output_contains_its_key(bench: Bench) -> None:
    bench.reporter().report([problem(key="kubernetes.io/os", why="belongs to Kubernetes")], bench.objects)
    (event,) = bench.events
    assert event["reason"] == "OutputRefused"
    assert "kubernetes.io/os is not published on Node n1: belongs to Kubernetes" in event["message"]


def test_the_event_about_a_rule_of_openshift_is_in_its_namespace(bench: Bench) -> None:
    obj = {"apiVersion": "nfd.openshift.io/v1alpha1", "metadata": {"name": "a", "namespace": "default", "uid": "u"}}
    bench.reporter().report([problem(set_name="a (default, nfd.openshift.io)")], {"a (default, nfd.openshift.io)": obj})
    (event,) = bench.events
    about = event["involvedObject"]
    assert (about["apiVersion"], about["namespace"]) == ("nfd.openshift.io/v1alpha1", "default")
    assert event["metadata"]["namespace"] == "default"


def test_a_warning_has_an_event_of_its_own_and_no_metric(bench: Bench) -> None:
    warnings = [replace(problem(why=why), is_warning=True) for why in ("type has no effect", "no source")]
    with capture_logs() as logs:
        bench.reporter().report([*warnings, problem()], bench.objects)
    assert {(event["reason"], event["message"].partition(": ")[2]) for event in bench.events} == {
        ("RuleFailed", "'x' is no number"),
        ("RuleWarning", "type has no effect"),
        ("RuleWarning", "no source"),
    }
    reported = [entry["event"] for entry in logs if entry["log_level"] == "warning"]
    assert reported == ["rule_warning", "rule_warning", "rule_failed"]
    assert b'gpunode_rule_problems{agent="nfd-lite",rules="my-rules"} 1.0' in bench.services.metrics.render()


def test_warnings_displace_no_event_about_a_failure(bench: Bench) -> None:
    warnings = [replace(problem(why=str(number)), is_warning=True) for number in range(MAX_EVENTS)]
    bench.reporter().report([*warnings, problem()], bench.objects)
    assert "RuleFailed" in {event["reason"] for event in bench.events}


def test_a_thousand_reports_of_one_problem_record_one_event(bench: Bench) -> None:
    reporter = bench.reporter()
    for _ in range(1000):
        reporter.report([problem()], bench.objects)
    assert bench.server.requests[CREATE] == 1


def test_many_nodes_with_one_problem_record_one_event(bench: Bench) -> None:
    for number in range(30):
        bench.reporter(f"n{number}").report([problem(why=f"'{number}' is no version")], bench.objects)
    assert len(bench.events) == 1


def test_another_problem_generation_or_object_has_an_event_of_its_own(bench: Bench) -> None:
    reporter = bench.reporter()
    reporter.report([problem(), problem(key="a"), problem(rule="slow")], bench.objects)
    assert len(bench.events) == 3
    bench.author_changes_the_rules()
    reporter.report([problem()], bench.objects)
    assert len(bench.events) == 4
    bench.server.api.delete(Target(resource=RULES, name="my-rules"))
    bench.server.api.create(Target(resource=RULES), {"metadata": {"name": "my-rules"}}, Writer(manager="me"))
    reporter.report([problem()], bench.objects)
    assert len(bench.events) == 5


def test_problems_of_files_are_logged_only(bench: Bench) -> None:
    with capture_logs() as logs:
        bench.reporter().report([problem(set_name="/etc/custom.d/x")], bench.objects)
    assert [(entry["event"], entry["rules"]) for entry in logs] == [("rule_failed", "/etc/custom.d/x")]
    assert bench.events == []


def test_a_problem_is_logged_when_it_appears_and_when_it_disappears(bench: Bench) -> None:
    reporter = bench.reporter()
    with capture_logs() as logs:
        for problems in ([problem()] * 1, [problem()], [problem(), problem(key="k")], [], []):
            reporter.report(problems, {})
    assert [entry["event"] for entry in logs] == ["rule_failed", "output_refused", "rules_recovered"]


def test_the_metric_counts_current_problems_by_object(bench: Bench) -> None:
    reporter = bench.reporter()
    reporter.report([problem(), problem(key="k")], {})
    assert b'gpunode_rule_problems{agent="nfd-lite",rules="my-rules"} 2.0' in bench.services.metrics.render()
    reporter.report([], {})
    assert b"rule_problems{" not in bench.services.metrics.render()


def test_a_thousand_wrong_rules_record_only_a_few_events(bench: Bench) -> None:
    bench.reporter().report([problem(rule=f"r{number}") for number in range(1000)], bench.objects)
    assert len(bench.events) == MAX_EVENTS


def test_long_event_texts_are_cut(bench: Bench) -> None:
    bench.reporter().report([problem(rule="r" * 5000, why="w" * 5000)], bench.objects)
    assert len(bench.events[0]["message"]) == 1024


class Refusing:
    """Refuses each Event with a status, and counts the attempts."""

    def __init__(self, status: int) -> None:
        self.status = status
        self.asked = 0

    def create(self, event: Any) -> None:
        self.asked += 1
        raise KubeError("no", status=self.status)


@pytest.mark.parametrize(("status", "asked"), [(401, 20), (403, 20), (422, 2), (404, 2), (429, 20), (503, 20), (0, 20)])
def test_a_refused_event_is_retried_only_if_a_retry_can_succeed(bench: Bench, status: int, asked: int) -> None:
    events_api = Refusing(status)
    reporter = bench.reporter(events=events_api)
    for _ in range(20):
        reporter.report([problem(), problem(key="k")], bench.objects)
    assert events_api.asked == asked


def test_events_are_recorded_after_an_outage(bench: Bench) -> None:
    reporter = bench.reporter()
    bench.server.stop()
    reporter.report([problem()], bench.objects)
    bench.server.start()
    reporter.report([problem()], bench.objects)
    assert len(bench.events) == 1


def test_the_longest_name_of_a_rule_object_makes_a_valid_event_name(bench: Bench) -> None:
    name = ".".join(["a" * 62] * 4)
    bench.server.api.create(Target(resource=RULES), {"metadata": {"name": name}}, Writer(manager="me"))
    bench.reporter().report([problem(set_name=name), problem(set_name=name, rule="\ud800\n")], bench.objects)
    assert len(bench.events) == 2
