"""The status of a group: its Nodes, and a condition that names what cannot be evaluated. PURE.

`status.nodes` is that of Node Feature Discovery. The condition is an addition, which the CRD of Node Feature Discovery does not have.
"""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from gpu_operator.feature_groups.groups import GroupResult, count_problems, count_unknown
from gpu_operator.feature_groups.views import GroupView, StatusView
from nfd_lite.feature_names import FEATURE_NAMES, is_open, suggest_feature
from nfd_lite.rules.model import Rule
from node_core.domain.conditions import Condition
from node_core.domain.events import Event, Reference, event_name, shorten
from node_core.domain.node_feature import API_VERSION

KIND = "NodeFeatureGroup"
EVALUATED = "Evaluated"
COMPLETE, UNKNOWN_FEATURES, WARNINGS = "Complete", "FeaturesUnknown", "RuleWarning"
FAILED, INVALID, STOPPED = "RuleFailed", "InvalidSpec", "EvaluationStopped"
MAX_SHOWN = 3
"""Maximum problems of one kind in the message."""


@dataclass(frozen=True, slots=True, kw_only=True)
class DesiredStatus:
    """nodes: sorted names."""

    nodes: tuple[str, ...]
    condition: Condition

    def is_written(self, observed: StatusView, *, with_condition: bool, generation: int) -> bool:
        """Returns whether a write would change nothing. with_condition: the CRD has conditions."""
        if self.nodes != observed.nodes:
            return False
        present = (observed.conditions or {}).get(EVALUATED, {})
        wanted = (self.condition.status, self.condition.reason, shorten(self.condition.message), generation)
        keys = ("status", "reason", "message", "observedGeneration")
        return not with_condition or tuple(map(present.get, keys)) == wanted


def plan_status(group: GroupView, result: GroupResult) -> DesiredStatus:
    """result: not used if the spec cannot be decoded; then the Nodes do not change."""
    if group.problems:
        condition = _condition(INVALID, group.problems, is_true=False)
        return DesiredStatus(nodes=group.status.nodes, condition=condition)
    return DesiredStatus(nodes=result.members, condition=_assess(group, result))


def _assess(group: GroupView, result: GroupResult) -> Condition:
    failed = [
        f"rule {rule!r} fails on {_nodes(count)}, which do not join or leave because of it: {why}"
        for (rule, why), count in sorted(count_problems(result.verdicts).items())
    ]
    failed = failed or [f"rule {rule.name!r} fails: {why}" for rule in group.rules for why in rule.problems]
    unknown = [
        f"{feature} is not known on {_nodes(count)}, which publish only labels and are not in the group"
        for feature, count in sorted(count_unknown(result.verdicts).items())
    ]
    if result.stopped is not None:
        return _condition(STOPPED, [result.stopped], is_true=False)
    if failed:
        return _condition(FAILED, [*failed[:MAX_SHOWN], *_more(failed), *unknown[:MAX_SHOWN]], is_true=False)
    if unknown:
        hint = "set --publish=node-feature for nfd-lite to publish all features"
        return _condition(UNKNOWN_FEATURES, [*unknown[:MAX_SHOWN], *_more(unknown), hint], is_true=False)
    if warnings := list(_warnings(group.rules)):
        return _condition(WARNINGS, [*warnings[:MAX_SHOWN], *_more(warnings)], is_true=True)
    return _condition(COMPLETE, ["every rule was evaluated on every Node"], is_true=True)


def _warnings(rules: Iterable[Rule]) -> Iterator[str]:
    for rule in rules:
        yield from (f"rule {rule.name!r}: {why}" for why in (*rule.latent_problems, *rule.warnings))
        for name in sorted({term.feature for term in rule.terms}):
            if name.lower() not in FEATURE_NAMES and not is_open(name):
                yield f"rule {rule.name!r}: no source provides the feature {name[:80]!r}{suggest_feature(name)}"


def _condition(reason: str, sentences: Iterable[str], *, is_true: bool) -> Condition:
    return Condition(type=EVALUATED, is_true=is_true, reason=reason, message="; ".join(sentences))


def _nodes(count: int) -> str:
    return "1 Node" if count == 1 else f"{count} Nodes"


def _more(sentences: list[str]) -> Iterator[str]:
    if len(sentences) > MAX_SHOWN:
        yield f"and {len(sentences) - MAX_SHOWN} more"


def render_status(group: GroupView, desired: DesiredStatus, now: str) -> dict[str, Any]:
    """Renders a merge patch of the object. Lists are replaced as a whole. now: RFC 3339."""
    present: Mapping[str, Any] = (group.status.conditions or {}).get(EVALUATED, {})
    is_same = present.get("status") == desired.condition.status
    condition = {
        "type": EVALUATED,
        "status": desired.condition.status,
        "reason": desired.condition.reason,
        "message": shorten(desired.condition.message),
        "observedGeneration": group.generation,
        "lastTransitionTime": present["lastTransitionTime"] if is_same else now,
    }
    others = [each for type_, each in (group.status.conditions or {}).items() if type_ != EVALUATED]
    return {
        "metadata": {"uid": group.uid},
        "status": {"nodes": [{"name": name} for name in desired.nodes], "conditions": [*others, condition]},
    }


def failure_event(group: GroupView, condition: Condition, *, agent: str, at: str) -> Event:
    """Returns the Event for a group that cannot be evaluated. One Event for each spec and reason. at: RFC 3339."""
    return Event(
        name=event_name(group.name, group.uid, group.generation, condition.reason),
        about=Reference(
            api_version=API_VERSION,
            kind=KIND,
            name=group.name,
            namespace=group.namespace,
            uid=group.uid,
            resource_version=group.resource_version,
        ),
        reason=condition.reason,
        note=condition.message,
        at=at,
        agent=agent,
        node_name="",
    )
