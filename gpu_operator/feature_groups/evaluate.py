"""Applies the rules of one group to the features of one Node. PURE.

If a rule needs a value that is not known, the rule is evaluated twice: once as if the conditions on unknown values were false, and once as
if they were true. Only if both results differ, the result is not known.
"""

from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass

from gpu_operator.feature_groups.values import FeatureValue
from nfd_lite.rules.evaluate import RULE_MATCHED, apply_rule
from nfd_lite.rules.expression import RuleError
from nfd_lite.rules.match import match_term
from nfd_lite.rules.model import Op, Rule, Term
from nfd_lite.rules.work import WorkBudget, WorkError
from node_core.domain.features import Attributes, Features
from node_core.values import replace

NEVER = Term(feature="")
"""A condition that is false: no feature has this name."""
Read = Mapping[str, FeatureValue | None]
"""Feature, in lower case -> its value on a Node; None if the Node does not have the feature."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Verdict:
    """Whether a Node belongs to a group.

    is_member: a rule matches. unknown: the features without which the result is not known. problems: rule and reason of each rule that
    failed. Both are only relevant if no rule matches.
    """

    is_member: bool = False
    unknown: frozenset[str] = frozenset()
    problems: tuple[tuple[str, str], ...] = ()


def read_features(rules: Iterable[Rule]) -> tuple[str, ...]:
    """Returns the names, in lower case, of the features that the rules read. Sorted."""
    return tuple(sorted({term.feature.lower() for rule in rules for term in rule.terms} - {RULE_MATCHED}))


def evaluate(rules: Iterable[Rule], read: Read, budget: WorkBudget) -> Verdict:
    """read: every feature of `read_features`. Raises WorkError if the budget is exceeded."""
    features = _features(read)
    unknown, problems = set[str](), list[tuple[str, str]]()
    matched: Attributes | None = None
    is_member = has_unknown_vars = False
    for rule in rules:
        present = (
            replace(features, attributes={**features.attributes, RULE_MATCHED: matched})
            if matched is not None
            else features
        )
        doubtful = [term for term in rule.terms if _is_doubtful(term, read, present, has_unknown_vars)]
        try:
            is_known, vars_ = _apply(rule, doubtful, present, budget)
        except WorkError:
            raise
        except RuleError as error:
            problems += ((rule.name, why) for why in rule.problems or (error.message,))
            is_known, vars_ = False, None
        else:
            unknown |= set() if is_known else {term.feature.lower() for term in doubtful}
            matched = {**(matched or {}), **(vars_ or {})}
        has_unknown_vars |= (_sets_vars(rule) and not is_known) or bool(doubtful and rule.vars_template)
        is_member |= vars_ is not None
    return Verdict(is_member=is_member, unknown=frozenset(unknown), problems=tuple(problems))


def _apply(
    rule: Rule, doubtful: Collection[Term], features: Features, budget: WorkBudget
) -> tuple[bool, Attributes | None]:
    """Returns whether the result is known, and the variables of a rule that matches; None if it does not match. Raises RuleError."""
    _, expanded = apply_rule(_with_terms(rule, doubtful, NEVER) if doubtful else rule, features, budget)
    if expanded is not None or not doubtful:
        return True, None if expanded is None else expanded.vars
    matches, _ = apply_rule(replace(_with_terms(rule, doubtful, None), vars_template=""), features, budget)
    return matches is None, None


def _with_terms(rule: Rule, doubtful: Collection[Term], otherwise: Term | None) -> Rule:
    """Replaces the doubtful conditions. None: removes them, as if they were true."""

    def replaced(terms: tuple[Term, ...]) -> Iterator[Term]:
        for term in terms:
            if not any(term is each for each in doubtful):
                yield term
            elif otherwise is not None:
                yield otherwise

    groups = tuple(tuple(replaced(group)) for group in rule.match_any)
    return replace(rule, match_features=tuple(replaced(rule.match_features)), match_any=groups)


def _is_doubtful(term: Term, read: Read, features: Features, has_unknown_vars: bool) -> bool:
    """Returns whether it is not known if a condition is true."""
    name = term.feature.lower()
    if name == RULE_MATCHED:
        return has_unknown_vars
    value = read[name]
    if value is None or not value.is_partial:
        return False
    if term.match_name is not None:
        return True
    expressions = term.match_expressions
    if value.instances is not None:
        return not _matches(term, features) or any(
            each.op == Op.DOES_NOT_EXIST for each in (expressions or {}).values()
        )
    known = {*(value.flags or ()), *(value.attributes or ())}
    return not known or not (expressions or {}).keys() <= known


def _matches(term: Term, features: Features) -> bool:
    try:
        return match_term(term, features) is not None
    except RuleError:
        return False


def _sets_vars(rule: Rule) -> bool:
    return bool(rule.vars or rule.vars_template)


def _features(read: Read) -> Features:
    known = {name: value for name, value in read.items() if value is not None}
    return Features(
        flags={name: each.flags for name, each in known.items() if each.flags is not None},
        attributes={name: each.attributes for name, each in known.items() if each.attributes is not None},
        instances={name: each.instances for name, each in known.items() if each.instances is not None},
    )
