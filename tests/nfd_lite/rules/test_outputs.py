"""The validation of outputs. Each invalid output is refused alone."""

from typing import Any

import pytest

from nfd_lite.rules.model import Rule, RuleOutputs
from nfd_lite.rules.outputs import ExpandedRule, OutputPolicy, build_outputs, check_outputs, resolve
from node_core.domain.labels import InvalidLabel
from node_core.domain.taints import Taint

OURS = "feature.node.kubernetes.io"
KUBERNETES = "belongs to Kubernetes"
ATTRIBUTES = {"kernel.version": {"full": "5.15.0", "dotted.name": "d"}, "a.b": {"amount": "4k", "bad": "not a value!"}}


def make(policy: OutputPolicy | None = None, **fields: Any) -> tuple[RuleOutputs, tuple[InvalidLabel, ...]]:
    rule = Rule(name="r", **fields)
    return build_outputs(
        ExpandedRule(rule=rule, labels=rule.labels, vars=rule.vars), ATTRIBUTES, policy or OutputPolicy()
    )


@pytest.mark.parametrize(
    ("key", "full"),
    [
        ("gpu", f"{OURS}/gpu"),
        (f"{OURS}/gpu", f"{OURS}/gpu"),
        (f"sub.{OURS}/gpu", f"sub.{OURS}/gpu"),
        ("profile.node.kubernetes.io/gpu", "profile.node.kubernetes.io/gpu"),
        ("a.profile.node.kubernetes.io/gpu", "a.profile.node.kubernetes.io/gpu"),
        ("example.com/gpu", "example.com/gpu"),
        ("notkubernetes.io/gpu", "notkubernetes.io/gpu"),
        ("cluster.x-k8s.io/gpu", "cluster.x-k8s.io/gpu"),
        ("nvidia.com/gpu.present", "nvidia.com/gpu.present"),
    ],
)
def test_a_valid_label_is_accepted(key: str, full: str) -> None:
    outputs, refused = make(labels={key: "true"})
    assert outputs.labels == {full: "true"}
    assert not refused


@pytest.mark.parametrize(
    ("key", "value", "why"),
    [
        ("kubernetes.io/x", "1", KUBERNETES),
        ("node-role.kubernetes.io/master", "1", KUBERNETES),
        ("node.k8s.io/x", "1", KUBERNETES),
        ("node.kubernetes.io/x", "1", KUBERNETES),
        (f"x{OURS}/y", "1", KUBERNETES),
        ("beta.kubernetes.io/arch", "1", KUBERNETES),
        ("a/b/c", "1", "not a DNS subdomain"),
        ("/x", "1", "not a DNS subdomain"),
        ("Example.com/x", "1", "not a DNS subdomain"),
        ("example.com/", "1", "its name must begin and end"),
        ("", "1", "its name must begin and end"),
        ("x" * 64, "1", "its name has 64 characters"),
        ("x", "y" * 64, "its value has 64 characters"),
        ("x", "a b", "its value 'a b' must begin"),
        ("x", "\u00e9", "must begin and end"),
        ("x", "@kernel.version", "does not have the form @domain.feature.element"),
        ("x", "@", "does not have the form @domain.feature.element"),
        ("x", "@kernel.version.none", "refers to an attribute that this node does not have"),
        ("x", "@none.none.none", "refers to an attribute that this node does not have"),
        ("x", "@Kernel.Version.full", "refers to an attribute that this node does not have"),
        ("x", "@a.b.bad", "its value 'not a value!' must begin"),
    ],
)
def test_an_invalid_label_is_refused_alone(key: str, value: str, why: str) -> None:
    outputs, refused = make(labels={key: value, "good": "1"})
    assert outputs.labels == {f"{OURS}/good": "1"}
    assert len(refused) == 1
    assert why in refused[0].why
    assert refused[0].value == value


