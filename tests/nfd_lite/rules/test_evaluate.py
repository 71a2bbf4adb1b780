"""Whole rules in their order: what they see of each other, what wins, and what an error leaves alone."""

from typing import Any

import pytest

from nfd_lite.rules.decode import decode_rule
from nfd_lite.rules.evaluate import evaluate, in_order
from nfd_lite.rules.model import Made, Outcome, Rule, RuleProblem, RuleSet
from nfd_lite.rules.outputs import PREFIX
from nfd_lite.rules.spot import Spot
from node_core.domain.features import Features
from node_core.domain.taints import Taint

FEATURES = Features(
    flags={"cpu.cpuid": frozenset({"AVX", "SSE"})},
    attributes={"kernel.version": {"full": "5.15.0"}, "system.osrelease": {"ID": "ubuntu"}},
    instances={
        "pci.device": ({"vendor": "10de", "class": "0302"}, {"vendor": "10de", "class": "0680"}, {"vendor": "8086"})
    },
)
NEVER: dict[str, Any] = {"matchFeatures": [{"feature": "no.such"}]}
FAILS = {"matchFeatures": [{"feature": "kernel.version", "matchExpressions": {"full": {"op": "Gt", "value": ["1"]}}}]}


def rule(name: str = "r", /, **fields: Any) -> Rule:
    return decode_rule(Spot(value={"name": name, **fields}))


def matched(**keys: str) -> dict[str, Any]:
    """What asks for these labels and variables of earlier rules."""
    expressions = {key: {"op": "In", "value": [value]} for key, value in keys.items()}
    return {"matchFeatures": [{"feature": "rule.matched", "matchExpressions": expressions}]}


def run(*rules: Rule, before: Outcome | None = None) -> Outcome:
    return evaluate([RuleSet(name="s", rules=rules)], FEATURES, before=before)


def labels(outcome: Outcome) -> dict[str, str]:
    return {key.removeprefix(PREFIX): value for key, value in outcome.labels.items()}


def test_no_rules_ask_for_nothing() -> None:
    assert evaluate([], FEATURES) == run() == Outcome()


def test_a_rule_that_does_not_match_gives_nothing() -> None:
    assert run(rule(labels={"x": "1"}, **NEVER)) == Outcome(made={("s", "r"): Made()})


def test_a_rule_gives_all_kinds_of_outputs() -> None:
    outcome = run(
        rule(
            labels={"a": "1"},
            annotations={"b": "2"},
            vars={"v": "3"},
            taints=[{"key": "example.com/t", "effect": "NoSchedule"}],
            extendedResources={"example.com/r": "1000"},
        )
    )
    assert outcome.labels == {f"{PREFIX}a": "1"}
    assert outcome.annotations == {f"{PREFIX}b": "2"}
    assert outcome.taints == (Taint(key="example.com/t", effect="NoSchedule"),)
    assert outcome.extended_resources == {"example.com/r": "1k"}
    assert not outcome.problems
    assert outcome.made["s", "r"].vars == {"v": "3"}


def test_a_later_rule_wins_and_a_refused_output_does_not() -> None:
    taint = {"key": "example.com/t", "effect": "NoSchedule"}
    outcome = run(
        rule("one", labels={"x": "1", "y": "1"}, annotations={"a": "1"}, extendedResources={"r": "1"}, taints=[taint]),
        rule(
            "two",
            labels={"x": "2"},
            annotations={"a": "2"},
            extendedResources={"r": "2"},
            taints=[{**taint, "value": "2"}],
        ),
        rule("three", labels={"y": "not a value!"}, extendedResources={"r": "-1"}),
    )
    assert labels(outcome) == {"x": "2", "y": "1"}
    assert outcome.annotations == {f"{PREFIX}a": "2"}
    assert outcome.extended_resources == {f"{PREFIX}r": "2"}
    assert outcome.taints == (Taint(key="example.com/t", value="2", effect="NoSchedule"),)
    assert [(each.rule, each.key) for each in outcome.problems] == [("three", f"{PREFIX}y"), ("three", f"{PREFIX}r")]
    assert not outcome.failed


def test_objects_go_by_name_bytewise_whatever_their_order() -> None:
    names = ["b", "a", "B", "a-1", "a1", "\u00e9", "z"]
    sets = [RuleSet(name=name, rules=(rule(labels={"last": f"n{index}"}),)) for index, name in enumerate(names)]
    for order in (sets, sets[::-1]):
        assert [each.name for each in in_order(order)] == ["B", "a", "a-1", "a1", "b", "z", "\u00e9"]
        assert labels(evaluate(order, FEATURES)) == {"last": "n5"}


