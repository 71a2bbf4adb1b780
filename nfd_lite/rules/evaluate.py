"""Evaluates rules on the features of one node. Later rules see the labels and variables of earlier rules as the feature `rule.matched`.

Rules of NodeFeatureRule objects are evaluated in bytewise order of the object names, and in the order of the list in each object. If two
rules publish the same output, the later rule wins. A rule that fails retains its previous outputs, if they are known.
"""

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping

import msgspec

from nfd_lite.rules.expand import expand
from nfd_lite.rules.expression import RuleError
from nfd_lite.rules.match import Match, match_rule
from nfd_lite.rules.model import Outcome, Rule, RuleId, RuleOutputs, RuleProblem, RuleSet
from nfd_lite.rules.outputs import ExpandedRule, OutputPolicy, build_outputs, is_reference
from nfd_lite.rules.work import (
    CHARACTERS_PER_STEP,
    STEPS_PER_OUTPUT,
    WorkBudget,
    WorkError,
    WorkLimits,
    matching_steps,
    text_steps,
)
from node_core.domain.features import Attributes, Features
from node_core.domain.taints import Taint
from node_core.values import replace

RULE_MATCHED = "rule.matched"


class Step(msgspec.Struct, frozen=True, kw_only=True):
    """The evaluation of one rule. features: the features that the rule saw.

    matches: None if the rule did not match or failed. outputs: None if the rule was not evaluated and its previous outputs are not known.
    is_deferred: a feature of the rule cannot be read, or the work budget is exceeded.
    """

    id: RuleId
    rule: Rule
    features: Features
    matches: tuple[Match, ...] | None = None
    outputs: RuleOutputs | None
    problems: tuple[RuleProblem, ...] = ()
    is_deferred: bool = False


class EvaluationContext(msgspec.Struct, frozen=True, kw_only=True):
    """The input of an evaluation, in addition to the rules. previous: the last outcome in this process; None before the first evaluation.

    unavailable_features: names, in lower case, of features that could not be read, or only in part.
    """

    features: Features
    policy: OutputPolicy = msgspec.field(default_factory=OutputPolicy)
    previous: Outcome | None = None
    unavailable_features: frozenset[str] = frozenset()
    limits: WorkLimits = msgspec.field(default_factory=WorkLimits)

    def previous_outputs(self, id_: RuleId) -> RuleOutputs | None:
        """Returns the previous outputs of a rule that cannot be evaluated; None if they are not known. A new rule has no outputs."""
        if self.previous is None:
            return None
        if id_ in self.previous.outputs:
            return self.previous.outputs[id_]
        return None if id_ in self.previous.failed | self.previous.deferred else RuleOutputs()


def evaluate(sets: Iterable[RuleSet], context: EvaluationContext) -> Outcome:
    """Evaluates the rules of NodeFeatureRule objects."""
    return combine_steps(run_rules(sort_rule_sets(sets), context))


def sort_rule_sets(sets: Iterable[RuleSet]) -> tuple[RuleSet, ...]:
    """Sorts objects by name, bytewise, which is the order of evaluation."""
    return tuple(sorted(sets, key=lambda each: each.name.encode(errors="surrogatepass")))


def run_rules(sets: Iterable[RuleSet], context: EvaluationContext) -> Iterator[Step]:
    """Yields one step for each rule, in the given order."""
    features, budget = context.features, WorkBudget(context.limits)
    for rules in identify_rules(sets):
        budget.start_object()
        for id_, rule in rules:
            step = _evaluate_rule(id_, rule, features, context, budget)
            yield step
            if step.outputs is not None:
                features = _with_matched(features, step.outputs.matched)


def identify_rules(sets: Iterable[RuleSet]) -> Iterator[list[tuple[RuleId, Rule]]]:
    """Yields the rules of each set with their ids."""
    names = Counter[tuple[str, str]]()
    for each in sets:
        rules: list[tuple[RuleId, Rule]] = []
        for rule in each.rules:
            names[each.name, rule.name] += 1
            rules.append((RuleId(each.name, rule.name, names[each.name, rule.name]), rule))
        yield rules


def _with_matched(features: Features, matched: Attributes) -> Features:
    known = features.attributes.get(RULE_MATCHED)
    if known is not None and not matched:
        return features
    return replace(features, attributes={**features.attributes, RULE_MATCHED: {**(known or {}), **matched}})


def _evaluate_rule(id_: RuleId, rule: Rule, features: Features, context: EvaluationContext, budget: WorkBudget) -> Step:
    unavailable = context.unavailable_features
    must_wait = not rule.problems and not unavailable.isdisjoint(required_features(rule))
    if budget.is_exhausted or must_wait:
        return Step(id=id_, rule=rule, features=features, outputs=context.previous_outputs(id_), is_deferred=True)
    try:
        matches, expanded = apply_rule(rule, features, budget)
    except RuleError as error:
        whys = (error.message,) if isinstance(error, WorkError) else rule.problems or (error.message,)
        problems = tuple(RuleProblem(set_name=id_.set_name, rule=id_.shown, why=why) for why in whys)
        return Step(id=id_, rule=rule, features=features, outputs=context.previous_outputs(id_), problems=problems)
    if expanded is None:
        return Step(id=id_, rule=rule, features=features, outputs=RuleOutputs(), problems=_warnings(id_, rule))
    outputs, refused = build_outputs(expanded, features.attributes, context.policy)
    problems = tuple(RuleProblem(set_name=id_.set_name, rule=id_.shown, why=each.why, key=each.key) for each in refused)
    problems += _warnings(id_, rule)
    return Step(id=id_, rule=rule, features=features, matches=matches, outputs=outputs, problems=problems)