@pytest.mark.parametrize(
    ("policy", "key", "accepted"),
    [
        (OutputPolicy(extra_label_ns=frozenset({"node.kubernetes.io"})), "node.kubernetes.io/x", True),
        (OutputPolicy(extra_label_ns=frozenset({"kubernetes.io"})), "node.kubernetes.io/x", False),
        (OutputPolicy(deny_label_ns=frozenset({"vendor.com"})), "vendor.com/x", False),
        (OutputPolicy(deny_label_ns=frozenset({"vendor.com"})), "sub.vendor.com/x", True),
        (OutputPolicy(deny_label_ns=frozenset({"*.vendor.com"})), "sub.vendor.com/x", False),
        (OutputPolicy(deny_label_ns=frozenset({"*.vendor.com"})), "vendor.com/x", True),
        (OutputPolicy(deny_label_ns=frozenset({"*"})), f"{OURS}/x", False),
        (OutputPolicy(deny_label_ns=frozenset({OURS})), "x", False),
        (OutputPolicy(deny_label_ns=frozenset({"*"}), extra_label_ns=frozenset({"a.com"})), "a.com/x", True),
    ],
)
def test_namespaces_that_the_administrator_allows_or_denies(policy: OutputPolicy, key: str, accepted: bool) -> None:
    outputs, refused = make(policy, labels={key: "1"})
    assert bool(outputs.labels) is accepted
    assert bool(refused) is not accepted


def test_labels_in_an_allowed_namespace_are_still_validated() -> None:
    policy = OutputPolicy(extra_label_ns=frozenset({"node.kubernetes.io"}))
    outputs, refused = make(policy, labels={"node.kubernetes.io/x": "no value!", "node.kubernetes.io/y z": "1"})
    assert not outputs.labels
    assert len(refused) == 2


def test_the_namespace_settings_apply_to_labels_only() -> None:
    policy = OutputPolicy(deny_label_ns=frozenset({"*"}))
    outputs, refused = make(
        policy,
        annotations={"a.com/x": "1"},
        extended_resources={"a.com/x": "1"},
        taints=(Taint(key="a.com/x", effect="NoExecute"),),
    )
    assert outputs.annotations
    assert outputs.extended_resources
    assert outputs.taints
    assert not refused


@pytest.mark.parametrize("order", [1, -1])
def test_a_full_key_takes_precedence_over_a_key_without_a_namespace(order: int) -> None:
    pairs = [("x", "short"), (f"{OURS}/x", "full")][::order]
    assert make(labels=dict(pairs))[0].labels == {f"{OURS}/x": "full"}


def test_only_labels_and_resources_can_have_an_attribute_as_value() -> None:
    outputs, refused = make(
        labels={"v": "@kernel.version.full", "d": "@kernel.version.dotted.name"},
        extended_resources={"r": "@a.b.amount"},
        annotations={"a": "@kernel.version.full"},
        vars={"x": "@kernel.version.full"},
    )
    assert outputs.labels == {f"{OURS}/d": "d", f"{OURS}/v": "5.15.0"}
    assert outputs.extended_resources == {f"{OURS}/r": "4k"}
    assert outputs.annotations == {f"{OURS}/a": "@kernel.version.full"}
    assert outputs.vars == {"x": "@kernel.version.full"}
    assert outputs.matched == {
        "v": "@kernel.version.full",
        "d": "@kernel.version.dotted.name",
        "x": "@kernel.version.full",
    }
    assert not refused


def test_a_value_is_resolved_once() -> None:
    assert resolve("@a.b.c", {"a.b": {"c": "@a.b.d"}}) == "@a.b.d"


@pytest.mark.parametrize(
    ("key", "value", "accepted"),
    [
        ("gpunode.nvidia.com/rule-taints", "a=b:NoSchedule", False),
        ("x", "y" * 1024, True),
        ("x", "y" * 1025, False),
        ("x", "\u00e9" * 512, True),
        ("x", "\u00e9" * 513, False),
        ("x", "any text, {} and\nlines", True),
        ("x", "", True),
        (f"sub.{OURS}/x", "1", True),
        ("profile.node.kubernetes.io/x", "1", False),
        ("kubernetes.io/x", "1", False),
        ("bad key", "1", False),
    ],
)
def test_annotations_are_validated(key: str, value: str, accepted: bool) -> None:
    outputs, refused = make(annotations={key: value})
    assert list(outputs.annotations.values()) == [value] * accepted
    assert bool(refused) is not accepted


