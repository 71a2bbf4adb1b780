"""All rules on one node's features. What a rule made is seen by those after it as the feature `rule.matched`.

Objects are evaluated in the order of their names, bytewise, and the rules of each in the order they stand. Of two that make the same
output the later one wins. A rule that fails keeps what it made before, where the outcome before is given.
"""

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace

from nfd_lite.rules.expand import expand
from nfd_lite.rules.expression import RuleError
from nfd_lite.rules.match import Matched, match_rule
from nfd_lite.rules.model import Made, Outcome, Rule, RuleId, RuleProblem, RuleSet
from nfd_lite.rules.outputs import Asked, OutputPolicy, make_outputs
from nfd_lite.rules.work import CHARGE, OUTPUT, Bound, Work, WorkError, matching_steps, text_steps
from node_core.domain.features import Attributes, Features
from node_core.domain.taints import Taint

MATCHED = "rule.matched"


@dataclass(frozen=True, slots=True, kw_only=True)
class Step:
    """One rule's turn. features: what it saw.

    matches: None when it did not match, or failed. made: None when it failed and nothing of before stands in. unsure: it asks for a feature
    that cannot be read, or comes after one that took too much work.
    """

    id: RuleId
    rule: Rule
    features: Features
    matches: tuple[Matched, ...] | None
    made: Made | None
    problems: tuple[RuleProblem, ...] = ()
    unsure: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Look:
    """What a run of rules goes by. before: the outcome of the last one in this process, None for the first.

    unsure: features, in lower case, that could not be read, or not all of them. bound: how much work it may be.
    """

    features: Features
    policy: OutputPolicy = field(default_factory=OutputPolicy)
    before: Outcome | None = None
    unsure: frozenset[str] = frozenset()
    bound: Bound = field(default_factory=Bound)

    def kept(self, id_: RuleId) -> Made | None:
        """What a rule that cannot be evaluated made before; None where nobody knows. A rule that was not there before made nothing."""
        if self.before is None:
            return None
        if id_ in self.before.made:
            return self.before.made[id_]
        return None if id_ in self.before.failed | self.before.unsure else Made()


def evaluate(
    sets: Iterable[RuleSet],
    features: Features,
    policy: OutputPolicy | None = None,
    before: Outcome | None = None,
    unsure: frozenset[str] = frozenset(),
) -> Outcome:
    """What the rules of NodeFeatureRule objects make of a node. before, unsure: see Look."""
    look = Look(features=features, policy=policy or OutputPolicy(), before=before, unsure=unsure)
    return gather(run_rules(in_order(sets), look))


def in_order(sets: Iterable[RuleSet]) -> tuple[RuleSet, ...]:
    """As objects are evaluated: by name, bytewise."""
    return tuple(sorted(sets, key=lambda each: each.name.encode(errors="surrogatepass")))


def run_rules(sets: Sequence[RuleSet], look: Look) -> Iterator[Step]:
    """One step for each rule, in the order given."""
    seen, names, work = look.features, Counter[RuleId](), Work(look.bound)
    for each in sets:
        work.begin()
        for rule in each.rules:
            names[each.name, rule.name] += 1
            count = names[each.name, rule.name]
            id_ = (each.name, rule.name if count == 1 else f"{rule.name} ({count})")
            step = _take_step(id_, rule, seen, look, work)
            yield step
            if step.made is not None:
                seen = _with_matched(seen, step.made.matched)


def _with_matched(features: Features, matched: Attributes) -> Features:
    known = features.attributes.get(MATCHED)
    if known is not None and not matched:
        return features
    return replace(features, attributes={**features.attributes, MATCHED: {**(known or {}), **matched}})


def _take_step(id_: RuleId, rule: Rule, features: Features, look: Look, work: Work) -> Step:
    if work.is_done or (look.unsure and not look.unsure.isdisjoint(_asked_of(rule))):
        return Step(id=id_, rule=rule, features=features, matches=None, made=look.kept(id_), unsure=True)
    try:
        matches, asked = apply_rule(rule, features, work)
    except RuleError as error:
        whys = (error.message,) if isinstance(error, WorkError) else rule.problems or (error.message,)
        problems = tuple(RuleProblem(set_name=id_[0], rule=id_[1], why=why) for why in whys)
        return Step(id=id_, rule=rule, features=features, matches=None, made=look.kept(id_), problems=problems)
    made, refused = (Made(), ()) if asked is None else make_outputs(asked, features.attributes, look.policy)
    problems = tuple(RuleProblem(set_name=id_[0], rule=id_[1], why=each.why, key=each.key) for each in refused)
    return Step(id=id_, rule=rule, features=features, matches=matches, made=made, problems=problems)


def _asked_of(rule: Rule) -> Iterator[str]:
    """The features that a rule looks at, as matching spells them."""
    groups = (rule.match_features, *rule.match_any)
    yield from (term.feature.lower() for group in groups for term in group)
    for value in (*rule.labels.values(), *rule.extended_resources.values()):
        if value.startswith("@"):
            yield ".".join(value[1:].split(".")[:2]).lower()


def gather(steps: Iterable[Step]) -> Outcome:
    """What all steps made together. No step is kept: each knows all the features that it saw."""
    made: dict[RuleId, Made] = {}
    problems: list[RuleProblem] = []
    unsure: set[RuleId] = set()
    for step in steps:
        problems += step.problems
        if step.unsure:
            unsure.add(step.id)
        if step.made is not None:
            made[step.id] = step.made
    whole = join(made.values())
    return Outcome(
        labels=whole.labels,
        annotations=whole.annotations,
        taints=whole.taints,
        extended_resources=whole.extended_resources,
        problems=tuple(problems),
        made=made,
        unsure=frozenset(unsure),
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


def apply_rule(rule: Rule, features: Features, work: Work) -> tuple[tuple[Matched, ...] | None, Asked | None]:
    """What a rule matched and asks for; None and None when it does not match. Raises RuleError."""
    if rule.problems:
        raise RuleError(rule.problems[0])
    work.spend(matching_steps(rule, features, work))
    matches = match_rule(rule, features)
    if matches is None:
        return None, None
    labels = {**expand(rule.labels_template, matches, field="labelsTemplate", spend=work.spend), **rule.labels}
    vars_ = {**expand(rule.vars_template, matches, field="varsTemplate", spend=work.spend), **rule.vars}
    work.spend(_output_steps(rule, labels, vars_) + len(features.attributes.get(MATCHED, ())) // CHARGE)
    return matches, Asked(rule=rule, labels=labels, vars=vars_)


def _output_steps(rule: Rule, *made: Mapping[str, str]) -> int:
    outputs = (*made, rule.annotations, rule.extended_resources)
    return OUTPUT * (len(rule.taints) + sum(map(len, outputs))) + text_steps(*rule.annotations.values())
