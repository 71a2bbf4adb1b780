"""The status of a group and its condition."""

from typing import Any

import pytest

from gpu_operator.feature_groups.evaluate import Verdict
from gpu_operator.feature_groups.groups import GroupResult
from gpu_operator.feature_groups.status import plan_status, render_status
from gpu_operator.feature_groups.views import GroupView, decode_group, parse_status
from nfd_lite.rules.decode import MAX_PATTERNS
from tests.gpu_operator.feature_groups.objects import group, rule, term

NONE = GroupResult(members=(), verdicts={})


def condition_of(wanted: GroupView, result: GroupResult = NONE) -> tuple[str, str, str]:
    condition = plan_status(wanted, result).condition
    return condition.status, condition.reason, condition.message


def test_a_complete_group() -> None:
    assert condition_of(group(rule()))[:2] == ("True", "Complete")


def test_a_group_that_cannot_be_decoded_keeps_its_nodes() -> None:
    wanted = group("not a rule", status={"nodes": [{"name": "a"}]})
    desired = plan_status(wanted, NONE)
    assert desired.nodes == ("a",)
    assert (desired.condition.is_true, desired.condition.reason) == (False, "InvalidSpec")
    assert "spec.featureGroupRules[0]" in desired.condition.message


def test_a_broken_rule_is_named_even_without_nodes() -> None:
    broken = group(rule("one", matchFeatures=[{"feature": "cpu.cpuid", "matchExpressions": {"A": {"op": "Exist"}}}]))
    status, reason, message = condition_of(broken)
    assert (status, reason) == ("False", "RuleFailed")
    assert "rule 'one' fails: " in message
    assert "did you mean Exists" in message


def test_problems_name_the_rule_and_the_number_of_nodes() -> None:
    verdicts = {name: Verdict(problems=(("one", "why"),)) for name in ("a", "b")}
    _, reason, message = condition_of(group(rule("one")), GroupResult(members=(), verdicts=verdicts))
    assert reason == "RuleFailed"
    assert message.startswith("rule 'one' fails on 2 Nodes")


def test_unknown_features_are_named_with_what_to_do() -> None:
    verdicts = {"a": Verdict(unknown=frozenset({"storage.block"}))}
    status, reason, message = condition_of(group(rule()), GroupResult(members=(), verdicts=verdicts))
    assert (status, reason) == ("False", "FeaturesUnknown")
    assert "storage.block is not known on 1 Node" in message
    assert "--publish=node-feature" in message


def test_many_problems_are_counted() -> None:
    verdicts = {str(number): Verdict(problems=(("r", f"why {number}"),)) for number in range(9)}
    assert "and 6 more" in condition_of(group(rule()), GroupResult(members=(), verdicts=verdicts))[2]


def test_a_misspelt_feature_is_a_warning() -> None:
    status, reason, message = condition_of(group(rule("one", matchFeatures=[term("cpu.cpudi", X="Exists")])))
    assert (status, reason) == ("True", "RuleWarning")
    assert "did you mean cpu.cpuid" in message


def test_a_group_with_too_much_work() -> None:
    result = GroupResult(members=("z",), verdicts={}, stopped="more than 1 step")
    assert condition_of(group(rule()), result)[:2] == ("False", "EvaluationStopped")


@pytest.mark.parametrize(
    ("spec", "problem"),
    [
        (None, "spec"),
        ({}, "spec.featureGroupRules"),
        ({"featureGroupRules": [{"name": "r", "labels": {"a": "b"}}]}, "labels"),
        (
            {"featureGroupRules": [rule(matchFeatures=[term("a.b", c=("InRegexp", *["x"] * (MAX_PATTERNS + 1)))])]},
            "patterns",
        ),
    ],
    ids=["none", "empty", "outputs of a NodeFeatureRule", "too many patterns"],
)
def test_a_spec_that_is_not_a_group(spec: Any, problem: str) -> None:
    rules, problems = decode_group(spec)
    assert rules == ()
    assert any(problem in each for each in problems)


def test_a_written_status_is_complete_and_is_not_written_again() -> None:
    wanted = group(rule())
    desired = plan_status(wanted, GroupResult(members=("a", "b"), verdicts={}))
    body = render_status(wanted, desired, "2026-01-01T00:00:00Z")
    assert body["metadata"] == {"uid": "uid-g"}
    assert body["status"]["nodes"] == [{"name": "a"}, {"name": "b"}]
    observed = parse_status(body["status"])
    assert desired.is_written(observed, with_condition=True, generation=1)
    assert not desired.is_written(observed, with_condition=True, generation=2)
    assert desired.is_written(parse_status({"nodes": body["status"]["nodes"]}), with_condition=False, generation=2)
    assert not desired.is_written(parse_status(None), with_condition=False, generation=1)


def test_the_time_of_the_condition_changes_only_with_its_status_and_conditions_of_others_remain() -> None:
    other = {"type": "Other", "status": "True"}
    first = render_status(group(rule()), plan_status(group(rule()), NONE), "then")["status"]
    again = group(rule(), generation=2, status={**first, "conditions": [other, *first["conditions"]]})
    second = render_status(again, plan_status(again, NONE), "now")["status"]["conditions"]
    assert second[0] == other
    assert (second[1]["lastTransitionTime"], second[1]["observedGeneration"]) == ("then", 2)