def test_later_rules_see_labels_and_variables_as_they_were_written() -> None:
    outcome = run(
        rule(
            "one",
            labels={"plain": "1", "example.com/x": "2", "at": "@kernel.version.full"},
            vars={"v": "3", "plain": "var"},
        ),
        rule(
            "two",
            labels={"two": "1"},
            **matched(plain="var", **{"example.com/x": "2"}, at="@kernel.version.full", v="3"),
        ),
        rule("three", labels={"three": "1"}, **matched(two="1")),
        rule("four", labels={"four": "1"}, **matched(**{f"{PREFIX}plain": "var"})),
        rule("five", labels={"five": "1"}, **matched(at="5.15.0")),
    )
    assert sorted(labels(outcome)) == ["at", "example.com/x", "plain", "three", "two"]


def test_later_objects_see_what_rules_of_earlier_ones_made() -> None:
    one = RuleSet(name="one", rules=(rule(vars={"v": "1"}),))
    two = RuleSet(name="two", rules=(rule(labels={"x": "1"}, **matched(v="1")),))
    assert labels(evaluate([two, one], FEATURES)) == {"x": "1"}
    assert not evaluate([RuleSet(name="a", rules=two.rules), one], FEATURES).labels


def test_a_refused_label_is_seen_all_the_same() -> None:
    outcome = run(
        rule("one", labels={"kubernetes.io/x": "1"}),
        rule("two", labels={"y": "1"}, **matched(**{"kubernetes.io/x": "1"})),
    )
    assert labels(outcome) == {"y": "1"}


def test_a_value_can_be_a_variable_of_an_earlier_rule() -> None:
    outcome = run(
        rule("one", vars={"v": "1"}),
        rule("two", labels={"x": "@rule.matched.v"}),
        rule("three", labels={"y": "@rule.matched.w"}),
    )
    assert labels(outcome) == {"x": "1"}
    assert [each.key for each in outcome.problems] == [f"{PREFIX}y"]


NOTHING_SEEN = {"matchFeatures": [{"feature": "rule.matched", "matchExpressions": {"x": {"op": "DoesNotExist"}}}]}


@pytest.mark.parametrize(
    ("first", "exists"),
    [((), False), ((FAILS,), False), ((NEVER,), True), (({},), True)],
    ids=["first", "error", "miss", "match"],
)
def test_what_rules_matched_exists_once_a_rule_was_evaluated(first: tuple[dict[str, Any], ...], exists: bool) -> None:
    outcome = run(*(rule("one", **fields) for fields in first), rule("two", labels={"y": "1"}, **NOTHING_SEEN))
    assert bool(outcome.labels) is exists


def test_the_features_of_the_node_are_left_as_they_were() -> None:
    run(rule(vars={"v": "1"}))
    assert "rule.matched" not in FEATURES.attributes


GPUS = {"feature": "pci.device", "matchExpressions": {"vendor": {"op": "In", "value": ["10de"]}}}
OS = {"feature": "system.osRelease", "matchExpressions": {"ID": {"op": "Exists"}}}


@pytest.mark.parametrize(
    ("fields", "expected"),
    [
        pytest.param(
            {"labelsTemplate": "{{ range .pci.device }}pci-{{ .class }}=true\n{{ end }}", "matchFeatures": [GPUS]},
            {"pci-0302": "true", "pci-0680": "true"},
            id="a line for each instance",
        ),
        pytest.param(
            {"labelsTemplate": "{{ range .system.osRelease }}{{ .Name }}={{ .Value }}{{ end }}", "matchFeatures": [OS]},
            {"ID": "ubuntu"},
            id="the feature as the rule spells it",
        ),
        pytest.param(
            {"labelsTemplate": "gpus={{ len .pci.device }}", "matchFeatures": [GPUS, GPUS]},
            {"gpus": "4"},
            id="terms append",
        ),
        pytest.param(
            {"labelsTemplate": "\n  a=1  \n\n\tb=\n c= d e=f \n", "labels": {"a": "static"}},
            {"a": "static", "b": ""},
            id="lines are trimmed, the static value wins",
        ),
        pytest.param({"labelsTemplate": "x=1\nx=2"}, {"x": "2"}, id="the last line of a key wins"),
        pytest.param(
            {
                "labelsTemplate": "{{ with .pci }}found=pci{{ else }}found=none{{ end }}",
                "matchAny": [{"matchFeatures": [GPUS]}],
            },
            {"found": "pci"},
            id="a group of matchAny",
        ),
        pytest.param(
            {
                "labelsTemplate": "{{ range $feature, $_ := . }}{{ $feature }}=1\nlast={{ $feature }}{{ end }}",
                "matchAny": [{"matchFeatures": [GPUS]}, {"matchFeatures": [{"feature": "cpu.cpuid"}]}],
                "matchFeatures": [OS],
            },
            {"pci": "1", "cpu": "1", "system": "1", "last": "system"},
            id="once for each group, matchFeatures last",
        ),
        pytest.param(
            {"labelsTemplate": "{{ range .rule.matched }}{{ .Name }}-seen={{ .Value }}{{ end }}", **matched(given="g")},
            {"given-seen": "g"},
            id="what an earlier rule made",
        ),
        pytest.param(
            {"varsTemplate": "v={{ (index .system.osRelease 0).Value }}", "labels": {"x": "1"}, "matchFeatures": [OS]},
            {"x": "1"},
            id="variables",
        ),
    ],
)
def test_templates(fields: dict[str, Any], expected: dict[str, str]) -> None:
    outcome = run(rule("first", vars={"given": "g"}), rule(**fields))
    assert labels(outcome) == expected


