"""Explains to the author of a rule why the rule matches a node or not: every term and expression with the values of the node."""

from collections import Counter
from collections.abc import Iterable, Sequence

import msgspec

from nfd_lite.feature_names import suggest_feature
from nfd_lite.rules.evaluate import EvaluationContext, Step, run_rules
from nfd_lite.rules.expression import RuleError, is_true
from nfd_lite.rules.match import (
    FeatureValues,
    NamedExpressions,
    find_feature,
    match_element,
    match_term,
    match_terms,
    matches_instance,
)
from nfd_lite.rules.model import Expression, RuleOutputs, RuleProblem, RuleSet, Term
from node_core.domain.features import Features
from node_core.schema import suggest

_SHOWN = 3
"""Maximum number of different values in an explanation."""
_LONG = 60


class ExpressionTrace(msgspec.Struct, frozen=True, kw_only=True):
    """name: the element; empty for matchName. condition: operator and values. matched: None for an error. observed: the node's values."""

    name: str
    condition: str
    matched: bool | None
    observed: str


class TermTrace(msgspec.Struct, frozen=True, kw_only=True):
    """matched: None for an error. why: an explanation."""

    feature: str
    matched: bool | None
    why: str
    expressions: tuple[ExpressionTrace, ...] = ()


class GroupTrace(msgspec.Struct, frozen=True, kw_only=True):
    """The terms of matchFeatures, or of one element of matchAny. matched: None for an error that decides the result."""

    matched: bool | None
    terms: tuple[TermTrace, ...]


class RuleTrace(msgspec.Struct, frozen=True, kw_only=True):
    """matched: None if the rule could not be evaluated. problems: why the rule failed, which outputs were refused, and warnings."""

    set_name: str
    rule: str
    matched: bool | None
    match_features: GroupTrace | None
    match_any: tuple[GroupTrace, ...]
    outputs: RuleOutputs
    problems: tuple[RuleProblem, ...]


def trace(sets: Iterable[RuleSet], context: EvaluationContext) -> tuple[RuleTrace, ...]:
    """Traces the evaluation of rules, in the given order."""
    return tuple(map(_trace_step, run_rules(sets, context)))


def _trace_step(step: Step) -> RuleTrace:
    rule, features = step.rule, step.features
    failed = any(problem.is_failure for problem in step.problems)
    return RuleTrace(
        set_name=step.id.set_name,
        rule=step.id.shown,
        matched=None if failed else step.matches is not None,
        match_features=trace_group(rule.match_features, features) if rule.match_features else None,
        match_any=tuple(trace_group(group, features) for group in rule.match_any),
        outputs=step.outputs or RuleOutputs(),
        problems=step.problems,
    )


def trace_group(terms: tuple[Term, ...], features: Features) -> GroupTrace:
    try:
        matched: bool | None = match_terms(terms, features) is not None
    except RuleError:
        matched = None
    return GroupTrace(matched=matched, terms=tuple(trace_term(term, features) for term in terms))


def trace_term(term: Term, features: Features) -> TermTrace:
    feature = find_feature(features, term.feature)
    expressions = sorted((term.match_expressions or {}).items())
    if not feature.exists:
        hint = suggest_feature(term.feature, features.names)
        why = f"this node does not have this feature{hint}"
        return TermTrace(feature=term.feature, matched=False, why=why)
    traces = tuple(_trace_expression(name, expression, feature) for name, expression in expressions)
    names = () if term.match_name is None else (_trace_names(term.match_name, feature),)
    try:
        matched: bool | None = match_term(term, features) is not None
        why = _describe(feature, expressions)
    except RuleError as error:
        matched, why = None, error.message
    return TermTrace(feature=term.feature, matched=matched, why=why, expressions=(*traces, *names))


def _describe(feature: FeatureValues, expressions: NamedExpressions) -> str:
    """Returns the number of names or instances, or how many instances match all expressions."""
    if feature.has_names:
        return "" if expressions else _count(len(feature.names), "name")
    instances = feature.instances or ()
    if not expressions:
        return _count(len(instances), "instance")
    hits = sum(matches_instance(expressions, one) for one in instances)
    return f"{hits} of {_count(len(instances), 'instance')}"


def _count(number: int, what: str) -> str:
    return f"{number} {what}" if number == 1 else f"{number} {what}s"


def _trace_expression(name: str, expression: Expression, feature: FeatureValues) -> ExpressionTrace:
    try:
        explain = _explain_element if feature.has_names else _explain_instances
        matched, observed = explain(name, expression, feature)
    except RuleError as error:
        why = error.message.removeprefix(f"{name}: ")
        return ExpressionTrace(name=name, condition=_condition(expression), matched=None, observed=why)
    return ExpressionTrace(name=name, condition=_condition(expression), matched=matched, observed=observed)


def _explain_element(name: str, expression: Expression, feature: FeatureValues) -> tuple[bool, str]:
    result = match_element(name, expression, feature) is not None
    if name in (feature.attributes or {}):
        return result, _crop((feature.attributes or {})[name])
    if name in (feature.flags or ()):
        return result, "exists" if result else "exists as a flag, which has no value"
    return result, f"does not exist{suggest(name, feature.names)}"


def _explain_instances(name: str, expression: Expression, feature: FeatureValues) -> tuple[bool, str]:
    instances = feature.instances or ()
    hits = sum(is_true(expression, name in one, one.get(name)) for one in instances)
    values = Counter(one[name] for one in instances if name in one)
    shown = [f"{_crop(value)} ({count})" for value, count in sorted(values.items(), key=_by_count)]
    return (
        hits > 0,
        f"{hits} of {_count(len(instances), 'instance')}; {_shorten(shown) or 'no instance has this attribute'}",
    )


def _by_count(entry: tuple[str, int]) -> tuple[int, str]:
    return -entry[1], entry[0]


def _trace_names(expression: Expression, feature: FeatureValues) -> ExpressionTrace:
    names = feature.names or sorted({name for one in feature.instances or () for name in one})
    try:
        hits = [name for name in names if is_true(expression, True, name)]
    except RuleError as error:
        return ExpressionTrace(name="", condition=_condition(expression), matched=None, observed=error.message)
    observed = f"{len(hits)} of {_count(len(names), 'name')}" + (f": {_shorten(hits)}" if hits else "")
    return ExpressionTrace(name="", condition=_condition(expression), matched=bool(hits), observed=observed)


def _condition(expression: Expression) -> str:
    kind = f" ({expression.type})" if expression.type else ""
    return f"{expression.op or 'any value'} {', '.join(map(_crop, expression.value))}".rstrip() + kind


def _shorten(shown: Sequence[str]) -> str:
    more = f" and {len(shown) - _SHOWN} more" if len(shown) > _SHOWN else ""
    return ", ".join(shown[:_SHOWN]) + more


def _crop(text: str) -> str:
    return repr(text if len(text) <= _LONG else f"{text[:_LONG]}...")
