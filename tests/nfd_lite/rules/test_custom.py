"""Custom rules of nfd-worker: short forms, built-in rules, and the order of evaluation."""

from typing import Any

import pytest
import yaml

from nfd_lite.label_keys import PREFIX
from nfd_lite.rules.custom import decode_custom_rules, evaluate_custom_rules, parse_rule_file
from nfd_lite.rules.evaluate import evaluate
from nfd_lite.rules.model import Expression, Op, RuleSet
from node_core.domain.features import Features
from node_core.errors import SettingsError
from node_core.kubectl_yaml import dump_yaml
from tests.nfd_lite.rules.test_evaluate import context

NOTHING = Features(flags={"kernel.loadedmodule": frozenset()}, instances={"pci.device": ()})
WHOLE = {
    "apiVersion": "nfd.k8s-sigs.io/v1alpha1",
    "kind": "NodeFeatureRule",
    "metadata": {"name": "n"},
    "spec": {"rules": [{"name": "r", "taints": [{"key": "a.com/t", "effect": "NoSchedule"}]}]},
}


def expressions(text: str) -> Any:
    rules = decode_custom_rules(
        [{"name": "r", "matchFeatures": [{"feature": "f.f", "matchExpressions": yaml.safe_load(text)}]}]
    )
    assert not rules.rules[0].problems
    return rules.rules[0].match_features[0].match_expressions


def is_in(*values: str) -> Expression:
    return Expression(op=Op.IN, value=values)


EXISTS = Expression(op=Op.EXISTS)


@pytest.mark.parametrize(
    ("text", "decoded"),
    [
        ("{k: v}", {"k": is_in("v")}),
        ("{k: [a, b]}", {"k": is_in("a", "b")}),
        ("{k: }", {"k": EXISTS}),
        (
            "{k: 5, l: true, m: 1.5, n: 2.0, o: -1}",
            {"k": is_in("5"), "l": is_in("true"), "m": is_in("1.5"), "n": is_in("2"), "o": is_in("-1")},
        ),
        ("{k: [1, false]}", {"k": is_in("1", "false")}),
        ("{k: {op: In, value: v}}", {"k": is_in("v")}),
        ("{k: {op: Gt, value: 5}}", {"k": Expression(op=Op.GT, value=("5",))}),
        ("{k: {op: GtLt, value: [1, 2]}}", {"k": Expression(op=Op.GT_LT, value=("1", "2"))}),
        ("{k: {op: Exists}}", {"k": EXISTS}),
        ("{k: {}}", {"k": Expression(op=Op.ALWAYS)}),
        ("{k: {op: ''}}", {"k": Expression(op=Op.ALWAYS)}),
        ("[k, l=v, 'm=', n=a=b]", {"k": EXISTS, "l": is_in("v"), "m": is_in(""), "n": is_in("a=b")}),
        ("[]", {}),
        ("{}", {}),
        ("", None),
    ],
)
def test_short_forms(text: str, decoded: Any) -> None:
    assert expressions(text) == decoded


@pytest.mark.parametrize(
    ("expression", "problem"),
    [
        ([], "In needs at least one value"),
        ({"op": "Gt", "value": "x"}, "'x' is not an integer"),
        ({"op": "GtLt", "value": [2, 1]}, "the first value of GtLt must be below the second"),
        ({"op": "InRegexp", "value": "("}, "is not a regular expression"),
        ({"opp": "In"}, "unknown key (did you mean op?)"),
        ({"value": "v"}, "an expression without op needs no value, not 1"),
        ([[1]], "expected text, got a list"),
    ],
)
def test_short_forms_are_validated(expression: Any, problem: str) -> None:
    decoded = decode_custom_rules(
        [{"name": "r", "matchFeatures": [{"feature": "f.f", "matchExpressions": {"k": expression}}]}]
    )
    rule = decoded.rules[0]
    (reported,) = (*rule.problems, *rule.latent_problems)
    assert reported.startswith("sources.custom[0].matchFeatures[0].matchExpressions.k")
    assert problem in reported