def test_template_variables_are_seen_and_static_ones_win() -> None:
    outcome = run(
        rule("one", varsTemplate="a=1\nb=2", vars={"b": "static"}),
        rule("two", labels={"x": "1"}, **matched(a="1", b="static")),
    )
    assert labels(outcome) == {"x": "1"}


@pytest.mark.parametrize(
    ("fields", "why"),
    [
        pytest.param(FAILS, "kernel.version: full: '5.15.0' is not an integer", id="expression"),
        pytest.param({"labelsTemplate": "{{ .no.such }}"}, "labelsTemplate: ", id="missing key"),
        pytest.param(
            {"labelsTemplate": "{{ range .system.osrelease }}{{ end }}", "matchFeatures": [OS]},
            "labelsTemplate: ",
            id="case",
        ),
        pytest.param({"varsTemplate": '{{ fail "no" }}'}, "varsTemplate: ", id="fail"),
        pytest.param(
            {"labelsTemplate": "a=b\nno pair"},
            "labelsTemplate: it wrote 'no pair', which is not key=value",
            id="no pair",
        ),
    ],
)
def test_a_rule_that_fails_gives_nothing_and_hinders_no_other(fields: dict[str, Any], why: str) -> None:
    outcome = run(
        rule("one", labels={"one": "1"}), rule("bad", labels={"bad": "1"}, **fields), rule("two", labels={"two": "1"})
    )
    assert labels(outcome) == {"one": "1", "two": "1"}
    assert [(each.rule, each.key) for each in outcome.problems] == [("bad", None)]
    assert why in outcome.problems[0].why
    assert outcome.failed == {("s", "bad")}
    assert outcome.incomplete


def test_every_problem_of_an_unsound_rule_is_told() -> None:
    outcome = run(Rule(name="bad", problems=("one", "two")))
    assert outcome.problems == tuple(RuleProblem(set_name="s", rule="bad", why=why) for why in ("one", "two"))


GOOD = rule("a", labels={"kept": "1"}, vars={"v": "1"}, annotations={"n": "1"}, extendedResources={"r": "1"})
BROKEN = rule("a", labels={"new": "1"}, **FAILS)
AFTER = rule("b", labels={"b": "1"}, **matched(v="1", kept="1"))


@pytest.mark.parametrize("broken", [BROKEN, Rule(name="a", problems=("why",))], ids=["failing", "unsound"])
def test_a_rule_that_fails_keeps_what_it_made_and_rules_after_it_see_that(broken: Rule) -> None:
    before = run(GOOD, AFTER)
    now = run(broken, AFTER, before=before)
    assert now.labels == before.labels == {f"{PREFIX}kept": "1", f"{PREFIX}b": "1"}
    assert (now.annotations, now.extended_resources) == (before.annotations, before.extended_resources)
    assert now.failed == {("s", "a")}
    assert not now.incomplete
    assert run(broken, AFTER, before=now).labels == before.labels


def test_a_rule_that_is_gone_or_does_not_match_any_more_keeps_nothing() -> None:
    before = run(GOOD, AFTER)
    assert run(AFTER, before=before).labels == {}
    assert run(rule("a", **NEVER), AFTER, before=before).labels == {}


def test_a_failed_rule_keeps_its_place_in_the_order() -> None:
    before = run(rule("a", labels={"x": "a"}), rule("b", labels={"y": "b"}))
    now = run(rule("a", **FAILS), rule("b", labels={"x": "b"}), before=before)
    assert labels(now) == {"x": "b"}


def test_rules_of_one_name_are_told_apart() -> None:
    before = run(rule("a", labels={"x": "1"}), rule("a", labels={"y": "1"}))
    now = run(rule("a", **FAILS), rule("a", **NEVER), before=before)
    assert labels(now) == {"x": "1"}
    assert now.failed == {("s", "a")}
    assert run(rule("a"), rule("a", **FAILS), before=before).failed == {("s", "a (2)")}


def test_objects_of_one_name_are_told_apart() -> None:
    sets = [RuleSet(name="s", rules=(rule("a", labels={key: "1"}),)) for key in "xy"]
    assert labels(evaluate(sets, FEATURES)) == {"x": "1", "y": "1"}
    assert evaluate(sets, FEATURES).made.keys() == {("s", "a"), ("s", "a (2)")}
