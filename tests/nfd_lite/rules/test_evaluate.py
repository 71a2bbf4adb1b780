"""The evaluation of rules: order, precedence, outputs of earlier rules, and errors."""

from typing import Any

import pytest

from nfd_lite.label_keys import PREFIX
from nfd_lite.rules.decode import decode_rule
from nfd_lite.rules.evaluate import EvaluationContext, dependent_rules, evaluate, sort_rule_sets
from nfd_lite.rules.model import Outcome, Rule, RuleId, RuleOutputs, RuleProblem, RuleSet
from node_core.decode import Cursor
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
    return decode_rule(Cursor(value={"name": name, **fields}))


def context(features: Features, **options: Any) -> EvaluationContext:
    return EvaluationContext(features=features, **options)


def matched(**keys: str) -> dict[str, Any]:
    """Returns a condition on labels and variables of earlier rules."""
    expressions = {key: {"op": "In", "value": [value]} for key, value in keys.items()}
    return {"matchFeatures": [{"feature": "rule.matched", "matchExpressions": expressions}]}


def run(*rules: Rule, previous: Outcome | None = None) -> Outcome:
    return evaluate([RuleSet(name="s", rules=rules)], context(FEATURES, previous=previous))


def labels(outcome: Outcome) -> dict[str, str]:
    return {key.removeprefix(PREFIX): value for key, value in outcome.labels.items()}


def test_without_rules_the_outcome_is_empty() -> None:
    assert evaluate([], context(FEATURES)) == run() == Outcome()


def test_a_rule_that_does_not_match_has_no_outputs() -> None:
    assert run(rule(labels={"x": "1"}, **NEVER)) == Outcome(outputs={RuleId("s", "r"): RuleOutputs()})


def test_a_rule_can_have_outputs_of_every_kind() -> None:
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
    assert outcome.outputs[RuleId("s", "r")].vars == {"v": "3"}


def test_a_later_rule_wins_unless_its_output_is_refused() -> None:
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


def test_objects_are_evaluated_in_bytewise_order_of_their_names() -> None:
    names = ["b", "a", "B", "a-1", "a1", "\u00e9", "z"]
    sets = [RuleSet(name=name, rules=(rule(labels={"last": f"n{index}"}),)) for index, name in enumerate(names)]
    for order in (sets, sets[::-1]):
        assert [each.name for each in sort_rule_sets(order)] == ["B", "a", "a-1", "a1", "b", "z", "\u00e9"]
        assert labels(evaluate(order, context(FEATURES))) == {"last": "n5"}


def test_later_rules_see_labels_and_variables_as_written() -> None:
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


def test_rules_see_the_outputs_of_earlier_objects() -> None:
    one = RuleSet(name="one", rules=(rule(vars={"v": "1"}),))
    two = RuleSet(name="two", rules=(rule(labels={"x": "1"}, **matched(v="1")),))
    assert labels(evaluate([two, one], context(FEATURES))) == {"x": "1"}
    assert not evaluate([RuleSet(name="a", rules=two.rules), one], context(FEATURES)).labels


def test_later_rules_see_a_refused_label() -> None:
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
def test_rule_matched_exists_after_the_first_rule(first: tuple[dict[str, Any], ...], exists: bool) -> None:
    outcome = run(*(rule("one", **fields) for fields in first), rule("two", labels={"y": "1"}, **NOTHING_SEEN))
    assert bool(outcome.labels) is exists


def test_evaluation_does_not_change_the_features() -> None:
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


def test_static_variables_take_precedence_over_template_variables() -> None:
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
            "labelsTemplate: the template wrote 'no pair', which is not key=value",
            id="no pair",
        ),
    ],
)
def test_a_failed_rule_has_no_outputs_and_does_not_affect_others(fields: dict[str, Any], why: str) -> None:
    outcome = run(
        rule("one", labels={"one": "1"}), rule("bad", labels={"bad": "1"}, **fields), rule("two", labels={"two": "1"})
    )
    assert labels(outcome) == {"one": "1", "two": "1"}
    assert [(each.rule, each.key) for each in outcome.problems] == [("bad", None)]
    assert why in outcome.problems[0].why
    assert outcome.failed == {RuleId("s", "bad")}
    assert outcome.unknown


def test_every_problem_of_an_invalid_rule_is_reported() -> None:
    outcome = run(Rule(name="bad", problems=("one", "two")))
    assert outcome.problems == tuple(RuleProblem(set_name="s", rule="bad", why=why) for why in ("one", "two"))


GOOD = rule("a", labels={"kept": "1"}, vars={"v": "1"}, annotations={"n": "1"}, extendedResources={"r": "1"})
BROKEN = rule("a", labels={"new": "1"}, **FAILS)
AFTER = rule("b", labels={"b": "1"}, **matched(v="1", kept="1"))


@pytest.mark.parametrize("broken", [BROKEN, Rule(name="a", problems=("why",))], ids=["failing", "unsound"])
def test_a_failed_rule_retains_its_outputs_for_later_rules(broken: Rule) -> None:
    previous = run(GOOD, AFTER)
    now = run(broken, AFTER, previous=previous)
    assert now.labels == previous.labels == {f"{PREFIX}kept": "1", f"{PREFIX}b": "1"}
    assert (now.annotations, now.extended_resources) == (previous.annotations, previous.extended_resources)
    assert now.failed == {RuleId("s", "a")}
    assert not now.unknown
    assert run(broken, AFTER, previous=now).labels == previous.labels


