"""Matches terms with the features of a node. The matched elements are the data of templates.

An error in one term matters only if the result depends on it: a group with a term that does not match does not match, whatever errors
its other terms have. So the result does not depend on the order of terms.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import partial
from operator import itemgetter
from typing import TypeVar

import msgspec

from nfd_lite.rules.expression import RuleError, is_true
from nfd_lite.rules.model import Expression, Op, Rule, Term
from node_core.domain.features import Attributes, Features

Elements = tuple[Attributes, ...]
"""Matched elements: {Name} for a flag, {Name, Value} for an attribute, all attributes for an instance."""

Match = Mapping[str, Elements]
"""Feature, in the spelling of the rule -> its matched elements."""

T = TypeVar("T")


class FeatureValues(msgspec.Struct, frozen=True, kw_only=True):
    """The values of one feature, by kind. None: the node has no values of this kind."""

    flags: frozenset[str] | None
    attributes: Attributes | None
    instances: tuple[Attributes, ...] | None

    @property
    def exists(self) -> bool:
        return not (self.flags is None and self.attributes is None and self.instances is None)

    @property
    def has_names(self) -> bool:
        return not (self.flags is None and self.attributes is None)

    @property
    def names(self) -> list[str]:
        """The names of flags and attributes, sorted."""
        return sorted({*(self.flags or ()), *(self.attributes or ())})


def find_feature(features: Features, name: str) -> FeatureValues:
    """Returns the values of a feature. name: case-insensitive."""
    key = name.lower()
    return FeatureValues(
        flags=features.flags.get(key), attributes=features.attributes.get(key), instances=features.instances.get(key)
    )


def match_rule(rule: Rule, features: Features) -> tuple[Match, ...] | None:
    """Returns the matches of the groups: matchAny, then matchFeatures. Returns None if the rule does not match. Raises RuleError.

    A rule without conditions has one empty match. Without templates, evaluation of matchAny ends at the first group that matches.
    """
    parts: list[Callable[[], tuple[Match, ...] | None]] = []
    if rule.match_any:
        parts.append(partial(_match_any, rule, features))
    if rule.match_features or not rule.match_any:
        parts.append(partial(_match_all, rule, features))
    matches = _match_every(parts)
    return None if matches is None else tuple(matched for groups in matches for matched in groups)


def _match_all(rule: Rule, features: Features) -> tuple[Match, ...] | None:
    matched = match_terms(rule.match_features, features)
    return None if matched is None else (matched,)


def _match_any(rule: Rule, features: Features) -> tuple[Match, ...] | None:
    templated = bool(rule.labels_template or rule.vars_template)
    matches: list[Match] = []
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


def match_terms(terms: Iterable[Term], features: Features) -> Match | None:
    """Returns the matched elements of all terms, by feature; None if one term does not match. Raises RuleError."""
    matches = _match_every(partial(_match_named, term, features) for term in terms)
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
    """Returns the matched elements of one term; None if the term does not match. Raises RuleError."""
    feature = find_feature(features, term.feature)
    expressions, name = term.match_expressions, term.match_name
    if not feature.exists:
        return None
    parts: list[Callable[[], Elements | None]] = []
    if expressions is not None:
        parts.append(partial(_match_expressions, sorted(expressions.items()), feature))
    if name is not None:
        parts.append(partial(_match_names, name, feature))
    try:
        matches = _match_every(parts)
    except RuleError as error:
        raise RuleError(f"{term.feature}: {error.message}") from error
    return None if matches is None else tuple(element for elements in matches for element in elements)


def _match_every(parts: Iterable[Callable[[], T | None]]) -> list[T] | None:
    """Returns the results of all functions; None if one result is None. Otherwise raises the first RuleError, if there is one."""
    results: list[T] = []
    errors: list[RuleError] = []
    for part in parts:
        try:
            one = part()
        except RuleError as error:
            errors.append(error)
            continue
        if one is None:
            return None
        results.append(one)
    if errors:
        raise errors[0]
    return results


NamedExpressions = Sequence[tuple[str, Expression]]
"""Pairs of element and expression, sorted by element."""


def _match_expressions(expressions: NamedExpressions, feature: FeatureValues) -> Elements | None:
    union = _match_union(expressions, feature) if feature.has_names else None
    instances = tuple(one for one in feature.instances or () if matches_instance(expressions, one))
    if union is None:
        return instances or None
    return union + instances


def _match_union(expressions: NamedExpressions, feature: FeatureValues) -> Elements | None:
    """Each expression must be true for a flag or an attribute."""
    matches = _match_every(partial(match_element, *pair, feature) for pair in expressions)
    return None if matches is None else tuple(element for elements in matches for element in elements)


def match_element(name: str, expression: Expression, feature: FeatureValues) -> Elements | None:
    flags, attributes = feature.flags, feature.attributes
    in_flags = flags is not None and is_true(expression, name in flags)
    in_attributes = attributes is not None and _matches_attribute(name, expression, attributes)
    if expression.op == Op.DOES_NOT_EXIST and not all((in_flags or flags is None, in_attributes or attributes is None)):
        return None
    flag = ({"Name": name},) if in_flags else ()
    attribute = ({"Name": name, "Value": (attributes or {}).get(name, "")},) if in_attributes else ()
    return flag + attribute or None


def matches_instance(expressions: NamedExpressions, instance: Attributes) -> bool:
    """Returns whether all expressions are true for one instance. Raises RuleError."""
    error: RuleError | None = None
    for name, expression in expressions:
        try:
            if not _matches_attribute(name, expression, instance):
                return False
        except RuleError as raised:
            error = error or raised
    if error is not None:
        raise error
    return True


def _matches_attribute(name: str, expression: Expression, attributes: Attributes) -> bool:
    try:
        return is_true(expression, name in attributes, attributes.get(name))
    except RuleError as error:
        raise RuleError(f"{name}: {error.message}") from error


def _match_names(expression: Expression, feature: FeatureValues) -> Elements | None:
    """Returns the elements whose name matches, and the instances with an attribute whose name matches."""
    flags = [{"Name": name} for name in _matching_names(expression, feature.flags or ())]
    attributes = [
        {"Name": name, "Value": (feature.attributes or {})[name]}
        for name in _matching_names(expression, feature.attributes or ())
    ]
    instances = [one for one in feature.instances or () if _matching_names(expression, one)]
    return (*sorted(flags + attributes, key=itemgetter("Name")), *instances) or None


def _matching_names(expression: Expression, names: Iterable[str]) -> list[str]:
    return [name for name in sorted(names) if is_true(expression, True, name)]
