"""Whether terms match a node's features, and what of it matched: what templates see.

An error counts only where the answer hangs on it: a group in which some term does not match does not match, whatever else is wrong
with it. So the answer depends on no order.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from operator import itemgetter
from typing import TypeVar

from nfd_lite.rules.expression import RuleError, holds
from nfd_lite.rules.model import Expression, Op, Rule, Term
from node_core.domain.features import Attributes, Features

Elements = tuple[Attributes, ...]
"""What matched: {Name} of a flag, {Name, Value} of an attribute, all attributes of an instance."""

Matched = Mapping[str, Elements]
"""Feature, as the rule writes it -> what matched of it."""

Part = TypeVar("Part")


@dataclass(frozen=True, slots=True, kw_only=True)
class Found:
    """One feature in the kinds that it comes in. None: it does not come in this kind."""

    flags: frozenset[str] | None
    attributes: Attributes | None
    instances: tuple[Attributes, ...] | None

    @property
    def exists(self) -> bool:
        return not (self.flags is None and self.attributes is None and self.instances is None)

    @property
    def names_exist(self) -> bool:
        return not (self.flags is None and self.attributes is None)

    @property
    def names(self) -> list[str]:
        """Of flags and attributes, sorted."""
        return sorted({*(self.flags or ()), *(self.attributes or ())})


def find_feature(features: Features, name: str) -> Found:
    """The feature by its name in any case."""
    key = name.lower()
    return Found(
        flags=features.flags.get(key), attributes=features.attributes.get(key), instances=features.instances.get(key)
    )


def match_rule(rule: Rule, features: Features) -> tuple[Matched, ...] | None:
    """The groups that matched: those of matchAny, then matchFeatures. None when the rule does not match. Raises RuleError.

    A rule that asks nothing matches with one empty group. Without templates the first group of matchAny that matches is enough.
    """
    parts: list[Callable[[], tuple[Matched, ...] | None]] = []
    if rule.match_any:
        parts.append(partial(_match_any, rule, features))
    if rule.match_features or not rule.match_any:
        parts.append(partial(_match_all, rule, features))
    matches = _every(parts)
    return None if matches is None else tuple(matched for groups in matches for matched in groups)


def _match_all(rule: Rule, features: Features) -> tuple[Matched, ...] | None:
    matched = match_terms(rule.match_features, features)
    return None if matched is None else (matched,)


def _match_any(rule: Rule, features: Features) -> tuple[Matched, ...] | None:
    templated = bool(rule.labels_template or rule.vars_template)
    matches: list[Matched] = []
    errors: list[RuleError] = []
    for group in rule.match_any:
        try:
            matched = match_terms(group, features)
        except RuleError as error:
            errors.append(error)
            continue
        if matched is not None:
            matches.append(matched)
            if not templated:
                break
    if errors and (templated or not matches):
        raise errors[0]
    return tuple(matches) or None


def match_terms(terms: Iterable[Term], features: Features) -> Matched | None:
    """What all terms matched, those of one feature after each other; None when one of them does not match. Raises RuleError."""
    matches = _every(partial(_match_named, term, features) for term in terms)
    if matches is None:
        return None
    matched: dict[str, list[Attributes]] = {}
    for feature, elements in matches:
        matched.setdefault(feature, []).extend(elements)
    return {feature: tuple(elements) for feature, elements in matched.items()}


def _match_named(term: Term, features: Features) -> tuple[str, Elements] | None:
    elements = match_term(term, features)
    return None if elements is None else (term.feature, elements)


def match_term(term: Term, features: Features) -> Elements | None:
    """What one term matched; None when it does not match. Raises RuleError."""
    found = find_feature(features, term.feature)
    expressions, name = term.match_expressions, term.match_name
    if not found.exists:
        return None
    parts: list[Callable[[], Elements | None]] = []
    if expressions is not None:
        parts.append(partial(_match_expressions, sorted(expressions.items()), found))
    if name is not None:
        parts.append(partial(_match_names, name, found))
    try:
        matches = _every(parts)
    except RuleError as error:
        raise RuleError(f"{term.feature}: {error.message}") from error
    return None if matches is None else tuple(element for elements in matches for element in elements)


def _every(parts: Iterable[Callable[[], Part | None]]) -> list[Part] | None:
    """What each part gives; None when one gives None; else the first error of a part."""
    given: list[Part] = []
    errors: list[RuleError] = []
    for part in parts:
        try:
            one = part()
        except RuleError as error:
            errors.append(error)
            continue
        if one is None:
            return None
        given.append(one)
    if errors:
        raise errors[0]
    return given


Named = Sequence[tuple[str, Expression]]
"""Element -> expression, sorted."""


def _match_expressions(expressions: Named, found: Found) -> Elements | None:
    union = _match_union(expressions, found) if found.names_exist else None
    instances = tuple(one for one in found.instances or () if instance_holds(expressions, one))
    if union is None:
        return instances or None
    return union + instances


def _match_union(expressions: Named, found: Found) -> Elements | None:
    """Each expression has to hold in flags or in attributes."""
    matches = _every(partial(match_element, *pair, found) for pair in expressions)
    return None if matches is None else tuple(element for elements in matches for element in elements)


def match_element(name: str, expression: Expression, found: Found) -> Elements | None:
    flags, attributes = found.flags, found.attributes
    in_flags = flags is not None and holds(expression, name in flags)
    in_attributes = attributes is not None and _attribute_holds(name, expression, attributes)
    if expression.op == Op.DOES_NOT_EXIST and not all((in_flags or flags is None, in_attributes or attributes is None)):
        return None
    flag = ({"Name": name},) if in_flags else ()
    attribute = ({"Name": name, "Value": (attributes or {}).get(name, "")},) if in_attributes else ()
    return flag + attribute or None


def instance_holds(expressions: Named, instance: Attributes) -> bool:
    """Whether all expressions hold for one instance. Raises RuleError."""
    error: RuleError | None = None
    for name, expression in expressions:
        try:
            if not _attribute_holds(name, expression, instance):
                return False
        except RuleError as raised:
            error = error or raised
    if error is not None:
        raise error
    return True


def _attribute_holds(name: str, expression: Expression, attributes: Attributes) -> bool:
    try:
        return holds(expression, name in attributes, attributes.get(name))
    except RuleError as error:
        raise RuleError(f"{name}: {error.message}") from error


def _match_names(expression: Expression, found: Found) -> Elements | None:
    """Elements, and instances with an attribute, whose name is as the expression asks."""
    flags = [{"Name": name} for name in _hits(expression, found.flags or ())]
    attributes = [
        {"Name": name, "Value": (found.attributes or {})[name]} for name in _hits(expression, found.attributes or ())
    ]
    instances = [one for one in found.instances or () if _hits(expression, one)]
    return (*sorted(flags + attributes, key=itemgetter("Name")), *instances) or None


def _hits(expression: Expression, names: Iterable[str]) -> list[str]:
    return [name for name in sorted(names) if holds(expression, True, name)]