@pytest.mark.parametrize(
    "old",
    [
        {"matchOn": [{"loadedKMod": ["overlay"]}]},
        {"value": "v", "matchOn": [{"pciId": {"vendor": ["10de"]}}, {"usbId": {"class": ["ff"]}}]},
        {"matchOn": [{"cpuId": ["AVX"], "kConfig": ["NO_HZ"], "nodename": ["n1"]}]},
        {"matchOn": None},
    ],
)
def test_the_old_form_is_answered_with_the_new_one_and_does_not_affect_others(old: dict[str, Any]) -> None:
    decoded = decode_custom_rules([{"name": "a", **old}, {"name": "b", "labels": {"b": "1"}}])
    (problem,) = decoded.rules[0].problems
    assert problem.startswith("sources.custom[0].matchOn: is the old form of custom rules")
    assert "Write matchFeatures" in problem
    assert not decoded.rules[1].problems


def test_an_invalid_rule_does_not_affect_others() -> None:
    decoded = decode_custom_rules([{"name": "a", "label": {}}, {"name": "b"}])
    assert [bool(rule.problems) for rule in decoded.rules] == [True, False]


def test_input_that_is_not_a_list_is_an_error() -> None:
    with pytest.raises(SettingsError, match=r"^custom.d/x: rules: expected a list, got a mapping$"):
        decode_custom_rules({}, "custom.d/x")


@pytest.mark.parametrize(
    ("features", "labels"),
    [
        (Features(), {}),
        (NOTHING, {}),
        (Features(instances={"pci.device": ({"vendor": "15b3"},)}), {"rdma.capable": "true"}),
        (Features(flags={"kernel.loadedmodule": frozenset({"ib_uverbs"})}), {}),
        (Features(flags={"kernel.loadedmodule": frozenset({"ib_uverbs", "rdma_ucm"})}), {"rdma.available": "true"}),
    ],
)
def test_the_built_in_rules(features: Features, labels: dict[str, str]) -> None:
    outcome = evaluate_custom_rules([], context(features))
    assert outcome.labels == {PREFIX + key: value for key, value in labels.items()}
    assert not outcome.problems


def custom_set(name: str, *rules: dict[str, Any]) -> RuleSet:
    return decode_custom_rules(list(rules), name)


def test_custom_rules_are_evaluated_in_order_and_see_earlier_outputs() -> None:
    first = custom_set("z", {"name": "r", "labels": {"x": "1", "y": "1"}, "vars": {"v": "1"}})
    asks = [{"feature": "rule.matched", "matchExpressions": {"v": "1", "rdma.capable": None}}]
    second = custom_set("a", {"name": "r", "labels": {"x": "2"}, "matchFeatures": asks})
    mellanox = Features(instances={"pci.device": ({"vendor": "15b3"},)})
    assert evaluate_custom_rules([first, second], context(mellanox)).labels == {
        f"{PREFIX}rdma.capable": "true",
        f"{PREFIX}x": "2",
        f"{PREFIX}y": "1",
    }
    assert evaluate_custom_rules([second, first], context(mellanox)).labels[f"{PREFIX}x"] == "1"


def test_a_failed_custom_rule_retains_its_outputs() -> None:
    previous = evaluate_custom_rules([custom_set("a", {"name": "r", "labels": {"x": "1"}})], context(NOTHING))
    now = evaluate_custom_rules([custom_set("a", {"name": "r", "wrong": 1})], context(NOTHING, previous=previous))
    assert now.labels == {f"{PREFIX}x": "1"}
    assert now.failed


def test_a_file_contains_a_list_of_rules_or_objects() -> None:
    listed = parse_rule_file("- name: r\n  labels: {x: 1}\n", "custom.d/x")
    assert listed.is_custom
    assert [each.name for each in listed.sets] == ["custom.d/x"]
    objects = parse_rule_file(dump_yaml(WHOLE), "custom.d/y")
    assert not objects.is_custom
    assert [each.name for each in objects.sets] == ["n"]
    assert (
        evaluate_custom_rules(objects.sets, context(NOTHING)).taints
        == evaluate(objects.sets, context(NOTHING)).taints
        != ()
    )
    assert parse_rule_file("# nothing", "custom.d/z").sets == ()


@pytest.mark.parametrize("text", ["a", "{}", "- name: r\n---\n{}\n", "5"])
def test_any_other_file_is_an_error(text: str) -> None:
    with pytest.raises(SettingsError, match=r"^custom.d/x: "):
        parse_rule_file(text, "custom.d/x")