@pytest.mark.parametrize(
    ("value", "amount"),
    [
        ("1", "1"),
        ("0", "0"),
        ("1000", "1k"),
        ("1k", "1k"),
        ("2000m", "2"),
        ("1024Ki", "1Mi"),
        ("1e3", "1e3"),
        ("1.5k", "1500"),
        ("9223372036854775807", "9223372036854775807"),
    ],
)
def test_an_amount_has_the_canonical_form_of_kubernetes(value: str, amount: str) -> None:
    assert make(extended_resources={"example.com/r": value})[0].extended_resources == {"example.com/r": amount}


@pytest.mark.parametrize(
    ("key", "value", "why"),
    [
        ("example.com/r", "", "is not a quantity"),
        ("example.com/r", "many", "is not a quantity"),
        ("example.com/r", "1" * 5000, "is not a quantity"),
        ("example.com/r", "-1", "is not a whole number from 0"),
        ("example.com/r", "1500m", "is not a whole number from 0"),
        ("example.com/r", "9223372036854775808", "is not a whole number from 0"),
        ("example.com/r", "@none.none.none", "refers to an attribute"),
        ("requests.example.com/r", "1", "does not begin with 'requests.'"),
        ("profile.node.kubernetes.io/r", "1", KUBERNETES),
        ("kubernetes.io/r", "1", KUBERNETES),
        ("example.com/r r", "1", "its name must"),
    ],
)
def test_an_invalid_resource_is_refused_alone(key: str, value: str, why: str) -> None:
    outputs, refused = make(extended_resources={key: value, "good": "1"})
    assert outputs.extended_resources == {f"{OURS}/good": "1"}
    assert [why in each.why for each in refused] == [True]


@pytest.mark.parametrize(
    ("taint", "why"),
    [
        (Taint(key="bare", effect="NoSchedule"), "needs a namespace before '/'"),
        (Taint(key="node.kubernetes.io/unreachable", effect="NoSchedule"), KUBERNETES),
        (Taint(key="profile.node.kubernetes.io/x", effect="NoSchedule"), KUBERNETES),
        (Taint(key="example.com/x", effect="noschedule"), "its effect 'noschedule' is not one of NoSchedule, "),
        (Taint(key="example.com/x", effect=""), "its effect '' is not one of"),
        (Taint(key="example.com/x", value="a b", effect="NoSchedule"), "its value 'a b'"),
        (Taint(key="example.com/x y", effect="NoSchedule"), "its name must"),
    ],
    ids=str,
)
def test_an_invalid_taint_is_refused_alone(taint: Taint, why: str) -> None:
    good = Taint(key=f"{OURS}/x", value="1", effect="NoExecute")
    outputs, refused = make(taints=(taint, good))
    assert outputs.taints == (good,)
    assert [(each.key, why in each.why) for each in refused] == [(taint.key, True)]


def test_the_last_taint_with_the_same_key_and_effect_wins() -> None:
    taints = [
        Taint(key="a.com/x", value=value, effect=effect)
        for value, effect in zip("123", ("NoExecute",) * 3, strict=True)
    ]
    other = Taint(key="a.com/x", value="4", effect="NoSchedule")
    assert make(taints=(*taints, other))[0].taints == (taints[-1], other)


def test_outputs_that_every_node_refuses_are_known_in_advance() -> None:
    rule = Rule(
        name="r",
        labels={"kubernetes.io/x": "1", "x": "@a.b.c"},
        extended_resources={"y": "@a.b.c", "z": "z"},
        taints=(Taint(key="bare", effect="NoSchedule"),),
    )
    assert [each.key for each in check_outputs(rule)] == ["kubernetes.io/x", "bare", f"{OURS}/z"]