def test_a_rule_without_known_outputs_remains_unknown_and_a_new_rule_has_none() -> None:
    first = run(BROKEN)
    assert first.unknown.keys() == {RuleId("s", "a")}
    again = run(BROKEN, rule("new", **FAILS), previous=first)
    assert again.failed == {RuleId("s", "a"), RuleId("s", "new")}
    assert again.unknown.keys() == {RuleId("s", "a")}


def test_a_deferred_rule_without_known_outputs_remains_unknown() -> None:
    sets = [RuleSet(name="s", rules=(rule("a", **NEVER),))]
    outcome: Outcome | None = None
    for _ in range(2):
        outcome = evaluate(sets, context(FEATURES, previous=outcome, unavailable_features=frozenset({"no.such"})))
        assert outcome.unknown.keys() == outcome.deferred == {RuleId("s", "a")}


@pytest.mark.parametrize("condition", [{}, NEVER], ids=["matched", "not matched"])
def test_the_warnings_of_a_rule_are_reported_whether_it_matches_or_not(condition: dict[str, Any]) -> None:
    (problem,) = run(rule(annotations={"f": "@cpu.model.family"}, **condition)).problems
    assert (problem.set_name, problem.rule, problem.is_warning) == ("s", "r", True)
    assert "'@cpu.model.family' is written as it is" in problem.why


def test_a_removed_or_no_longer_matching_rule_retains_nothing() -> None:
    previous = run(GOOD, AFTER)
    assert run(AFTER, previous=previous).labels == {}
    assert run(rule("a", **NEVER), AFTER, previous=previous).labels == {}


def test_the_outputs_of_a_failed_rule_keep_their_precedence() -> None:
    previous = run(rule("a", labels={"x": "a"}), rule("b", labels={"y": "b"}))
    now = run(rule("a", **FAILS), rule("b", labels={"x": "b"}), previous=previous)
    assert labels(now) == {"x": "b"}


def test_rules_with_the_same_name_are_distinguished() -> None:
    previous = run(rule("a", labels={"x": "1"}), rule("a", labels={"y": "1"}))
    now = run(rule("a", **FAILS), rule("a", **NEVER), previous=previous)
    assert labels(now) == {"x": "1"}
    assert now.failed == {RuleId("s", "a")}
    assert run(rule("a"), rule("a", **FAILS), previous=previous).failed == {RuleId("s", "a", 2)}


def test_objects_with_the_same_name_are_distinguished() -> None:
    sets = [RuleSet(name="s", rules=(rule("a", labels={key: "1"}),)) for key in "xy"]
    assert labels(evaluate(sets, context(FEATURES))) == {"x": "1", "y": "1"}
    assert evaluate(sets, context(FEATURES)).outputs.keys() == {RuleId("s", "a"), RuleId("s", "a", 2)}


def test_a_rule_named_like_a_second_rule_retains_its_outputs() -> None:
    rules = (rule("x", labels={"a": "1"}), rule("x", labels={"b": "1"}), rule("x (2)", labels={"c": "1"}))
    assert run(*rules).labels.keys() == {f"{PREFIX}a", f"{PREFIX}b", f"{PREFIX}c"}


@pytest.mark.parametrize(
    ("fields", "depends"),
    [
        (matched(a="1"), True),
        (matched(b="1"), False),
        ({"labels": {"x": "@rule.matched.a"}}, True),
        ({"labels": {"x": "@rule.matched.b"}}, False),
        ({"matchFeatures": [{"feature": "rule.matched", "matchExpressions": {}}]}, True),
        ({"matchFeatures": [{"feature": "rule.matched", "matchName": {"op": "Exists"}}]}, True),
        ({}, False),
    ],
    ids=["element", "other element", "value", "other value", "no element", "name", "no condition"],
)
def test_a_rule_depends_on_a_broken_rule_if_it_reads_an_entry_that_the_broken_rule_may_set(
    fields: dict[str, Any], depends: bool
) -> None:
    found = dependent_rules(run(rule("reader", **fields)), [rule("broken", labels={"a": "1"})])
    assert list(found) == [RuleId("s", "reader")] * depends


@pytest.mark.parametrize("template", ["labelsTemplate", "varsTemplate"])
def test_a_broken_rule_with_a_template_may_set_any_entry(template: str) -> None:
    outcome = run(rule("reader", **matched(b="1")), rule("other"))
    assert list(dependent_rules(outcome, [rule("broken", **{template: "a=1"})])) == [RuleId("s", "reader")]


def test_an_unavailable_feature_defers_only_the_rules_that_read_it() -> None:
    sets = [RuleSet(name="s", rules=(rule("needs", **NEVER), rule("free", labels={"x": "1"})))]
    unavailable = frozenset(term.feature.lower() for term in sets[0].rules[0].match_features)
    outcome = evaluate(sets, context(FEATURES, unavailable_features=unavailable))
    assert outcome.deferred == {RuleId("s", "needs")}
    assert outcome.labels == {f"{PREFIX}x": "1"}
