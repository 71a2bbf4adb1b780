"""The limits on the work of rules: reproducible on every node, and separate for each object."""

from typing import Any

import pytest

from nfd_lite.rules.evaluate import EvaluationContext, apply_rule, combine_steps, run_rules
from nfd_lite.rules.model import Outcome, Rule, RuleId, RuleSet
from nfd_lite.rules.work import STEPS_PER_OUTPUT, WorkBudget, WorkError, WorkLimits, matching_steps, text_steps
from node_core.domain.features import Features
from node_core.values import replace
from tests.nfd_lite.rules.test_evaluate import rule

INSTANCES = 500
FEATURES = Features(
    flags={"cpu.cpuid": frozenset(f"F{number}" for number in range(100))},
    attributes={"kernel.version": {"full": "6.8.0", "notes": "x" * 3200}},
    instances={"pci.device": tuple({"vendor": "10de", "device": f"{number:04}"} for number in range(INSTANCES))},
)


def ask(feature: str, **expressions: dict[str, Any]) -> dict[str, Any]:
    return {"matchFeatures": [{"feature": feature, "matchExpressions": expressions}]}


def by_name(op: str, value: list[str]) -> dict[str, Any]:
    return {"matchFeatures": [{"feature": "cpu.cpuid", "matchName": {"op": op, "value": value}}]}


COSTLY = rule("costly", labels={"x": "1"}, **ask("pci.device", vendor={"op": "In", "value": ["none"]}))
CHEAP = rule("cheap", labels={"cheap": "1"})
ENDLESS = "{{ range until 1000 }}{{ range until 1000 }}{{ end }}{{ end }}"


def run(*sets: RuleSet, previous: Outcome | None = None, bound: WorkLimits | None = None) -> Outcome:
    return combine_steps(
        run_rules(sets, EvaluationContext(features=FEATURES, previous=previous, limits=bound or WorkLimits()))
    )


def rule_set(name: str, *rules: Rule) -> RuleSet:
    return RuleSet(name=name, rules=rules)


@pytest.mark.parametrize(
    ("fields", "steps"),
    [
        ({}, 1),
        (ask("no.such", a={"op": "Exists"}), 2),
        (ask("kernel.version", full={"op": "In", "value": ["6"]}), 2 + 1 + 100),
        (ask("kernel.version", full={"op": "Exists"}), 2 + 1),
        (ask("pci.device", vendor={"op": "Exists"}), 2 + (1 + INSTANCES)),
        (ask("pci.device", vendor={"op": "Exists"}, device={"op": "In", "value": ["1"] * 64}), 2 + 4 * (1 + INSTANCES)),
        (ask("pci.device", vendor={"op": "InRegexp", "value": ["a" * 32, "b" * 32]}), 2 + 4 * (1 + INSTANCES)),
        (by_name("InRegexp", ["A", "B"]), 2 + 2 * 100),
        ({"matchAny": [ask("pci.device", vendor={"op": "Exists"})] * 2}, 1 + 2 * (2 + INSTANCES)),
    ],
    ids=["nothing", "absent", "long-value", "no-value", "instances", "list", "patterns", "names", "any"],
)
def test_the_steps_of_a_rule_depend_on_the_size_of_its_features(fields: dict[str, Any], steps: int) -> None:
    assert matching_steps(rule(**fields), FEATURES, WorkBudget(WorkLimits())) == steps


def test_a_name_is_compared_with_flags_attributes_and_the_attributes_of_each_instance() -> None:
    features = Features(
        flags={"a.b": frozenset({"1", "2"})}, attributes={"a.b": {"3": ""}}, instances={"a.b": ({"4": "", "5": ""}, {"6": ""})}
    )  # fmt: skip
    fields = {"matchFeatures": [{"feature": "a.b", "matchName": {"op": "Exists"}}]}
    assert matching_steps(rule(**fields), features, WorkBudget(WorkLimits())) == 2 + 6


class Counted(dict[str, str]):
    """Attributes that count iterations over all values."""

    iterations = 0

    def values(self) -> Any:
        self.iterations += 1
        return super().values()

    def __len__(self) -> int:
        self.iterations += 1
        return super().__len__()


def counted(**fields: Any) -> int:
    """Returns the iterations over instances while the steps of ten rules with a hundred terms are computed."""
    instances = tuple(Counted(vendor="10de") for _ in range(3))
    features, work = Features(instances={"pci.device": instances}), WorkBudget(WorkLimits())
    (term,) = rule(**fields).match_features
    for _ in range(10):
        matching_steps(replace(rule(), match_features=(term,) * 100), features, work)
    return max(each.iterations for each in instances)


def test_the_size_of_a_feature_is_computed_once_and_only_if_values_are_read() -> None:
    assert counted(matchFeatures=[{"feature": "pci.device"}]) == 0
    assert counted(**ask("pci.device", vendor={"op": "Exists"})) == 0
    assert counted(**ask("pci.device", vendor={"op": "In", "value": ["10de"]})) == 1
    assert counted(matchFeatures=[{"feature": "PCI.device", "matchName": {"op": "In", "value": ["a"]}}]) == 1


