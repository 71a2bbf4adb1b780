"""Validates the outputs of a rule: full keys, allowed namespaces, resolved and valid values. Each invalid output is refused alone.

Source: Kubernetes API (labels, annotations, taints, node status), Node Feature Discovery's rules on namespaces.
"""

from collections.abc import Callable, Iterable, Mapping

import msgspec

from nfd_lite.label_keys import qualify_keys
from nfd_lite.rules.model import Rule, RuleOutputs
from node_core.domain.desired import DeclaredNames
from node_core.domain.features import Attributes
from node_core.domain.labels import (
    OPEN,
    OPEN_LABEL_NAMESPACES,
    InvalidLabel,
    is_in_namespace,
    key_problem,
    namespace_problem,
    value_problem,
)
from node_core.domain.quantity import MAX_AMOUNT, canonical_quantity, parse_quantity
from node_core.domain.taints import EFFECTS, RULE_TAINTS_ANNOTATION, Taint
from node_core.values import replace

TAINTS_NAMESPACE = RULE_TAINTS_ANNOTATION.partition("/")[0]
MAX_ANNOTATION = 1024


class OutputPolicy(msgspec.Struct, frozen=True, kw_only=True):
    """What the cluster administrator allows; Node Feature Discovery has settings with the same names.

    deny_label_ns: denied label namespaces: a name, `*.vendor.com` for all namespaces below vendor.com, or `*`. extra_label_ns:
    namespaces that are allowed even if deny_label_ns contains them.
    """

    extra_label_ns: frozenset[str] = frozenset()
    deny_label_ns: frozenset[str] = frozenset()


class ExpandedRule(msgspec.Struct, frozen=True, kw_only=True):
    """A rule with the labels and variables that include the output of its templates."""

    rule: Rule
    labels: Mapping[str, str]
    vars: Attributes


def build_outputs(
    expanded: ExpandedRule, attributes: Mapping[str, Attributes], policy: OutputPolicy
) -> tuple[RuleOutputs, tuple[InvalidLabel, ...]]:
    """Returns the valid outputs and the refused outputs. attributes: the features that resolve `@domain.feature.element` values."""
    rule, refused = expanded.rule, list[InvalidLabel]()

    def convert(values: Mapping[str, str], validate: Callable[[str, str], str]) -> dict[str, str]:
        valid: dict[str, str] = {}
        for key, value in qualify_keys(values).items():
            try:
                valid[key] = validate(key, value)
            except ValueError as error:
                refused.append(InvalidLabel(key=key, value=value, why=str(error)))
        return valid

    outputs = RuleOutputs(
        labels=convert(expanded.labels, lambda key, value: validate_label(key, resolve(value, attributes), policy)),
        annotations=convert(rule.annotations, validate_annotation),
        taints=_validate_taints(rule.taints, refused),
        extended_resources=convert(
            rule.extended_resources, lambda key, value: normalize_resource(key, resolve(value, attributes))
        ),
        vars=expanded.vars,
        matched={**expanded.labels, **expanded.vars},
    )
    return outputs, tuple(refused)


def check_outputs(rule: Rule) -> tuple[InvalidLabel, ...]:
    """Returns the outputs that every node refuses. Valid references are not checked, because their values depend on the node."""
    resources = {key: value for key, value in rule.extended_resources.items() if not is_reference(value)}
    labels = {key: value for key, value in rule.labels.items() if not is_reference(value)}
    expanded = ExpandedRule(rule=replace(rule, extended_resources=resources), labels=labels, vars=rule.vars)
    return build_outputs(expanded, {}, OutputPolicy())[1]


def declared_names(rules: Iterable[Rule]) -> DeclaredNames:
    """Returns the names of the outputs that rules declare. The names of labels from templates are not known in advance."""
    rules = tuple(rules)

    def names(values: Iterable[Mapping[str, str]]) -> frozenset[str]:
        return frozenset(key for each in values for key in qualify_keys(each))

    return DeclaredNames(
        labels=names(rule.labels for rule in rules),
        annotations=names(rule.annotations for rule in rules),
        taints=frozenset(taint.identity for rule in rules for taint in rule.taints),
        extended_resources=names(rule.extended_resources for rule in rules),
    )


