"""Events: names, limits and the rendered object."""

from typing import Any

import pytest

from node_core.domain.events import (
    MAX_NOTE,
    Event,
    Reference,
    RuleFinding,
    event_name,
    render_event,
    rule_event,
    shorten,
)
from node_core.values import replace

AT = "2023-11-14T22:13:20Z"
EVENT = Event(
    name="n1.0",
    about=Reference(kind="Node", name="n1", uid="n1"),
    reason="GPUUnhealthy",
    note="Xid 79",
    at=AT,
    agent="a",
    node_name="n1",
)
RULE: dict[str, Any] = {"metadata": {"name": "r", "uid": "u", "generation": 3, "resourceVersion": "70"}}
FINDING = RuleFinding(rule="first", key="example.com/a", why="the value is too long")


def name_of(about: dict[str, Any], finding: RuleFinding, node_name: str = "n1") -> str:
    return rule_event(about, finding, agent="nfd-lite", node_name=node_name, at=AT).name


def test_an_event_about_an_object_of_the_cluster_is_in_the_namespace_default() -> None:
    pod = Reference(kind="Pod", name="one", uid="u", namespace="a")
    of_node, of_pod = render_event(EVENT), render_event(replace(EVENT, about=pod, note="w" * 5000, is_warning=False))
    assert (of_node["metadata"]["namespace"], of_node["firstTimestamp"]) == ("default", AT)
    assert of_node["involvedObject"] == {"apiVersion": "v1", "kind": "Node", "name": "n1", "uid": "n1"}
    assert of_pod["metadata"]["namespace"] == of_pod["involvedObject"]["namespace"] == "a"
    assert (len(of_pod["message"]), of_pod["type"], of_node["type"]) == (1024, "Normal", "Warning")


def test_an_event_reports_the_agent_the_node_and_the_count() -> None:
    rendered = render_event(replace(EVENT, node_name="n2", count=4))
    assert rendered["source"] == {"component": "a", "host": "n2"}
    assert (rendered["reportingComponent"], rendered["reportingInstance"]) == ("a", "n2")
    assert (rendered["metadata"]["name"], rendered["reason"], rendered["message"]) == ("n1.0", "GPUUnhealthy", "Xid 79")
    assert (rendered["lastTimestamp"], rendered["count"]) == (AT, 4)


@pytest.mark.parametrize(
    ("length", "short"),
    [(MAX_NOTE - 1, "w" * (MAX_NOTE - 1)), (MAX_NOTE, "w" * MAX_NOTE), (MAX_NOTE + 1, "w" * (MAX_NOTE - 3) + "...")],
)
def test_only_a_note_beyond_the_limit_is_truncated(length: int, short: str) -> None:
    assert shorten("w" * length) == short


@pytest.mark.parametrize(
    ("stem", "start"),
    [("n1", "n1"), ("n" * 200, "n" * 200), ("n" * 201, "n" * 200), ("n" * 198 + ".-" + "n", "n" * 198)],
    ids=["short", "at the limit", "beyond the limit", "ends with punctuation"],
)
def test_a_name_is_the_shortened_name_of_the_object_and_a_hash(stem: str, start: str) -> None:
    name, _, digest = event_name(stem, "a").rpartition(".")
    assert (name, len(digest)) == (start, 16)


def test_only_equal_parts_have_the_same_name() -> None:
    assert event_name("n1", "a", 1) == event_name("n1", "a", 1)
    names = [event_name("n1", *parts) for parts in ((), ("a",), ("a", 1), ("a", "1"), ("a1",), ("\udcff",))]
    assert len(set(names)) == len(names)


def test_all_nodes_share_the_event_about_one_problem_of_one_generation() -> None:
    name = name_of(RULE, FINDING)
    assert name == name_of(RULE, replace(FINDING, why="another reason"), node_name="n2")
    others = [
        name_of({"metadata": RULE["metadata"] | {"generation": 4}}, FINDING),
        name_of({"metadata": RULE["metadata"] | {"uid": "v"}}, FINDING),
        name_of(RULE, replace(FINDING, rule="second")),
        name_of(RULE, replace(FINDING, key=None)),
    ]
    assert len({name, *others}) == 5


@pytest.mark.parametrize(
    ("rule", "key", "reason", "note"),
    [
        ("first", "example.com/a", "OutputRefused", "rule 'first': example.com/a is not published on Node n1: w"),
        ("", "example.com/a", "OutputRefused", "this object: example.com/a is not published on Node n1: w"),
        ("first", "", "OutputRefused", "rule 'first':  is not published on Node n1: w"),
        ("first", None, "RuleFailed", "rule 'first' cannot be evaluated on Node n1, its earlier outputs remain: w"),
        ("", None, "RuleFailed", "this object cannot be evaluated on Node n1, its earlier outputs remain: w"),
    ],
)
def test_a_finding_reports_the_rule_the_output_and_the_reason(
    rule: str, key: str | None, reason: str, note: str
) -> None:
    event = rule_event(RULE, RuleFinding(rule=rule, key=key, why="w"), agent="nfd-lite", node_name="n1", at=AT)
    assert (event.reason, event.note, event.is_warning) == (reason, note, True)


def test_the_event_of_a_finding_is_about_the_rule_object() -> None:
    about = rule_event(RULE, FINDING, agent="nfd-lite", node_name="n1", at=AT).about
    expected = {"apiVersion": "nfd.k8s-sigs.io/v1alpha1", "kind": "NodeFeatureRule", "name": "r", "uid": "u"}
    assert render_event(replace(EVENT, about=about))["involvedObject"] == expected | {"resourceVersion": "70"}
