"""Every operator with every form of its values, on a value, a flag, a missing element and a missing feature, as in nfd-master."""

from itertools import product
from typing import Any

import pytest

from nfd_lite.rules.decode import decode_rule
from nfd_lite.rules.evaluate import EvaluationContext, run_rules
from nfd_lite.rules.model import Op, RuleSet
from node_core.decode import Cursor
from node_core.domain.features import Features

FEATURES = Features(
    flags={"f.flag": frozenset({"x"})},
    attributes={"f.number": {"x": "5"}, "f.text": {"x": "true"}, "f.other": {"y": "1"}, "f.empty": {}},
    instances={"f.instance": ({"x": "5"},), "f.none": ()},
)
PRESENT = ("f.number", "f.text", "f.instance")
ABSENT = ("f.flag", "f.other", "f.empty", "f.none", "no.feature")
VALUES: tuple[Any, ...] = (None, [], ["5"], ["4", "6"], ["6", "4"], ["x"], ["("], ["1", "2", "3"])
COUNTS = {
    **dict.fromkeys(("In", "NotIn", "InRegexp"), (1, 2, 3)),
    **dict.fromkeys(("Gt", "Ge", "Lt", "Le"), (1,)),
    **dict.fromkeys(("GtLt", "GeLe"), (2,)),
    **dict.fromkeys(("Exists", "DoesNotExist", "IsTrue", "IsFalse"), (0,)),
}
OPS = tuple(COUNTS)


def outcome(feature: str, *, as_name: bool = False, **expression: Any) -> str:
    """Returns `yes`, `no` or `error`."""
    where = {"matchName": expression} if as_name else {"matchExpressions": {"x": expression}}
    rule = decode_rule(Cursor(value={"name": "r", "matchFeatures": [{"feature": feature, **where}]}))
    assert not rule.problems
    (step,) = run_rules([RuleSet(name="a", rules=(rule,))], EvaluationContext(features=FEATURES))
    if any(problem.is_failure for problem in step.problems):
        return "error"
    return "no" if step.matches is None else "yes"


@pytest.mark.parametrize("value", VALUES, ids=str)
@pytest.mark.parametrize("op", [op for op in OPS if op not in ("Exists", "DoesNotExist")])
def test_without_a_value_on_the_node_a_rule_does_not_match_whatever_its_expression_says(op: str, value: Any) -> None:
    for feature, type_ in product(ABSENT, ("", "version", "semver")):
        assert outcome(feature, op=op, value=value, type=type_) == "no"


@pytest.mark.parametrize("value", VALUES, ids=str)
@pytest.mark.parametrize("op", OPS)
def test_a_wrong_number_of_values_is_an_error_where_the_value_exists(op: str, value: Any) -> None:
    is_wrong = len(value or ()) not in COUNTS[op]
    for feature in PRESENT:
        if is_wrong:
            assert outcome(feature, op=op, value=value) == "error"
        elif op not in ("Gt", "Ge", "Lt", "Le", "GtLt", "GeLe", "InRegexp"):
            assert outcome(feature, op=op, value=value) != "error"


@pytest.mark.parametrize("op", ["Exists", "DoesNotExist"])
def test_values_of_a_presence_operator_are_an_error_where_the_feature_exists(op: str) -> None:
    assert outcome("no.feature", op=op, value=["1"]) == "no"
    for feature in ("f.flag", "f.other", "f.number"):
        assert outcome(feature, op=op, value=["1"]) == "error"


@pytest.mark.parametrize(
    ("op", "value", "result"),
    [
        ("Gt", ["x"], "error"),
        ("Gt", ["4"], "yes"),
        ("Lt", ["4"], "no"),
        ("GtLt", ["6", "4"], "error"),
        ("GeLe", ["5", "5"], "error"),
        ("GeLe", ["5", "6"], "yes"),
        ("InRegexp", ["("], "error"),
        ("InRegexp", ["^5$", "("], "yes"),
        ("In", [""], "no"),
    ],
)
def test_values_on_a_number(op: str, value: list[str], result: str) -> None:
    assert outcome("f.number", op=op, value=value) == result
    assert outcome("f.instance", op=op, value=value) == result


@pytest.mark.parametrize("op", ["Gt", "Ge", "Lt", "Le", "GtLt", "GeLe"])
def test_an_ordering_of_a_text_is_an_error(op: str) -> None:
    assert outcome("f.text", op=op, value=["1", "9"][: COUNTS[op][0]]) == "error"


