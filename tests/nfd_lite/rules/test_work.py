"""The bound on work: hostile rules end by counting, the same on every node, and take nothing of others along."""

from dataclasses import replace
from typing import Any

import pytest

from nfd_lite.rules.evaluate import Look, gather, run_rules
from nfd_lite.rules.model import Outcome, Rule, RuleSet
from nfd_lite.rules.work import Bound, Work, WorkError, matching_steps
from node_core.domain.features import Features
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


def run(*sets: RuleSet, before: Outcome | None = None, bound: Bound | None = None) -> Outcome:
    return gather(run_rules(sets, Look(features=FEATURES, before=before, bound=bound or Bound())))


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
def test_a_rule_costs_what_it_looks_at(fields: dict[str, Any], steps: int) -> None:
    assert matching_steps(rule(**fields), FEATURES, Work(Bound())) == steps


class Counted(dict[str, str]):
    """Attributes that count how often all of them are looked through."""

    looks = 0

    def values(self) -> Any:
        self.looks += 1
        return super().values()

    def __len__(self) -> int:
        self.looks += 1
        return super().__len__()


def counted(**fields: Any) -> int:
    """How often instances are looked through to count what ten rules of a hundred terms cost."""
    instances = tuple(Counted(vendor="10de") for _ in range(3))
    features, work = Features(instances={"pci.device": instances}), Work(Bound())
    (term,) = rule(**fields).match_features
    for _ in range(10):
        matching_steps(replace(rule(), match_features=(term,) * 100), features, work)
    return max(each.looks for each in instances)


def test_counting_looks_through_a_feature_once_and_not_where_no_value_is_asked_for() -> None:
    assert counted(matchFeatures=[{"feature": "pci.device"}]) == 0
    assert counted(**ask("pci.device", vendor={"op": "Exists"})) == 0
    assert counted(**ask("pci.device", vendor={"op": "In", "value": ["10de"]})) == 1
    assert counted(matchFeatures=[{"feature": "PCI.device", "matchName": {"op": "In", "value": ["a"]}}]) == 1


def test_a_feature_that_rules_write_is_counted_anew_when_it_is_another() -> None:
    work, asked = Work(Bound()), rule(**ask("rule.matched", a={"op": "In", "value": ["b"]}))
    made = [Features(attributes={"rule.matched": {"a": "x" * length}}) for length in (1, 320, 1)]
    assert [matching_steps(asked, features, work) for features in made] == [3, 13, 3]


def test_the_rule_that_is_too_much_is_told_of_and_those_after_it_keep_what_they_made() -> None:
    rules = rule_set("a", CHEAP, COSTLY, rule("later", labels={"later": "1"}))
    before = run(rules)
    outcome = run(rules, before=before, bound=Bound(steps=INSTANCES, of_one=INSTANCES))
    assert outcome.labels == before.labels
    (problem,) = outcome.problems
    assert (problem.rule, problem.key) == ("costly", None)
    assert "all rules together take more than 500 steps" in problem.why
    assert outcome.unsure == {("a", "later")}
    assert not outcome.incomplete


def test_where_nobody_knows_what_they_made_nothing_is_taken_away() -> None:
    outcome = run(rule_set("a", COSTLY, CHEAP), bound=Bound(steps=INSTANCES))
    assert outcome.incomplete
    assert outcome.labels == {}


def test_one_object_does_not_take_others_along() -> None:
    hostile = rule_set("a", *[COSTLY] * 10)
    outcome = run(hostile, rule_set("b", CHEAP), bound=Bound(steps=100_000, of_one=3 * INSTANCES))
    assert [(problem.rule, "of this object" in problem.why) for problem in outcome.problems] == [("costly (3)", True)]
    assert list(outcome.labels) == ["feature.node.kubernetes.io/cheap"]


def test_many_objects_are_too_much_together() -> None:
    sets = [rule_set(f"{number:02}", COSTLY, CHEAP) for number in range(20)]
    outcome = run(*sets, bound=Bound(steps=10 * INSTANCES, of_one=2 * INSTANCES))
    assert [problem.set_name for problem in outcome.problems] == ["09"]
    assert len(outcome.unsure) == 1 + 2 * 10


@pytest.mark.parametrize("field", ["labelsTemplate", "varsTemplate"])
def test_templates_count_what_they_took_also_when_they_fail(field: str) -> None:
    outcome = run(rule_set("a", *[rule(**{field: ENDLESS})] * 50), bound=Bound(steps=1_000_000, of_one=250_000))
    whys = [problem.why for problem in outcome.problems]
    assert ["template takes more" in why for why in whys] == [True, True, False]
    assert "of this object" in whys[-1]


def test_outputs_count_too() -> None:
    labels = {f"x{number}": "1" for number in range(100)}
    outcome = run(rule_set("a", *[rule(labels=labels)] * 50), bound=Bound(steps=100_000, of_one=5_000))
    assert len(outcome.made) < 10


def test_a_second_time_counts_the_same() -> None:
    sets = [rule_set("a", *[COSTLY] * 10, CHEAP)]
    bound = Bound(steps=5 * INSTANCES)
    assert run(*sets, bound=bound) == run(*sets, bound=bound)


def test_a_big_honest_cluster_is_far_below_the_bound() -> None:
    """500 rules in 50 objects, each on all devices of a big host."""
    honest = [
        rule(f"r{n}", labels={f"l{n}": "1"}, **ask("pci.device", vendor={"op": "In", "value": ["10de"]}))
        for n in range(10)
    ]
    outcome = run(*(rule_set(f"{number:02}", *honest) for number in range(50)))
    assert outcome.problems == ()


def test_work_that_is_done_stays_done_for_the_object_and_begins_anew_for_the_next() -> None:
    work = Work(Bound(steps=100, of_one=10))
    work.begin()
    work.spend(10)
    done = [work.is_done]
    with pytest.raises(WorkError, match="of this object take more than 10 steps"):
        work.spend(1)
    done.append(work.is_done)
    work.begin()
    assert [*done, work.is_done] == [False, True, False]