def test_the_size_of_a_changed_feature_is_computed_again() -> None:
    work, tested = WorkBudget(WorkLimits()), rule(**ask("rule.matched", a={"op": "In", "value": ["b"]}))
    outputs = [Features(attributes={"rule.matched": {"a": "x" * length}}) for length in (1, 320, 1)]
    assert [matching_steps(tested, features, work) for features in outputs] == [3, 13, 3]


def test_the_first_rule_beyond_the_limit_is_reported_and_later_rules_retain_their_outputs() -> None:
    rules = rule_set("a", CHEAP, COSTLY, rule("later", labels={"later": "1"}))
    previous = run(rules)
    outcome = run(rules, previous=previous, bound=WorkLimits(total=INSTANCES, per_object=INSTANCES))
    assert outcome.labels == previous.labels
    (problem,) = outcome.problems
    assert (problem.rule, problem.key) == ("costly", None)
    assert "all rules together need more than 500 steps" in problem.why
    assert outcome.deferred == {RuleId("a", "later")}
    assert not outcome.unknown


def test_rules_beyond_the_limit_with_unknown_outputs_remove_nothing() -> None:
    outcome = run(rule_set("a", COSTLY, CHEAP), bound=WorkLimits(total=INSTANCES))
    assert outcome.unknown
    assert outcome.labels == {}


def test_one_object_cannot_use_the_budget_of_others() -> None:
    hostile = rule_set("a", *[COSTLY] * 10)
    outcome = run(hostile, rule_set("b", CHEAP), bound=WorkLimits(total=100_000, per_object=3 * INSTANCES))
    assert [(problem.rule, "of this object" in problem.why) for problem in outcome.problems] == [("costly (3)", True)]
    assert list(outcome.labels) == ["feature.node.kubernetes.io/cheap"]


def test_many_objects_together_can_exceed_the_limit() -> None:
    sets = [rule_set(f"{number:02}", COSTLY, CHEAP) for number in range(20)]
    outcome = run(*sets, bound=WorkLimits(total=10 * INSTANCES, per_object=2 * INSTANCES))
    assert [problem.set_name for problem in outcome.problems] == ["09"]
    assert len(outcome.deferred) == 1 + 2 * 10


@pytest.mark.parametrize("field", ["labelsTemplate", "varsTemplate"])
def test_the_steps_of_failed_templates_count(field: str) -> None:
    outcome = run(
        rule_set("a", *[rule(**{field: ENDLESS})] * 50), bound=WorkLimits(total=1_000_000, per_object=250_000)
    )
    whys = [problem.why for problem in outcome.problems]
    assert ["template takes more" in why for why in whys] == [True, True, False]
    assert "of this object" in whys[-1]


def test_the_validation_of_outputs_counts() -> None:
    labels = {f"x{number}": "1" for number in range(100)}
    outcome = run(rule_set("a", *[rule(labels=labels)] * 50), bound=WorkLimits(total=100_000, per_object=5_000))
    assert len(outcome.outputs) < 10


def test_a_second_evaluation_has_the_same_steps() -> None:
    sets = [rule_set("a", *[COSTLY] * 10, CHEAP)]
    bound = WorkLimits(total=5 * INSTANCES)
    assert run(*sets, bound=bound) == run(*sets, bound=bound)


def test_a_large_cluster_is_far_below_the_limit() -> None:
    """Evaluates 500 rules in 50 objects on all devices of a large host."""
    honest = [
        rule(f"r{n}", labels={f"l{n}": "1"}, **ask("pci.device", vendor={"op": "In", "value": ["10de"]}))
        for n in range(10)
    ]
    outcome = run(*(rule_set(f"{number:02}", *honest) for number in range(50)))
    assert outcome.problems == ()


def test_an_exhausted_budget_is_reset_for_the_next_object() -> None:
    work = WorkBudget(WorkLimits(total=100, per_object=10))
    work.start_object()
    work.spend(10)
    done = [work.is_exhausted]
    with pytest.raises(WorkError, match="of this object need more than 10 steps"):
        work.spend(1)
    done.append(work.is_exhausted)
    work.start_object()
    assert [*done, work.is_exhausted] == [False, True, False]


def test_all_steps_of_the_total_can_be_used() -> None:
    work = WorkBudget(WorkLimits(total=10, per_object=100))
    work.start_object()
    work.spend(10)
    assert not work.is_exhausted
    with pytest.raises(WorkError, match="all rules together need more than 10 steps"):
        work.spend(1)
    assert work.is_exhausted


def test_outputs_and_their_texts_count_as_work() -> None:
    def spent(features: Features = FEATURES, **fields: Any) -> int:
        work = Counting(WorkLimits())
        apply_rule(rule(**fields), features, work)
        return work.spent

    nothing = spent()
    assert spent(labels={"a": "1"}) == nothing + STEPS_PER_OUTPUT
    assert spent(
        labels={"a": "1"}, vars={"v": "1"}, annotations={"b/c": "1"}
    ) == nothing + 3 * STEPS_PER_OUTPUT + text_steps("1")
    assert spent(annotations={"b/c": "x" * 320}) == nothing + STEPS_PER_OUTPUT + 10
    matched = {f"output-{number}": "1" for number in range(64)}
    assert spent(Features(attributes={"rule.matched": matched})) == nothing + 2


class Counting(WorkBudget):
    spent = 0

    def spend(self, steps: int) -> None:
        self.spent += steps
