"""One group on one Node, with values that are not known."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gpu_operator.feature_groups.evaluate import Verdict, evaluate, read_features
from gpu_operator.feature_groups.facts import NodeFacts
from gpu_operator.feature_groups.values import FeatureValue
from gpu_operator.feature_groups.views import decode_group
from nfd_lite.rules.work import WorkBudget, WorkError, WorkLimits
from tests.gpu_operator.feature_groups.objects import rule, term

KERNEL = FeatureValue(attributes={"major": "6", "full": "6.1.0"})
CPU_LABELS = FeatureValue(flags=frozenset({"AVX512F"}), is_partial=True)
PCI = ({"class": "0302", "vendor": "10de"}, {"class": "0200", "vendor": "15b3"})


def decide(*rules: Any, is_partial: bool = False, limits: WorkLimits | None = None, **values: FeatureValue) -> Verdict:
    """values: `kernel__version` is the feature kernel.version."""
    decoded, problems = decode_group({"featureGroupRules": list(rules)})
    assert not problems
    facts = NodeFacts(values={name.replace("__", "."): each for name, each in values.items()}, is_partial=is_partial)
    read = {name: facts.find(name) for name in read_features(decoded)}
    return evaluate(decoded, read, WorkBudget(limits or WorkLimits()))


NEW_KERNEL = rule(matchFeatures=[term("kernel.version", major=("Gt", "5"))])


def test_a_node_belongs_to_a_group_if_one_rule_matches() -> None:
    old = rule(matchFeatures=[term("kernel.version", major=("Lt", "5"))])
    assert decide(old, NEW_KERNEL, kernel__version=KERNEL).is_member
    assert not decide(old, kernel__version=KERNEL).is_member
    assert not decide(kernel__version=KERNEL).is_member


def test_a_feature_that_the_node_does_not_have_never_matches_and_is_not_doubtful() -> None:
    absent = rule(matchFeatures=[term("storage.block", dax="DoesNotExist")])
    assert decide(absent) == Verdict()


def test_feature_names_are_case_insensitive() -> None:
    assert decide(rule(matchFeatures=[term("Kernel.Version", major=("In", "6"))]), kernel__version=KERNEL).is_member


def test_later_rules_read_the_variables_of_earlier_rules() -> None:
    sets = rule("a", vars={"new": "yes"}, matchFeatures=[term("kernel.version", major=("Lt", "7"))])
    reads = rule("b", matchFeatures=[term("rule.matched", new=("In", "yes")), term("cpu.model")])
    assert decide(sets, reads, kernel__version=KERNEL).is_member
    template = rule(
        "a", varsTemplate="{{range .kernel.version}}v-{{.Value}}=1\n{{end}}", matchFeatures=sets["matchFeatures"]
    )
    reads_template = rule("b", matchFeatures=[term("rule.matched", **{"v-6": "Exists"})])
    only_vars = rule(
        "a", varsTemplate=template["varsTemplate"], matchFeatures=[term("kernel.version", major=("Gt", "7"))]
    )
    assert decide(template, reads_template, kernel__version=KERNEL).is_member
    assert not decide(only_vars, reads_template, kernel__version=KERNEL).is_member


def test_rule_matched_exists_after_the_first_rule() -> None:
    none_set = rule("b", matchFeatures=[term("rule.matched", other="DoesNotExist")])
    assert not decide(none_set).is_member
    no_match = rule("a", matchFeatures=[term("kernel.version", major=("Lt", "5"))])
    assert decide(no_match, none_set, kernel__version=KERNEL).is_member


def test_a_rule_that_fails_is_named_and_affects_no_other_rule() -> None:
    broken = rule("broken", matchFeatures=[term("kernel.version", full=("Gt", "5"))])
    verdict = decide(broken, NEW_KERNEL, kernel__version=KERNEL)
    assert verdict.is_member
    assert [name for name, _ in verdict.problems] == ["broken"]
    invalid = rule(
        "invalid", matchFeatures=[{"feature": "kernel.version", "matchExpressions": {"major": {"op": "GT"}}}]
    )
    verdict = decide(invalid, kernel__version=KERNEL)
    assert "did you mean Gt" in dict(verdict.problems)["invalid"]


@pytest.mark.parametrize(
    ("terms", "expected"),
    [
        pytest.param([term("cpu.cpuid", AVX512F="Exists")], True, id="a flag that a label names exists"),
        pytest.param([term("cpu.cpuid", AVX512F="DoesNotExist")], False, id="and does not not exist"),
        pytest.param([term("cpu.cpuid", SSE42="Exists")], None, id="other flags are not known"),
        pytest.param([term("cpu.cpuid", SSE42="DoesNotExist")], None, id="nor whether a flag does not exist"),
        pytest.param([term("cpu.cpuid", AVX512F="Exists", SSE42="Exists")], None, id="one known and one not"),
        pytest.param([term("cpu.cpuid")], True, id="a feature with an element exists"),
        pytest.param(
            [{"feature": "cpu.cpuid", "matchName": {"op": "InRegexp", "value": ["^AVX"]}}], None, id="matchName"
        ),
        pytest.param([term("pci.device", vendor=("In", "10de"))], True, id="a device with a label"),
        pytest.param([term("pci.device", vendor=("In", "1002"))], None, id="a device without a label"),
        pytest.param(
            [term("pci.device", vendor=("In", "10de"), device="DoesNotExist")], None, id="no other attributes"
        ),
        pytest.param([term("storage.block", rotational=("In", "0"))], None, id="no label at all"),
        pytest.param(
            [term("storage.block"), term("cpu.cpuid", AVX512F="DoesNotExist")], False, id="another term is false"
        ),
        pytest.param([term("vendor.feature", x="Exists")], False, id="features of others are only in NodeFeatures"),
    ],
)
def test_labels_decide_only_what_they_contain(terms: list[Any], expected: bool | None) -> None:
    pci = FeatureValue(instances=PCI, is_partial=True)
    verdict = decide(rule(matchFeatures=terms), is_partial=True, cpu__cpuid=CPU_LABELS, pci__device=pci)
    assert (verdict.is_member, bool(verdict.unknown)) == (expected is True, expected is None)


def test_any_known_group_decides_and_otherwise_the_unknown_feature_is_named() -> None:
    unknown, known = [term("storage.block")], [term("cpu.cpuid", AVX512F="Exists")]
    either = rule(matchAny=[{"matchFeatures": unknown}, {"matchFeatures": known}])
    assert decide(either, is_partial=True, cpu__cpuid=CPU_LABELS).is_member
    both = rule(matchAny=[{"matchFeatures": unknown}], matchFeatures=known)
    assert decide(both, is_partial=True, cpu__cpuid=CPU_LABELS).unknown == {"storage.block"}


def test_variables_of_a_rule_with_an_unknown_result_are_not_known() -> None:
    sets = rule("a", vars={"x": "1"}, matchFeatures=[term("storage.block")])
    reads = rule("b", matchFeatures=[term("rule.matched", x="Exists")])
    assert decide(sets, reads, is_partial=True, cpu__cpuid=CPU_LABELS).unknown == {"storage.block", "rule.matched"}


def test_the_budget_ends_the_evaluation() -> None:
    with pytest.raises(WorkError):
        decide(NEW_KERNEL, limits=WorkLimits(total=1), kernel__version=KERNEL)


OPS = st.sampled_from(["Exists", "DoesNotExist", ("In", "1"), ("NotIn", "1"), ("Gt", "0"), "IsTrue"])
ATTRIBUTES = st.dictionaries(st.sampled_from("abc"), st.sampled_from(["0", "1", "true"]))


@given(
    st.lists(st.dictionaries(st.sampled_from("abc"), OPS, min_size=1), min_size=1, max_size=3),
    ATTRIBUTES,
    st.sets(st.sampled_from("abc")),
    st.booleans(),
)
def test_a_result_from_labels_is_the_result_from_all_features(
    terms: list[dict[str, Any]], attributes: dict[str, str], shown: set[str], any_of: bool
) -> None:
    """Labels contain a part of the attributes. What is decided from this part never differs from the result with all attributes."""
    each = [term("kernel.version", **expressions) for expressions in terms]
    made = rule(matchAny=[{"matchFeatures": [one]} for one in each]) if any_of else rule(matchFeatures=each)
    part = {key: value for key, value in attributes.items() if key in shown}
    whole = decide(made, kernel__version=FeatureValue(attributes=attributes))
    partial = decide(made, is_partial=True, kernel__version=FeatureValue(attributes=part, is_partial=True))
    if not (partial.unknown or partial.problems or whole.problems):
        assert partial.is_member == whole.is_member
