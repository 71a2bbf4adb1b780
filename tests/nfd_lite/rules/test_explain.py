"""The explanations of terms and expressions."""

from typing import Any

import pytest

from nfd_lite.rules.decode import decode_rule
from nfd_lite.rules.evaluate import evaluate, sort_rule_sets
from nfd_lite.rules.explain import RuleTrace, trace, trace_group
from nfd_lite.rules.model import Rule, RuleId, RuleSet, Term
from node_core.decode import Cursor
from node_core.domain.features import Features
from tests.nfd_lite.rules.test_evaluate import context

PCI = (
    *({"vendor": "8086", "class": class_} for class_ in ("0600", "0604", "0604", "0106", "0c03")),
    {"vendor": "10de", "class": "0302"},
)
FEATURES = Features(
    flags={"cpu.cpuid": frozenset({"AVX", "AVX2"})},
    attributes={"kernel.version": {"full": "5.15.0", "major": "5"}, "cpu.cpuid": {"AVX10_VERSION": "2"}},
    instances={"pci.device": PCI, "no.instances": ()},
)


def rule(**fields: Any) -> Rule:
    return decode_rule(Cursor(value={"name": "r", **fields}))


def term(feature: str, **fields: Any) -> Term:
    return rule(matchFeatures=[{"feature": feature, **fields}]).match_features[0]


def expression(op: str, *value: str, **more: Any) -> dict[str, Any]:
    return {"op": op, "value": list(value), **more}


@pytest.mark.parametrize(
    ("tested", "matched", "why"),
    [
        (term("pci.device"), True, "6 instances"),
        (term("no.instances"), True, "0 instances"),
        (term("no.instances", matchExpressions={}), False, "0 instances"),
        (term("cpu.cpuid"), True, "3 names"),
        (term("pci.devices"), False, "this node does not have this feature (did you mean pci.device?)"),
        (term("zzz"), False, "this node does not have this feature"),
        (term("pci.device", matchExpressions={"vendor": expression("In", "10de")}), True, "1 of 6 instances"),
        (
            term(
                "pci.device", matchExpressions={"vendor": expression("In", "10de"), "class": expression("In", "0604")}
            ),
            False,
            "0 of 6 instances",
        ),
        (term("kernel.version", matchExpressions={"major": expression("In", "5")}), True, ""),
        (
            term("kernel.version", matchExpressions={"full": expression("Gt", "5")}),
            None,
            "kernel.version: full: '5.15.0' is not an integer",
        ),
    ],
    ids=str,
)
def test_the_explanation_of_a_term(tested: Term, matched: bool | None, why: str) -> None:
    group = trace_group((tested,), FEATURES)
    assert (group.matched, group.terms[0].matched, group.terms[0].why) == (matched, matched, why)


