"""NodeFeatureRule objects from the API or from files. Problems have a path; an invalid rule does not affect others."""

import json
from typing import Any

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from nfd_lite.rules.decode import decode_rule_set, decode_rule_sets
from nfd_lite.rules.model import Expression, Op, Rule, RuleSet, Term, ValueType
from node_core.decode import parse_documents
from node_core.domain.taints import Taint
from node_core.errors import SettingsError

GOOD = {"name": "good", "labels": {"x": "1"}}


def rule_object(*rules: Any, **changes: Any) -> dict[str, Any]:
    whole = {
        "apiVersion": "nfd.k8s-sigs.io/v1alpha1",
        "kind": "NodeFeatureRule",
        "metadata": {"name": "n", "uid": "u", "managedFields": []},
        "spec": {"rules": list(rules)},
    }
    return {key: value for key, value in (whole | changes).items() if value != "left out"}


def problems_of(*rules: Any) -> tuple[str, ...]:
    decoded = decode_rule_set(rule_object(*rules)).rules
    return tuple(problem for rule in decoded for problem in (*rule.problems, *rule.latent_problems))


def with_expression(**expression: Any) -> dict[str, Any]:
    return {"name": "r", "matchFeatures": [{"feature": "f.f", "matchExpressions": {"X": expression}}]}


def test_an_object_with_all_fields() -> None:
    decoded = decode_rule_set(
        rule_object(
            {
                "name": "all",
                "labels": {"l": "1"},
                "labelsTemplate": "a=b",
                "annotations": {"a": "2"},
                "vars": {"v": "3"},
                "varsTemplate": "c=d",
                "taints": [
                    {"key": "a.com/t", "value": "v", "effect": "NoExecute", "timeAdded": "2026-01-01T00:00:00Z"}
                ],
                "extendedResources": {"r": "4"},
                "matchFeatures": [
                    {
                        "feature": "a.b",
                        "matchExpressions": {"k": {"op": "GtLt", "value": ["1", "2"], "type": "version"}},
                    },
                    {"feature": "c.d", "matchName": {"op": "In", "value": ["n"]}, "matchExpressions": {}},
                ],
                "matchAny": [{"matchFeatures": [{"feature": "e.f"}]}],
            }
        )
    )
    version = Expression(op=Op.GT_LT, value=("1", "2"), type=ValueType.VERSION)
    assert decoded == RuleSet(
        name="n",
        rules=(
            Rule(
                name="all",
                labels={"l": "1"},
                labels_template="a=b",
                annotations={"a": "2"},
                vars={"v": "3"},
                vars_template="c=d",
                taints=(Taint(key="a.com/t", value="v", effect="NoExecute"),),
                extended_resources={"r": "4"},
                match_features=(
                    Term(feature="a.b", match_expressions={"k": version}),
                    Term(feature="c.d", match_expressions={}, match_name=Expression(op=Op.IN, value=("n",))),
                ),
                match_any=((Term(feature="e.f"),),),
            ),
        ),
    )


def test_null_is_the_same_as_a_missing_field() -> None:
    fields = dict.fromkeys(
        (
            "labels",
            "labelsTemplate",
            "annotations",
            "vars",
            "varsTemplate",
            "taints",
            "extendedResources",
            "matchFeatures",
            "matchAny",
        )
    )
    term = {"feature": "a.b", "matchExpressions": None, "matchName": None}
    assert decode_rule_set(rule_object({"name": "r", **fields})).rules == (Rule(name="r"),)
    (rule,) = decode_rule_set(rule_object({"name": "r", "matchFeatures": [term]})).rules
    assert rule.match_features == (Term(feature="a.b"),)


