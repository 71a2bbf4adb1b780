"""All rules on one node's features. What a rule made is seen by those after it as the feature `rule.matched`.

Objects are evaluated in the order of their names, bytewise, and the rules of each in the order they stand. Of two that make the same
output the later one wins. A rule that fails keeps what it made before, where the outcome before is given.
"""

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

from nfd_lite.rules.expand import expand
from nfd_lite.rules.expression import RuleError
from nfd_lite.rules.match import Matched, match_rule
from nfd_lite.rules.model import Made, Outcome, Rule, RuleId, RuleProblem, RuleSet
from nfd_lite.rules.outputs import Asked, OutputPolicy, make_outputs
from node_core.domain.features import Attributes, Features
from node_core.domain.taints import Taint

MATCHED = "rule.matched"


@dataclass(frozen=True, slots=True, kw_only=True)
class Step:
    """One rule's turn. features: what it saw.

    matches: None when it did not match, or failed. made: None when it failed and nothing of before stands in.
    """

    id: RuleId
    rule: Rule
    features: Features
    matches: tuple[Matched, ...] | None
    made: Made | None
    problems: tuple[RuleProblem, ...]


def evaluate(
    sets: Iterable[RuleSet], features: Features, policy: OutputPolicy | None = None, before: Outcome | None = None
) -> Outcome:
    """What the rules of NodeFeatureRule objects make of a node. before: what they made at the last look, for those that fail now."""
    return gather(run_rules(in_order(sets), features, policy or OutputPolicy(), before or Outcome()))


def in_order(sets: Iterable[RuleSet]) -> tuple[RuleSet, ...]:
    """As objects are evaluated: by name, bytewise."""
    return tuple(sorted(sets, key=lambda each: each.name.encode(errors="surrogatepass")))


def run_rules(sets: Sequence[RuleSet], features: Features, policy: OutputPolicy, before: Outcome) -> Iterator[Step]:
    """One step for each rule, in the order given."""
    seen, names = features, Counter[RuleId]()
    for each in sets:
        for rule in each.rules:
            names[each.name, rule.name] += 1
            count = names[each.name, rule.name]
            id_ = (each.name, rule.name if count == 1 else f"{rule.name} ({count})")
            step = _take_step(id_, rule, seen, policy, before)
            yield step
            if step.made is not None:
                seen = _with_matched(seen, step.made.matched)


def _with_matched(features: Features, matched: Attributes) -> Features:
    known = features.attributes.get(MATCHED, {})
    return replace(features, attributes={**features.attributes, MATCHED: {**known, **matched}})


def _take_step(id_: RuleId, rule: Rule, features: Features, policy: OutputPolicy, before: Outcome) -> Step:
    try:
        matches, asked = apply_rule(rule, features)
    except RuleError as error:
        whys = rule.problems or (error.message,)
        problems = tuple(RuleProblem(set_name=id_[0], rule=id_[1], why=why) for why in whys)
        return Step(id=id_, rule=rule, features=features, matches=None, made=before.made.get(id_), problems=problems)
    made, refused = (Made(), ()) if asked is None else make_outputs(asked, features.attributes, policy)
    problems = tuple(RuleProblem(set_name=id_[0], rule=id_[1], why=each.why, key=each.key) for each in refused)
    return Step(id=id_, rule=rule, features=features, matches=matches, made=made, problems=problems)


def gather(steps: Iterable[Step]) -> Outcome:
    """What all steps made together."""
    taken = tuple(steps)
    made = {step.id: step.made for step in taken if step.made is not None}
    whole = join(step.made for step in taken if step.made is not None)
    return Outcome(
        labels=whole.labels,
        annotations=whole.annotations,
        taints=whole.taints,
        extended_resources=whole.extended_resources,
        problems=tuple(problem for step in taken for problem in step.problems),
        made=made,
    )


def join(parts: Iterable[Made]) -> Made:
    """Later parts win."""
    parts = tuple(parts)
    taints: dict[tuple[str, str], Taint] = {taint.place: taint for part in parts for taint in part.taints}
    return Made(
        labels=_merge(part.labels for part in parts),
        annotations=_merge(part.annotations for part in parts),
        taints=tuple(sorted(taints.values())),
        extended_resources=_merge(part.extended_resources for part in parts),
        vars=_merge(part.vars for part in parts),
        matched=_merge(part.matched for part in parts),
    )


def _merge(maps: Iterable[Mapping[str, str]]) -> dict[str, str]:
    return dict(sorted({key: value for each in maps for key, value in each.items()}.items()))


def apply_rule(rule: Rule, features: Features) -> tuple[tuple[Matched, ...] | None, Asked | None]:
    """What a rule matched and asks for; None and None when it does not match. Raises RuleError."""
    if rule.problems:
        raise RuleError(rule.problems[0])
    matches = match_rule(rule, features)
    if matches is None:
        return None, None
    labels = {**expand(rule.labels_template, matches, field="labelsTemplate"), **rule.labels}
    vars_ = {**expand(rule.vars_template, matches, field="varsTemplate"), **rule.vars}
    return matches, Asked(rule=rule, labels=labels, vars=vars_)
