"""What a rule asks for, made fit for Kubernetes: full keys, allowed namespaces, resolved and valid values. The rest is refused, each alone.

Source: Kubernetes API (labels, annotations, taints, node status), Node Feature Discovery's rules on namespaces.
"""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Protocol

from nfd_lite.rules.model import Made, Rule
from node_core.domain.features import Attributes
from node_core.domain.labels import (
    OPEN,
    OPEN_FOR_LABELS,
    Refused,
    is_below,
    key_problem,
    namespace_problem,
    value_problem,
)
from node_core.domain.quantity import canonical_quantity, parse_quantity
from node_core.domain.taints import EFFECTS, RULE_TAINTS_ANNOTATION, Taint

PREFIX = "feature.node.kubernetes.io/"
OURS = RULE_TAINTS_ANNOTATION.partition("/")[0]
MAX_ANNOTATION = 1024
MAX_AMOUNT = (1 << 63) - 1


class WhiteList(Protocol):
    """A compiled regular expression."""

    def search(self, text: str) -> object | None: ...


@dataclass(frozen=True, slots=True, kw_only=True)
class OutputPolicy:
    """What the cluster's administrator allows; Node Feature Discovery's settings of the same names.

    deny_label_ns: namespaces, or `*.vendor.com` for those below one, or `*`. extra_label_ns: namespaces that are allowed whatever else
    is said. label_white_list: searched in the part of each label's key after the slash. auto_prefix: keys without a namespace get ours.
    """

    extra_label_ns: frozenset[str] = frozenset()
    deny_label_ns: frozenset[str] = frozenset()
    label_white_list: WhiteList | None = None
    auto_prefix: bool = True


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """A rule's labels and variables, its templates expanded."""

    rule: Rule
    labels: Mapping[str, str]
    vars: Attributes


def make_outputs(
    asked: Asked, attributes: Mapping[str, Attributes], policy: OutputPolicy
) -> tuple[Made, tuple[Refused, ...]]:
    """attributes: where `@domain.feature.element` values are looked up."""
    rule, refused = asked.rule, list[Refused]()

    def keep(values: Mapping[str, str], settle: Callable[[str, str], str]) -> dict[str, str]:
        return _keep(_prefixed(values, policy), settle, refused)

    made = Made(
        labels=keep(asked.labels, lambda key, value: settle_label(key, resolve(value, attributes), policy)),
        annotations=keep(rule.annotations, settle_annotation),
        taints=_keep_taints(rule.taints, refused),
        extended_resources=keep(
            rule.extended_resources, lambda key, value: settle_resource(key, resolve(value, attributes))
        ),
        vars=asked.vars,
        matched={**asked.labels, **asked.vars},
    )
    return made, tuple(refused)


def check_outputs(rule: Rule) -> tuple[Refused, ...]:
    """What the rule writes itself and no node would get. Values with `@` are only known on a node."""
    sure = {key: value for key, value in rule.extended_resources.items() if not value.startswith("@")}
    labels = {key: value for key, value in rule.labels.items() if not value.startswith("@")}
    asked = Asked(rule=replace(rule, extended_resources=sure), labels=labels, vars=rule.vars)
    return make_outputs(asked, {}, OutputPolicy())[1]


def _prefixed(values: Mapping[str, str], policy: OutputPolicy) -> dict[str, str]:
    """Full keys, sorted; where a key is there with its namespace and without, the one with it counts."""
    if not policy.auto_prefix:
        return dict(sorted(values.items()))
    bare = {PREFIX + key: value for key, value in values.items() if "/" not in key}
    return dict(sorted((bare | {key: value for key, value in values.items() if "/" in key}).items()))


def _keep(values: Mapping[str, str], settle: Callable[[str, str], str], refused: list[Refused]) -> dict[str, str]:
    kept: dict[str, str] = {}
    for key, value in values.items():
        try:
            kept[key] = settle(key, value)
        except ValueError as error:
            refused.append(Refused(key=key, value=value, why=str(error)))
    return kept


def _keep_taints(taints: Iterable[Taint], refused: list[Refused]) -> tuple[Taint, ...]:
    kept: dict[tuple[str, str], Taint] = {}
    for taint in taints:
        why = taint_problem(taint)
        if why is None:
            kept[taint.place] = taint
        else:
            refused.append(Refused(key=taint.key, value=str(taint), why=why))
    return tuple(sorted(kept.values()))


def resolve(value: str, attributes: Mapping[str, Attributes]) -> str:
    """`@domain.feature.element` is that attribute's value; any other value is itself. Raises ValueError with the reason."""
    if not value.startswith("@"):
        return value
    domain, _, rest = value[1:].partition(".")
    feature, _, element = rest.partition(".")
    if not (domain and feature and element):
        raise ValueError(f"its value {value!r} has to be @domain.feature.element")
    found = attributes.get(f"{domain}.{feature}", {}).get(element)
    if found is None:
        raise ValueError(f"its value {value!r} names an attribute that this node does not have")
    return found


def settle_label(key: str, value: str, policy: OutputPolicy) -> str:
    """The value, if Kubernetes and the administrator take the label. Raises ValueError with the reason."""
    why = key_problem(key) or _label_namespace_problem(key, policy) or value_problem(value)
    white_list = policy.label_white_list
    if why is None and white_list is not None and not white_list.search(key.rpartition("/")[2]):
        why = "the white list of labels does not let it through"
    return _unless(why, value)


def settle_annotation(key: str, value: str) -> str:
    """The value, if it fits. Raises ValueError with the reason."""
    size = len(value.encode(errors="surrogatepass"))
    why = key_problem(key) or namespace_problem(key, OPEN)
    if why is None and is_below(key.rpartition("/")[0], OURS):
        why = f"annotations of {OURS} say which taints are ours, and are not for rules"
    if why is None and size > MAX_ANNOTATION:
        why = f"its value has {size} bytes, {MAX_ANNOTATION} are allowed"
    return _unless(why, value)


def settle_resource(key: str, value: str) -> str:
    """The amount in canonical form. Raises ValueError with the reason."""
    namespace = key.rpartition("/")[0]
    why = key_problem(key) or namespace_problem(key, OPEN)
    if why is None and (not namespace or namespace.startswith("requests.")):
        why = "the name of an extended resource needs a namespace before '/', which does not begin with 'requests.'"
    amount = parse_quantity(_unless(why, value))
    if amount < 0 or amount.denominator != 1 or amount > MAX_AMOUNT:
        raise ValueError(f"its value {value!r} is not a whole number from 0 to {MAX_AMOUNT}")
    return canonical_quantity(value)


def taint_problem(taint: Taint) -> str | None:
    """Why this taint cannot be set, or None."""
    if "/" not in taint.key:
        return "the key of a taint needs a namespace before '/': none is put there for you"
    if taint.effect not in EFFECTS:
        return f"its effect {taint.effect!r} is none of {', '.join(EFFECTS)}"
    return key_problem(taint.key) or value_problem(taint.value) or namespace_problem(taint.key, OPEN)


def _label_namespace_problem(key: str, policy: OutputPolicy) -> str | None:
    namespace = key.rpartition("/")[0]
    if namespace in policy.extra_label_ns:
        return None
    denied = any(
        namespace == each or (each.startswith("*") and namespace.endswith(each[1:])) for each in policy.deny_label_ns
    )
    return (
        f"its namespace {namespace!r} is denied by the settings" if denied else namespace_problem(key, OPEN_FOR_LABELS)
    )


def _unless(why: str | None, value: str) -> str:
    if why is not None:
        raise ValueError(why)
    return value