@pytest.mark.parametrize(
    ("data", "problems"),
    [
        pytest.param([], ["the document: expected a mapping, got a list"], id="a list"),
        pytest.param("x", ["the document: expected a mapping, got text"], id="text"),
        pytest.param(
            rule_object(apiVersion="v1", kind="NodeFeature"),
            [
                "apiVersion: expected nfd.k8s-sigs.io/v1alpha1, got v1",
                "kind: expected NodeFeatureRule, got NodeFeature",
            ],
            id="another kind",
        ),
        pytest.param(
            rule_object(apiVersion="left out", metadata={}, spec={}),
            ["apiVersion: is missing", "metadata.name: is missing", "spec.rules: is missing"],
            id="missing",
        ),
        pytest.param(
            rule_object(specs=1, spec={"rule": [], "rules": {}}),
            [
                "specs: unknown key (did you mean spec?)",
                "spec.rule: unknown key (did you mean rules?)",
                "spec.rules: expected a list, got a mapping",
            ],
            id="misspelt",
        ),
        pytest.param(
            rule_object(metadata={"name": 5}),
            ["metadata.name: expected text, got the number 5: put the value in quotes"],
            id="name",
        ),
        pytest.param(rule_object(spec=[]), ["spec: expected a mapping, got a list"], id="spec"),
    ],
)
def test_all_problems_outside_of_rules_are_reported(data: Any, problems: list[str]) -> None:
    with pytest.raises(SettingsError) as raised:
        decode_rule_set(data, "file.yaml")
    assert list(raised.value.problems) == [f"file.yaml: {problem}" for problem in problems]


@pytest.mark.parametrize(
    ("rules", "each", "accepted"), [(1, 500, True), (1, 501, False), (50, 10, True), (50, 11, False)]
)
def test_the_number_of_patterns_in_an_object_is_limited(rules: int, each: int, accepted: bool) -> None:
    term = {"feature": "kernel.version", "matchExpressions": {"full": {"op": "InRegexp", "value": ["^6"] * each}}}
    data = rule_object(
        spec={"rules": [{"name": str(number), "matchAny": [{"matchFeatures": [term]}]} for number in range(rules)]}
    )
    if accepted:
        assert len(decode_rule_set(data).rules) == rules
    else:
        with pytest.raises(SettingsError, match=f"has {rules * each} patterns; the maximum is 500"):
            decode_rule_set(data)


@pytest.mark.parametrize(
    ("rule", "problems"),
    [
        pytest.param("x", ["spec.rules[0]: expected a mapping, got text"], id="text"),
        pytest.param({}, ["spec.rules[0].name: is missing"], id="no name"),
        pytest.param(
            {"name": "r", "label": {}, "LabelsTemplate": "", "zzz": 1},
            [
                "spec.rules[0].label: unknown key (did you mean labels?)",
                "spec.rules[0].LabelsTemplate: unknown key (did you mean labelsTemplate?)",
                "spec.rules[0].zzz: unknown key",
            ],
            id="unknown keys",
        ),
        pytest.param(
            {"name": "r", "labels": {"x": True, 5: "y", "z": None}},
            [
                "spec.rules[0].labels.5: expected text as a key, got the number 5: put the value in quotes",
                "spec.rules[0].labels.x: expected text, got the boolean true: put the value in quotes",
                "spec.rules[0].labels.z: expected text, got nothing",
            ],
            id="labels",
        ),
        pytest.param(
            {"name": "r", "labels": ["x"]}, ["spec.rules[0].labels: expected a mapping, got a list"], id="list"
        ),
        pytest.param(
            {"name": "r", "vars": {"x": "\ud800"}},
            ["spec.rules[0].vars.x: expected text, got half of a Unicode character"],
            id="surrogate",
        ),
        pytest.param(
            {"name": "r", "taints": [{"key": "a.com/b"}, {"effect": "NoSchedule", "Key": "x"}]},
            [
                "spec.rules[0].taints[0].effect: is missing",
                "spec.rules[0].taints[1].Key: unknown key (did you mean key?)",
                "spec.rules[0].taints[1].key: is missing",
            ],
            id="taints",
        ),
        pytest.param(
            {"name": "r", "matchAny": [{}, {"matchFeature": []}]},
            [
                "spec.rules[0].matchAny[0].matchFeatures: is missing",
                "spec.rules[0].matchAny[1].matchFeature: unknown key (did you mean matchFeatures?)",
                "spec.rules[0].matchAny[1].matchFeatures: is missing",
            ],
            id="matchAny",
        ),
        pytest.param(
            {"name": "r", "matchFeatures": [{"matchExpression": {}}]},
            [
                "spec.rules[0].matchFeatures[0].matchExpression: unknown key (did you mean matchExpressions?)",
                "spec.rules[0].matchFeatures[0].feature: is missing",
            ],
            id="term",
        ),
    ],
)
def test_all_problems_of_a_rule_are_reported(rule: Any, problems: list[str]) -> None:
    assert sorted(problems_of(rule)) == sorted(problems)


