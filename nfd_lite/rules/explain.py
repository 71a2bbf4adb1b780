"""Why rules matched a node or did not, for their authors: every term and expression with what was found on the node."""

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from nfd_lite.rules.evaluate import Look, Step, in_order, run_rules
from nfd_lite.rules.expression import RuleError, holds
from nfd_lite.rules.match import Found, Named, find_feature, instance_holds, match_element, match_term, match_terms
from nfd_lite.rules.model import Expression, Made, RuleProblem, RuleSet, Term
from nfd_lite.rules.outputs import OutputPolicy
from nfd_lite.rules.spot import suggest
from node_core.domain.features import Features

_SHOWN = 3
"""Of many different values so many are shown."""
_LONG = 60


@dataclass(frozen=True, slots=True, kw_only=True)
class ExpressionTrace:
    """name: of the element; empty for matchName. asks: operator and values. holds: None for an error. seen: what was found."""

    name: str
    asks: str
    holds: bool | None
    seen: str


@dataclass(frozen=True, slots=True, kw_only=True)
class TermTrace:
    """matched: None for an error. why: a sentence."""

    feature: str
    matched: bool | None
    why: str
    expressions: tuple[ExpressionTrace, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class GroupTrace:
    """The terms of matchFeatures, or of one element of matchAny. matched: None for an error that the answer hangs on."""

    matched: bool | None
    terms: tuple[TermTrace, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class RuleTrace:
    """matched: None when the rule could not be evaluated. made: what it gave; problems: why the rule or outputs of it failed."""

    set_name: str
    rule: str
    matched: bool | None
    match_features: GroupTrace | None
    match_any: tuple[GroupTrace, ...]
    made: Made
    problems: tuple[RuleProblem, ...]


def trace(sets: Iterable[RuleSet], features: Features, policy: OutputPolicy | None = None) -> tuple[RuleTrace, ...]:
    """What `evaluate` does, rule by rule and in its order, with the reasons."""
    return trace_steps(in_order(sets), features, policy)


def trace_steps(
    sets: Iterable[RuleSet], features: Features, policy: OutputPolicy | None = None
) -> tuple[RuleTrace, ...]:
    """In the order given, as for custom rules."""
    return tuple(map(_trace_step, run_rules(tuple(sets), Look(features=features, policy=policy or OutputPolicy()))))


def _trace_step(step: Step) -> RuleTrace:
    rule, features = step.rule, step.features
    failed = any(problem.key is None for problem in step.problems)
    return RuleTrace(
        set_name=step.id[0],
        rule=step.id[1],
        matched=None if failed else step.matches is not None,
        match_features=trace_group(rule.match_features, features) if rule.match_features else None,
        match_any=tuple(trace_group(group, features) for group in rule.match_any),
        made=step.made or Made(),
        problems=step.problems,
    )


def trace_group(terms: tuple[Term, ...], features: Features) -> GroupTrace:
    try:
        matched: bool | None = match_terms(terms, features) is not None
    except RuleError:
        matched = None
    return GroupTrace(matched=matched, terms=tuple(trace_term(term, features) for term in terms))


def trace_term(term: Term, features: Features) -> TermTrace:
    found = find_feature(features, term.feature)
    expressions = sorted((term.match_expressions or {}).items())
    if not found.exists:
        known = sorted({*features.flags, *features.attributes, *features.instances})
        why = f"this node has no such feature{suggest(term.feature, known)}"
        return TermTrace(feature=term.feature, matched=False, why=why)
    traces = tuple(_trace_expression(name, expression, found) for name, expression in expressions)
    names = () if term.match_name is None else (_trace_names(term.match_name, found),)
    try:
        matched: bool | None = match_term(term, features) is not None
        why = _describe(found, expressions)
    except RuleError as error:
        matched, why = None, error.message
    return TermTrace(feature=term.feature, matched=matched, why=why, expressions=(*traces, *names))


def _describe(found: Found, expressions: Named) -> str:
    """How much there is where that is all that is asked; of instances, how many are as all expressions ask."""
    if found.names_exist:
        return "" if expressions else _count(len(found.names), "name")
    instances = found.instances or ()
    if not expressions:
        return _count(len(instances), "instance")
    hits = sum(instance_holds(expressions, one) for one in instances)
    return f"{hits} of {_count(len(instances), 'instance')}"


def _count(number: int, what: str) -> str:
    return f"{number} {what}" if number == 1 else f"{number} {what}s"


def _trace_expression(name: str, expression: Expression, found: Found) -> ExpressionTrace:
    try:
        held, seen = (
            _see_element(name, expression, found) if found.names_exist else _see_instances(name, expression, found)
        )
    except RuleError as error:
        return ExpressionTrace(
            name=name, asks=_asks(expression), holds=None, seen=error.message.removeprefix(f"{name}: ")
        )
    return ExpressionTrace(name=name, asks=_asks(expression), holds=held, seen=seen)


def _see_element(name: str, expression: Expression, found: Found) -> tuple[bool, str]:
    held = match_element(name, expression, found) is not None
    if name in (found.attributes or {}):
        return held, _crop((found.attributes or {})[name])
    if name in (found.flags or ()):
        return held, "is there" if held else "is there, as a flag without a value"
    return held, f"is not there{suggest(name, found.names)}"


def _see_instances(name: str, expression: Expression, found: Found) -> tuple[bool, str]:
    instances = found.instances or ()
    hits = sum(holds(expression, name in one, one.get(name)) for one in instances)
    values = Counter(one[name] for one in instances if name in one)
    shown = [f"{_crop(value)} ({count})" for value, count in sorted(values.items(), key=_most_first)]
    return hits > 0, f"{hits} of {_count(len(instances), 'instance')}; {_some(shown) or 'none has it'}"


def _most_first(entry: tuple[str, int]) -> tuple[int, str]:
    return -entry[1], entry[0]


def _trace_names(expression: Expression, found: Found) -> ExpressionTrace:
    names = found.names or sorted({name for one in found.instances or () for name in one})
    try:
        hits = [name for name in names if holds(expression, True, name)]
    except RuleError as error:
        return ExpressionTrace(name="", asks=_asks(expression), holds=None, seen=error.message)
    seen = f"{len(hits)} of {_count(len(names), 'name')}" + (f": {_some(hits)}" if hits else "")
    return ExpressionTrace(name="", asks=_asks(expression), holds=bool(hits), seen=seen)


def _asks(expression: Expression) -> str:
    kind = f" ({expression.type})" if expression.type else ""
    return f"{expression.op or 'anything'} {', '.join(map(_crop, expression.value))}".rstrip() + kind


def _some(shown: Sequence[str]) -> str:
    more = f" and {len(shown) - _SHOWN} more" if len(shown) > _SHOWN else ""
    return ", ".join(shown[:_SHOWN]) + more


def _crop(text: str) -> str:
    return repr(text if len(text) <= _LONG else f"{text[:_LONG]}...")
