"""Properties of the evaluation for generated rules and features."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nfd_lite.rules.custom import evaluate_custom_rules
from nfd_lite.rules.decode import decode_rule
from nfd_lite.rules.evaluate import evaluate, sort_rule_sets
from nfd_lite.rules.explain import trace
from nfd_lite.rules.model import Op, Outcome, RuleSet
from node_core.decode import Cursor
from node_core.domain.features import Features
from node_core.domain.labels import key_problem, split_valid
from node_core.domain.quantity import canonical_quantity
from node_core.values import replace
from tests.exhaustive import many
from tests.nfd_lite.rules.test_evaluate import context

FEATURE = st.sampled_from(
    ("a.flags", "a.both", "a.attributes", "a.instances", "A.Both", "rule.matched", "none.such", "nodot")
)
NAME = st.sampled_from(("x", "y", "X", "example.com/x", "kubernetes.io/x"))
VALUE = st.sampled_from(
    ("1", "2", "true", "false", "5.15.0", "4.18.0_1", "", "@a.attributes.x", "@", "no value!", "10Mi", "-1")
)
TEMPLATE = st.sampled_from(
    (
        *("", "x=1", "no pair", "{{ .", "{{ .none.such }}"),
        "{{ range .a.both }}{{ .Name }}=1\n{{ end }}",
        "{{ range $domain, $features := . }}{{ range $name, $found := $features }}{{ $name }}={{ len $found }}\n{{ end }}{{ end }}",
    )
)
EXPRESSION = st.fixed_dictionaries(
    {"op": st.sampled_from([op.value for op in Op if op])},
    optional={"value": st.lists(VALUE, max_size=3), "type": st.sampled_from(("", "version"))},
)
TERM = st.fixed_dictionaries(
    {"feature": FEATURE},
    optional={"matchExpressions": st.dictionaries(NAME, EXPRESSION, max_size=3), "matchName": EXPRESSION},
)
TERMS = st.lists(TERM, max_size=3)
PAIRS = st.dictionaries(NAME, VALUE, max_size=3)
TAINT = st.fixed_dictionaries(
    {"key": st.sampled_from(("a.com/x", "x")), "effect": st.sampled_from(("NoSchedule", "NoExecute", "never"))},
    optional={"value": VALUE},
)
RULE = st.fixed_dictionaries(
    {"name": st.sampled_from(("r", "s"))},
    optional={
        "labels": PAIRS,
        "annotations": PAIRS,
        "vars": PAIRS,
        "extendedResources": PAIRS,
        "taints": st.lists(TAINT, max_size=3),
        "labelsTemplate": TEMPLATE,
        "varsTemplate": TEMPLATE,
        "matchFeatures": TERMS,
        "matchAny": st.lists(TERMS.map(lambda terms: {"matchFeatures": terms}), max_size=2),
    },
)
SETS = st.lists(
    st.tuples(st.sampled_from("abc"), st.lists(RULE, max_size=3)), max_size=3, unique_by=lambda each: each[0]
)
FEATURES = st.builds(
    Features,
    flags=st.dictionaries(st.sampled_from(("a.flags", "a.both")), st.frozensets(NAME)),
    attributes=st.dictionaries(st.sampled_from(("a.attributes", "a.both", "nodot")), PAIRS),
    instances=st.dictionaries(st.sampled_from(("a.instances", "a.both")), st.lists(PAIRS, max_size=3).map(tuple)),
)
MANY = many(150)
Documents = list[tuple[str, list[dict[str, Any]]]]


def decode(documents: Documents) -> list[RuleSet]:
    return [
        RuleSet(name=name, rules=tuple(decode_rule(Cursor(value=rule, path="rule")) for rule in rules))
        for name, rules in documents
    ]


def turned(value: Any) -> Any:
    """Returns the same documents with all mappings reversed."""
    if isinstance(value, dict):
        return {key: turned(below) for key, below in reversed(value.items())}
    if isinstance(value, list | tuple):
        return type(value)(map(turned, value))
    return value


@MANY
@given(SETS, FEATURES)
def test_any_rules_on_any_node_have_valid_outputs(documents: Documents, features: Features) -> None:
    outcome = evaluate(decode(documents), context(features))
    assert not split_valid(outcome.labels)[1]
    assert not any(map(key_problem, (*outcome.annotations, *outcome.extended_resources)))
    assert all(canonical_quantity(amount) == amount for amount in outcome.extended_resources.values())
    assert len({taint.identity for taint in outcome.taints}) == len(outcome.taints)
    assert len(outcome.outputs.keys() | outcome.failed) == sum(len(rules) for _, rules in documents)


@pytest.mark.exhaustive
@MANY
@given(SETS, FEATURES)
def test_the_order_of_keys_and_objects_has_no_effect(documents: Documents, features: Features) -> None:
    other = Features(
        flags=turned(features.flags), attributes=turned(features.attributes), instances=turned(features.instances)
    )
    outcome = evaluate(decode(documents), context(features))
    again = evaluate(decode(turned(documents)[::-1]), context(other))
    assert in_any_order(again) == in_any_order(outcome)
    assert list(again.labels) == list(outcome.labels)


def in_any_order(outcome: Outcome) -> Outcome:
    """Sorts the problems of one document, whose order depends on the order of keys."""
    return replace(outcome, problems=tuple(sorted(outcome.problems, key=str)))


@pytest.mark.exhaustive
@MANY
@given(SETS, FEATURES)
def test_a_second_evaluation_has_the_same_outcome(documents: Documents, features: Features) -> None:
    sets = decode(documents)
    previous = evaluate(sets, context(features))
    assert evaluate(sets, context(features, previous=previous)) == previous


@MANY
@given(SETS, FEATURES)
def test_a_trace_agrees_with_the_evaluation(documents: Documents, features: Features) -> None:
    sets = decode(documents)
    traces = trace(sort_rule_sets(sets), context(features))
    assert sum((each.problems for each in traces), ()) == evaluate(sets, context(features)).problems
    for each in traces:
        groups = [group.matched for group in (each.match_features, *each.match_any) if group is not None]
        assert each.matched is not True or each.match_features is None or each.match_features.matched
        assert each.matched is not False or False in groups


@pytest.mark.exhaustive
@MANY
@given(SETS, FEATURES)
def test_rules_that_become_invalid_remove_no_outputs(documents: Documents, features: Features) -> None:
    sets = decode(documents)
    previous = evaluate(sets, context(features))
    broken = decode([(name, [rule | {"wrong": 1} for rule in rules]) for name, rules in documents])
    now = evaluate(broken, context(features, previous=previous))
    assert (now.labels, now.annotations, now.taints, now.extended_resources) == (
        previous.labels,
        previous.annotations,
        previous.taints,
        previous.extended_resources,
    )


@MANY
@given(SETS, FEATURES)
def test_any_custom_rules_have_an_outcome(documents: Documents, features: Features) -> None:
    assert isinstance(evaluate_custom_rules(decode(documents), context(features)), Outcome)