@pytest.mark.parametrize(
    ("feature", "name", "fields", "explanation"),
    [
        ("kernel.version", "major", expression("In", "5", "6"), ("In '5', '6'", True, "'5'")),
        ("kernel.version", "major", expression("Gt", "5"), ("Gt '5'", False, "'5'")),
        ("kernel.version", "full", expression("Ge", "5.4", type="version"), ("Ge '5.4' (version)", True, "'5.15.0'")),
        ("kernel.version", "full", expression("Gt", "5"), ("Gt '5'", None, "'5.15.0' is not an integer")),
        ("kernel.version", "mayor", expression("Exists"), ("Exists", False, "does not exist (did you mean major?)")),
        ("kernel.version", "zzz", expression("DoesNotExist"), ("DoesNotExist", True, "does not exist")),
        ("cpu.cpuid", "AVX", expression("Exists"), ("Exists", True, "exists")),
        ("cpu.cpuid", "AVX", expression("IsTrue"), ("IsTrue", False, "exists as a flag, which has no value")),
        ("cpu.cpuid", "avx", expression("Exists"), ("Exists", False, "does not exist (did you mean AVX?)")),
        ("cpu.cpuid", "AVX10_VERSION", expression("Ge", "1"), ("Ge '1'", True, "'2'")),
        (
            "pci.device",
            "vendor",
            expression("In", "10de"),
            ("In '10de'", True, "1 of 6 instances; '8086' (5), '10de' (1)"),
        ),
        (
            "pci.device",
            "class",
            expression("In", "0300"),
            ("In '0300'", False, "0 of 6 instances; '0604' (2), '0106' (1), '0302' (1) and 2 more"),
        ),
        (
            "pci.device",
            "serial",
            expression("Exists"),
            ("Exists", False, "0 of 6 instances; no instance has this attribute"),
        ),
        ("pci.device", "class", expression("Gt", "1"), ("Gt '1'", None, "'0c03' is not an integer")),
        ("pci.device", "", expression("In", "class"), ("In 'class'", True, "1 of 2 names: class")),
        (
            "cpu.cpuid",
            "",
            expression("InRegexp", "^AVX"),
            ("InRegexp '^AVX'", True, "3 of 3 names: AVX, AVX10_VERSION, AVX2"),
        ),
        ("cpu.cpuid", "", expression("In", "SSE"), ("In 'SSE'", False, "0 of 3 names")),
        ("cpu.cpuid", "", expression("Gt", "1"), ("Gt '1'", None, "'AVX' is not an integer")),
    ],
)
def test_the_explanation_of_an_expression(
    feature: str, name: str, fields: dict[str, Any], explanation: tuple[str, bool | None, str]
) -> None:
    tested = term(feature, **({"matchExpressions": {name: fields}} if name else {"matchName": fields}))
    (seen,) = trace_group((tested,), FEATURES).terms[0].expressions
    assert (seen.name, (seen.condition, seen.matched, seen.observed)) == (name, explanation)


def test_a_long_value_is_cut() -> None:
    features = Features(attributes={"a.b": {"x": "y" * 1000}})
    (seen,) = trace_group((term("a.b", matchExpressions={"x": expression("Exists")}),), features).terms[0].expressions
    assert seen.observed == repr("y" * 60 + "...")


def one(**fields: Any) -> RuleTrace:
    (traced,) = trace([RuleSet(name="s", rules=(rule(**fields),))], context(FEATURES))
    return traced


def test_a_trace_contains_the_outputs_of_the_rule() -> None:
    sets = [RuleSet(name="s", rules=(rule(labels={"x": "1", "kubernetes.io/y": "1"}, vars={"v": "1"}),))]
    (traced,) = trace(sets, context(FEATURES))
    assert (traced.set_name, traced.rule, traced.matched) == ("s", "r", True)
    assert traced.outputs == evaluate(sets, context(FEATURES)).outputs[RuleId("s", "r")]
    assert [problem.key for problem in traced.problems] == ["kubernetes.io/y"]


def test_the_result_of_a_failed_rule_is_none() -> None:
    assert one(labelsTemplate="x").matched is None
    assert one(invalid=1).matched is None
    assert one(matchFeatures=[{"feature": "none.such"}]).matched is False


def test_each_group_has_its_own_result() -> None:
    misses, fits = {"feature": "none.such"}, {"feature": "pci.device"}
    traced = one(matchAny=[{"matchFeatures": [misses]}, {"matchFeatures": [fits]}], matchFeatures=[fits])
    assert [group.matched for group in traced.match_any] == [False, True]
    assert traced.match_features is not None
    assert traced.match_features.matched is True


def test_a_trace_includes_the_outputs_of_earlier_rules() -> None:
    asks = [{"feature": "rule.matched", "matchExpressions": {"v": expression("In", "1")}}]
    later = RuleSet(name="b", rules=(rule(matchFeatures=asks),))
    first = RuleSet(name="a", rules=(rule(vars={"v": "1"}),))
    assert [(each.set_name, each.matched) for each in trace(sort_rule_sets([later, first]), context(FEATURES))] == [
        ("a", True),
        ("b", True),
    ]