def _validate_taints(taints: Iterable[Taint], refused: list[InvalidLabel]) -> tuple[Taint, ...]:
    valid: dict[tuple[str, str], Taint] = {}
    for taint in taints:
        why = taint_problem(taint)
        if why is None:
            valid[taint.identity] = taint
        else:
            refused.append(InvalidLabel(key=taint.key, value=str(taint), why=why))
    return tuple(sorted(valid.values()))


def is_reference(value: str) -> bool:
    """Returns whether a value has the form `@domain.feature.element`."""
    parts = value[1:].split(".", 2)
    return value.startswith("@") and len(parts) == 3 and all(parts)


def resolve(value: str, attributes: Mapping[str, Attributes]) -> str:
    """Replaces a value `@domain.feature.element` with that attribute. Raises ValueError with the reason."""
    if not value.startswith("@"):
        return value
    if not is_reference(value):
        raise ValueError(f"its value {value!r} does not have the form @domain.feature.element")
    domain, feature, element = value[1:].split(".", 2)
    attribute = attributes.get(f"{domain}.{feature}", {}).get(element)
    if attribute is None:
        raise ValueError(f"its value {value!r} refers to an attribute that this node does not have")
    return attribute


def validate_label(key: str, value: str, policy: OutputPolicy) -> str:
    """Returns the value of a label that Kubernetes and the policy accept. Raises ValueError with the reason."""
    return _raise_if(key_problem(key) or _label_namespace_problem(key, policy) or value_problem(value), value)


def validate_annotation(key: str, value: str) -> str:
    """Returns the value of a valid annotation. Raises ValueError with the reason."""
    size = len(value.encode(errors="surrogatepass"))
    why = key_problem(key) or namespace_problem(key, OPEN)
    if why is None and is_in_namespace(key.rpartition("/")[0], TAINTS_NAMESPACE):
        why = f"rules must not set annotations in {TAINTS_NAMESPACE}, which record the taints of this agent"
    if why is None and size > MAX_ANNOTATION:
        why = f"its value has {size} bytes; the maximum is {MAX_ANNOTATION}"
    return _raise_if(why, value)


def normalize_resource(key: str, value: str) -> str:
    """Returns the amount of an extended resource in canonical form. Raises ValueError with the reason."""
    namespace = key.rpartition("/")[0]
    why = key_problem(key) or namespace_problem(key, OPEN)
    if why is None and (not namespace or namespace.startswith("requests.")):
        why = "the name of an extended resource needs a namespace before '/' that does not begin with 'requests.'"
    amount = parse_quantity(_raise_if(why, value))
    if amount < 0 or amount.denominator != 1 or amount > MAX_AMOUNT:
        raise ValueError(f"its value {value!r} is not a whole number from 0 to {MAX_AMOUNT}")
    return canonical_quantity(value)


def taint_problem(taint: Taint) -> str | None:
    """Returns why a taint is not valid; None for a valid taint."""
    if "/" not in taint.key:
        return "the key of a taint needs a namespace before '/'; no default namespace is added"
    if taint.effect not in EFFECTS:
        return f"its effect {taint.effect!r} is not one of {', '.join(EFFECTS)}"
    return key_problem(taint.key) or value_problem(taint.value) or namespace_problem(taint.key, OPEN)


def _label_namespace_problem(key: str, policy: OutputPolicy) -> str | None:
    namespace = key.rpartition("/")[0]
    if namespace in policy.extra_label_ns:
        return None
    if any(
        namespace == each or (each.startswith("*") and namespace.endswith(each[1:])) for each in policy.deny_label_ns
    ):
        return f"its namespace {namespace!r} is denied by --deny-label-ns"
    return namespace_problem(key, OPEN_LABEL_NAMESPACES)


def _raise_if(why: str | None, value: str) -> str:
    if why is not None:
        raise ValueError(why)
    return value