X = "spec.rules[0].matchFeatures[0].matchExpressions.X"


@pytest.mark.parametrize(
    ("expression", "problem"),
    [
        pytest.param(
            {"op": "in"},
            f"{X}.op: 'in' is not an operator (did you mean In?). The operators are In, NotIn, ",
            id="case of op",
        ),
        pytest.param({"op": "Exist"}, f"{X}.op: 'Exist' is not an operator (did you mean Exists?)", id="misspelt op"),
        pytest.param({"op": ""}, f"{X}.op: '' is not an operator", id="empty op"),
        pytest.param({"op": 5}, f"{X}.op: expected text, got the number 5", id="number for op"),
        pytest.param({}, f"{X}.op: is missing", id="no op"),
        pytest.param({"op": "In", "values": ["1"]}, f"{X}.values: unknown key (did you mean value?)", id="values"),
        pytest.param({"op": "In", "value": "1"}, f"{X}.value: expected a list, got text", id="value not a list"),
        pytest.param(
            {"op": "In", "value": [1]},
            f"{X}.value[0]: expected text, got the number 1: put the value in quotes",
            id="number",
        ),
        pytest.param({"op": "In"}, f"{X}: In needs at least one value", id="no value"),
        pytest.param({"op": "Exists", "value": ["1"]}, f"{X}: Exists needs no value, not 1", id="a value too many"),
        pytest.param({"op": "GtLt", "value": ["1"]}, f"{X}: GtLt needs two values, not 1", id="a value too few"),
        pytest.param({"op": "Gt", "value": ["x"]}, f"{X}: 'x' is not an integer", id="no integer"),
        pytest.param({"op": "InRegexp", "value": ["("]}, f"{X}: '(' is not a regular expression: ", id="no pattern"),
        pytest.param({"op": "Gt", "value": ["1"], "type": "semver"}, f"{X}: 'semver' is not a type", id="no type"),
    ],
)
def test_a_problem_of_an_expression_is_reported_once(expression: dict[str, Any], problem: str) -> None:
    (reported,) = problems_of(with_expression(**expression))
    assert reported.startswith(problem)


def test_an_invalid_template_is_a_problem_of_its_rule() -> None:
    (problem,) = problems_of({"name": "r", "labelsTemplate": "{{ range }}"})
    assert problem.startswith("spec.rules[0].labelsTemplate: ")


def test_an_invalid_rule_retains_its_outputs_without_conditions_and_does_not_affect_others() -> None:
    bad = {"name": "bad", "labels": {"x": "1"}, "nonsense": 1}
    decoded = decode_rule_set(rule_object(GOOD, bad, GOOD))
    good = Rule(name="good", labels={"x": "1"})
    assert decoded.rules == (
        good,
        Rule(name="bad", labels={"x": "1"}, problems=("spec.rules[1].nonsense: unknown key",)),
        good,
    )


