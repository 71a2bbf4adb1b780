"""The evaluation of each rule on this host: which labels the rule sets, and why the rule does not match."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from gpunode.labels.agents import Agents
from gpunode.labels.rule_objects import Objects
from nfd_lite.label_keys import qualify_keys
from nfd_lite.rule_pass import CUSTOM
from nfd_lite.rules.custom import BUILT_IN_RULES
from nfd_lite.rules.custom_files import read_custom_dir
from nfd_lite.rules.decode import decode_rule_set
from nfd_lite.rules.evaluate import EvaluationContext, identify_rules, required_features, sort_rule_sets
from nfd_lite.rules.explain import GroupTrace, RuleTrace, TermTrace, trace
from nfd_lite.rules.model import Rule, RuleSet
from node_core.errors import SettingsError
from node_core.values import replace

CLUSTER = "rules"
"""The collector of NodeFeatureRules."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RuleView:
    """collector: the collector of the agent that publishes the outputs of the rule."""

    collector: str
    rule: Rule
    trace: RuleTrace

    @property
    def name(self) -> str:
        return f"{self.trace.set_name} / {self.trace.rule}"

    @property
    def is_built_in(self) -> bool:
        return self.trace.set_name == BUILT_IN_RULES.name

    def declares(self, key: str) -> bool:
        """Returns whether the rule names the label. A template may set labels that the rule does not name."""
        return key in qualify_keys(self.rule.labels)


def view_rules(agents: Agents) -> tuple[tuple[RuleView, ...], tuple[str, ...]]:
    """Returns all rules in the order of evaluation, and a sentence for each file and object that cannot be decoded."""
    settings = agents.nfd_settings.rules
    files = read_custom_dir(agents.dependencies.root, folder=settings.custom_dir)
    decoded, problems = _decode(agents.rules.objects)
    context = EvaluationContext(
        features=agents.features, policy=settings.policy, unavailable_features=agents.unread_features
    )
    views = (
        *_view(CUSTOM, (BUILT_IN_RULES, *settings.configured, *files.sets), context),
        *_view(CLUSTER, sort_rule_sets(decoded), context),
    )
    return views, (*(each.why for each in files.problems), *problems)


def _decode(objects: Objects) -> tuple[list[RuleSet], tuple[str, ...]]:
    decoded: list[RuleSet] = []
    problems: list[str] = []
    for name, obj in objects.items():
        try:
            decoded.append(replace(decode_rule_set(obj, name), name=name))
        except SettingsError as error:
            problems += error.problems
    return decoded, tuple(problems)


def _view(collector: str, sets: Iterable[RuleSet], context: EvaluationContext) -> Iterator[RuleView]:
    sets = tuple(sets)
    rules = [rule for each in identify_rules(sets) for _, rule in each]
    for rule, traced in zip(rules, trace(sets, context), strict=True):
        yield RuleView(collector=collector, rule=rule, trace=traced)


def find_missing_features(view: RuleView, unavailable: frozenset[str]) -> list[str]:
    """Returns the features that the rule needs and that could not be read. unavailable: names in lower case."""
    return sorted(unavailable.intersection(required_features(view.rule)))


def describe_mismatch(traced: RuleTrace) -> list[str]:
    """Returns a sentence for each condition that is not met, with the value of the host."""
    groups = [("", traced.match_features)] if traced.match_features else []
    if not any(group.matched for group in traced.match_any):
        groups += [(f"matchAny[{number}]: ", group) for number, group in enumerate(traced.match_any)]
    return [f"{where}{why}" for where, group in groups for why in _describe_group(group)]


def _describe_group(group: GroupTrace) -> Iterator[str]:
    return (why for term in group.terms if term.matched is not True for why in _describe_term(term))


def _describe_term(term: TermTrace) -> Iterator[str]:
    failed = [each for each in term.expressions if each.matched is not True]
    for each in failed:
        yield f"not met: {term.feature} {each.name or 'matchName'} {each.condition}. Observed: {each.observed}"
    if not failed:
        yield f"not met: {term.feature}. Observed: {term.why}"