def _warnings(id_: RuleId, rule: Rule) -> tuple[RuleProblem, ...]:
    """Returns the mistakes of a rule that could be evaluated on this node."""
    whys = (*rule.latent_problems, *rule.warnings)
    return tuple(RuleProblem(set_name=id_.set_name, rule=id_.shown, why=why, is_warning=True) for why in whys)


def required_features(rule: Rule) -> Iterator[str]:
    """Yields the names of the features that a rule reads, in lower case."""
    yield from (term.feature.lower() for term in rule.terms)
    yield from (".".join(parts[:2]).lower() for parts in references(rule))


def references(rule: Rule) -> Iterator[list[str]]:
    """Yields domain, feature and element of each value `@domain.feature.element`."""
    values = (*rule.labels.values(), *rule.extended_resources.values())
    return (value[1:].split(".", 2) for value in values if is_reference(value))


def dependent_rules(outcome: Outcome, salvaged: Iterable[Rule] = (), *, is_known: bool = True) -> dict[RuleId, Rule]:
    """Returns the evaluated rules whose result depends on `rule.matched` entries of rules with unknown outputs.

    salvaged: see salvage_rule. is_known: False if there are unknown rules, any of which may set any entry.
    """
    missing: set[str] | None = set() if is_known else None
    for rule in salvaged:
        missing = _add_matched(missing, rule)
    dependent: dict[RuleId, Rule] = {}
    unknown = outcome.unknown
    for id_, rule in outcome.rules.items():
        if id_ not in unknown and not _reads_matched(rule, missing):
            continue
        missing = _add_matched(missing, rule)
        if id_ not in unknown:
            dependent[id_] = rule
    return dependent


def _add_matched(names: set[str] | None, rule: Rule) -> set[str] | None:
    """Adds the entries of `rule.matched` that a rule may set. None: any entry."""
    is_bounded = names is not None and not (rule.labels_template or rule.vars_template)
    return {*(names or ()), *rule.labels, *rule.vars} if is_bounded else None


def _reads_matched(rule: Rule, names: set[str] | None) -> bool:
    """Returns whether a rule reads one of these entries of `rule.matched`. names: None for any entry."""
    terms = [term for term in rule.terms if term.feature.lower() == RULE_MATCHED]
    read = [parts[2:] for parts in references(rule) if ".".join(parts[:2]).lower() == RULE_MATCHED]
    if names is None:
        return bool(terms or read)
    if any(term.match_name is not None or not term.match_expressions for term in terms):
        return bool(names)
    elements = {name for term in terms for name in term.match_expressions or ()}
    return not names.isdisjoint({*elements, *(element for parts in read for element in parts)})


def combine_steps(steps: Iterable[Step]) -> Outcome:
    """Combines all steps. No step is stored, because each step refers to all features that its rule saw."""
    outputs: dict[RuleId, RuleOutputs] = {}
    problems: list[RuleProblem] = []
    failed: set[RuleId] = set()
    deferred: set[RuleId] = set()
    rules: dict[RuleId, Rule] = {}
    for step in steps:
        problems += step.problems
        rules[step.id] = step.rule
        if any(problem.is_failure for problem in step.problems):
            failed.add(step.id)
        if step.is_deferred:
            deferred.add(step.id)
        if step.outputs is not None:
            outputs[step.id] = step.outputs
    each = tuple(outputs.values())
    taints: dict[tuple[str, str], Taint] = {taint.identity: taint for one in each for taint in one.taints}
    return Outcome(
        labels=_merge(one.labels for one in each),
        annotations=_merge(one.annotations for one in each),
        taints=tuple(sorted(taints.values())),
        extended_resources=_merge(one.extended_resources for one in each),
        problems=tuple(problems),
        outputs=outputs,
        failed=frozenset(failed),
        deferred=frozenset(deferred),
        rules=rules,
    )


def _merge(maps: Iterable[Mapping[str, str]]) -> dict[str, str]:
    return dict(sorted({key: value for each in maps for key, value in each.items()}.items()))


def apply_rule(
    rule: Rule, features: Features, budget: WorkBudget
) -> tuple[tuple[Match, ...] | None, ExpandedRule | None]:
    """Matches a rule and expands its templates. Returns None and None if the rule does not match. Raises RuleError."""
    if rule.problems:
        raise RuleError(rule.problems[0])
    budget.spend(matching_steps(rule, features, budget))
    matches = match_rule(rule, features)
    if matches is None:
        return None, None
    labels = {**expand(rule.labels_template, matches, field="labelsTemplate", spend=budget.spend), **rule.labels}
    vars_ = {**expand(rule.vars_template, matches, field="varsTemplate", spend=budget.spend), **rule.vars}
    budget.spend(
        _output_steps(rule, labels, vars_) + len(features.attributes.get(RULE_MATCHED, ())) // CHARACTERS_PER_STEP
    )
    return matches, ExpandedRule(rule=rule, labels=labels, vars=vars_)


def _output_steps(rule: Rule, *expanded: Mapping[str, str]) -> int:
    count = len(rule.taints) + sum(map(len, (*expanded, rule.annotations, rule.extended_resources)))
    return STEPS_PER_OUTPUT * count + text_steps(*rule.annotations.values())