@pytest.mark.parametrize("type_", ["version", "semver"])
@pytest.mark.parametrize(
    ("op", "value", "result"),
    [
        ("In", ["5"], "yes"),
        ("NotIn", ["5"], "no"),
        ("InRegexp", ["5"], "yes"),
        ("Exists", None, "yes"),
        ("DoesNotExist", None, "no"),
        ("IsTrue", None, "no"),
        ("IsFalse", None, "no"),
    ],
)
def test_a_type_has_no_effect_on_operators_that_do_not_use_it(op: str, value: Any, result: str, type_: str) -> None:
    assert outcome("f.number", op=op, value=value, type=type_) == result


def test_an_unknown_type_is_an_error_of_an_ordering_where_the_value_exists() -> None:
    assert outcome("f.number", op="Gt", value=["1"], type="semver") == "error"
    assert outcome("f.other", op="Gt", value=["1"], type="semver") == "no"


@pytest.mark.parametrize(
    ("op", "value", "result"),
    [
        ("In", ["x"], "yes"),
        ("NotIn", ["x"], "no"),
        ("InRegexp", ["^x"], "yes"),
        ("Exists", None, "yes"),
        ("DoesNotExist", None, "no"),
        ("IsTrue", None, "no"),
        ("In", None, "error"),
        ("Gt", ["1"], "error"),
        ("InRegexp", ["("], "error"),
    ],
)
@pytest.mark.parametrize("feature", ["f.flag", "f.number", "f.instance"])
def test_match_name_on_names(feature: str, op: str, value: Any, result: str) -> None:
    assert outcome(feature, as_name=True, op=op, value=value) == result
    for absent in ("f.empty", "f.none", "no.feature"):
        assert outcome(absent, as_name=True, op=op, value=value) == "no"


def test_all_operators_are_in_the_table() -> None:
    assert {*OPS, ""} == {op.value for op in Op}


def evaluated(**fields: Any) -> tuple[str, int]:
    """Returns the result of a rule, and the number of its warnings."""
    rule = decode_rule(Cursor(value={"name": "r", **fields}))
    (step,) = run_rules([RuleSet(name="a", rules=(rule,))], EvaluationContext(features=FEATURES))
    result = "error" if any(each.is_failure for each in step.problems) else "no" if step.matches is None else "yes"
    return result, sum(each.is_warning for each in step.problems)


@pytest.mark.parametrize(
    ("fields", "result"),
    [
        ({}, "yes"),
        ({"matchAny": []}, "yes"),
        ({"matchAny": None, "matchFeatures": None}, "yes"),
        ({"matchFeatures": []}, "yes"),
        ({"matchAny": [{"matchFeatures": []}]}, "yes"),
        ({"matchAny": [], "matchFeatures": [{"feature": "no.feature"}]}, "no"),
        ({"matchFeatures": [{"feature": ""}]}, "no"),
        ({"matchFeatures": [{"feature": "f.number", "matchExpressions": {}}]}, "yes"),
        ({"matchFeatures": [{"feature": "f.none", "matchExpressions": {}}]}, "no"),
        ({"matchFeatures": [{"feature": "f.none"}]}, "yes"),
    ],
    ids=str,
)
def test_empty_conditions(fields: dict[str, Any], result: str) -> None:
    assert evaluated(**fields) == (result, 0)


@pytest.mark.parametrize("field", ["labelsTemplate", "varsTemplate"])
@pytest.mark.parametrize("template", ["{{ range }}", "{{ nosuch }}", "{{ .f.number", "no pair"])
def test_a_wrong_template_is_an_error_only_where_the_rule_matches(field: str, template: str) -> None:
    assert evaluated(**{field: template})[0] == "error"
    result, warnings = evaluated(**{field: template, "matchFeatures": [{"feature": "no.feature"}]})
    assert (result, warnings) == ("no", template != "no pair")


@pytest.mark.parametrize(
    "outputs",
    [
        {"extendedResources": {"vendor.io/x": "@no.feature.x", "vendor.io/y": "1"}},
        {"labels": {"vendor.io/x": "@no.feature.x", "vendor.io/y": "1"}},
        {"extendedResources": {"vendor.io/x": "@f.text.x", "vendor.io/y": "@f.number.x"}},
        {"taints": [{"key": "no-namespace", "effect": "NoSchedule"}, {"key": "vendor.io/y", "effect": "NoSchedule"}]},
        {"annotations": {"kubernetes.io/x": "1", "vendor.io/y": "1"}},
    ],
    ids=str,
)
def test_an_output_that_is_refused_costs_no_other_output(outputs: dict[str, Any]) -> None:
    rule = decode_rule(Cursor(value={"name": "r", **outputs}))
    (step,) = run_rules([RuleSet(name="a", rules=(rule,))], EvaluationContext(features=FEATURES))
    assert len(step.problems) == 1
    made = step.outputs
    assert made is not None
    (field,) = (each for each in (made.labels, made.annotations, made.extended_resources, made.taints) if each)
    assert [str(each).partition(":")[0] for each in field] == ["vendor.io/y"]