@pytest.mark.parametrize("unnamed", [{}, {"name": ""}, {"name": None}, {"name": []}])
def test_a_rule_without_a_name_is_named_by_its_path(unnamed: dict[str, Any]) -> None:
    assert decode_rule_set(rule_object(GOOD, unnamed)).rules[1].name == "spec.rules[1]"


def test_each_document_and_each_list_item_is_an_object() -> None:
    one, two, three = (rule_object(GOOD, metadata={"name": name}) for name in ("one", "two", "three"))
    text = f"---\n{yaml.dump(one)}\n---\n---\n{json.dumps({'kind': 'List', 'apiVersion': 'v1', 'metadata': {}, 'items': [two, three]})}\n"
    assert [each.name for each in decode_rule_sets(parse_documents(text, "f"), "f")] == ["one", "two", "three"]
    assert decode_rule_sets([], "f") == ()


def test_the_problems_of_all_objects_are_reported() -> None:
    text = yaml.dump_all([rule_object(kind="X"), rule_object(GOOD), []])
    with pytest.raises(SettingsError) as raised:
        decode_rule_sets(parse_documents(text, "f"), "f")
    assert raised.value.problems == (
        "f: object 1: kind: expected NodeFeatureRule, got X",
        "f: object 3: the document: expected a mapping, got a list",
    )


JSON = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.text()
    | st.sampled_from(("In", "version", "name", "feature", "op")),
    lambda below: (
        st.lists(below, max_size=4)
        | st.dictionaries(
            st.sampled_from(("name", "op", "value", "feature", "matchFeatures", "labels", "type")) | st.text(),
            below,
            max_size=4,
        )
    ),
    max_leaves=20,
)


@given(st.lists(JSON, max_size=3))
def test_any_rules_are_decoded_or_have_problems(rules: list[Any]) -> None:
    decoded = decode_rule_set(rule_object(*rules))
    assert len(decoded.rules) == len(rules)
    for rule in decoded.rules:
        assert all(problem.startswith("spec.rules[") for problem in rule.problems)


@given(JSON)
def test_any_object_is_decoded_or_refused(data: Any) -> None:
    with pytest.raises(SettingsError):
        decode_rule_set(data)


@pytest.mark.parametrize("version", ["nfd.openshift.io/v1", "nfd.openshift.io/v1alpha1", "nfd.kubernetes.io/v1alpha1"])
def test_objects_of_other_distributions_have_the_same_schema(version: str) -> None:
    data = rule_object(GOOD, apiVersion=version, metadata={"name": "n", "namespace": "openshift-nfd"})
    assert decode_rule_set(data) == decode_rule_set(rule_object(GOOD))


def test_a_status_is_ignored() -> None:
    assert decode_rule_set(rule_object(GOOD, status={})) == decode_rule_set(rule_object(GOOD))


@pytest.mark.parametrize(
    ("changes", "problems"),
    [
        ({"spec": "left out", "rules": [GOOD]}, ["rules: belongs under spec, as spec.rules"]),
        (
            {"spec": "left out", "metadata": {"name": "n", "rules": [GOOD]}},
            ["metadata.rules: belongs under spec, as spec.rules"],
        ),
        ({"spec": None, "rules": [GOOD]}, ["rules: belongs under spec, as spec.rules"]),
        (
            {"spec": GOOD},
            ["spec.name: belongs in an item of spec.rules", "spec.labels: belongs in an item of spec.rules"],
        ),
        ({"spec": "left out"}, ["spec: is missing"]),
        ({"spec": {"rules": [GOOD], "labels": {}}}, ["spec.labels: unknown key"]),
    ],
    ids=str,
)
def test_misplaced_rules_are_reported_with_their_place(changes: dict[str, Any], problems: list[str]) -> None:
    with pytest.raises(SettingsError) as raised:
        decode_rule_set(rule_object(**changes), "f")
    assert list(raised.value.problems) == [f"f: {problem}" for problem in problems]
