"""Taints that an agent owns on a Node. PURE. Source: Kubernetes API v1 Taint.

Every writer replaces the whole list `spec.taints`, and Kubernetes stores no owner of a taint. So each agent records its taints in its
own annotation of the Node, and removes only recorded taints. The agents do not use NFD's annotation `nfd.node.kubernetes.io/taints`,
because nfd-master removes all taints in this annotation that its own rules do not set.
"""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Literal, get_args

import msgspec

GFD_TAINTS_ANNOTATION = "gpunode.nvidia.com/taints"
"""Records the taints of gfd: `key[=value]:Effect`, sorted and separated by commas. There is no annotation without taints.

Only old versions of gfd set taints. Since then NodeFeatureRules can match the labels of gfd.
"""
RULE_TAINTS_ANNOTATION = "gpunode.nvidia.com/rule-taints"
"""Records the taints of NodeFeatureRules, in the same format."""

Effect = Literal["NoSchedule", "PreferNoSchedule", "NoExecute"]
EFFECTS: tuple[str, ...] = get_args(Effect)

TaintId = tuple[str, str]
"""Key and effect. A Node has at most one taint for each key and effect."""
LiveTaint = Mapping[str, Any]
"""A taint of the API, with `timeAdded` and all other fields."""


class Taint(msgspec.Struct, frozen=True, kw_only=True, order=True):
    key: str
    value: str = ""
    effect: str

    @property
    def identity(self) -> TaintId:
        return self.key, self.effect

    def __str__(self) -> str:
        return f"{self.key}={self.value}:{self.effect}" if self.value else f"{self.key}:{self.effect}"


class TaintPlan(msgspec.Struct, frozen=True, kw_only=True):
    """taints: the whole new list, with the taints of others unchanged and in their order. owned: the taints of this agent in the list."""

    taints: tuple[LiveTaint, ...]
    owned: frozenset[Taint]


def owned_taints(observed: Sequence[LiveTaint], recorded: frozenset[Taint]) -> dict[TaintId, Taint]:
    """Returns the taints of an agent on the Node. recorded: the taints in the annotation of the agent."""
    return {taint.identity: taint for taint in map(parse_taint, observed) if taint in recorded}


def plan_taints(
    observed: Sequence[LiveTaint], desired: Mapping[TaintId, Taint], recorded: frozenset[Taint]
) -> TaintPlan | None:
    """Returns the list to write, or None without changes.

    recorded: the taints in the annotation of the agent. A taint on the Node belongs to the agent if it is recorded with the same value.
    All other taints are foreign. A foreign taint with the key and effect of a desired taint is not replaced.
    """
    targets = dict(desired)
    taints: list[LiveTaint] = []
    owned: set[Taint] = set()
    for each in observed:
        taint = parse_taint(each)
        target = targets.pop(taint.identity, None)
        if taint not in recorded:
            taints.append(each)
        elif target is not None:
            taints.append(each if target == taint else render_taint(target))
            owned.add(target)
    taints += [render_taint(target) for target in targets.values()]
    owned |= set(targets.values())
    plan = TaintPlan(taints=tuple(taints), owned=frozenset(owned))
    return None if list(plan.taints) == list(observed) and plan.owned == recorded else plan


def blocked_taints(
    observed: Sequence[LiveTaint], desired: Mapping[TaintId, Taint], recorded: frozenset[Taint]
) -> tuple[Taint, ...]:
    """Returns the desired taints for which a foreign taint has the same key and effect with another value."""
    foreign = {taint.identity: taint for taint in map(parse_taint, observed) if taint not in recorded}
    return tuple(taint for identity, taint in sorted(desired.items()) if foreign.get(identity, taint) != taint)


def parse_taint(observed: LiveTaint) -> Taint:
    return Taint(key=observed.get("key", ""), value=observed.get("value") or "", effect=observed.get("effect", ""))


def render_taint(taint: Taint) -> dict[str, str]:
    value = {"value": taint.value} if taint.value else {}
    return {"key": taint.key, **value, "effect": taint.effect}


def render_taint_annotation(owned: Iterable[Taint]) -> str:
    return ",".join(map(str, sorted(owned)))


def parse_taint_annotation(text: str) -> frozenset[Taint]:
    """Parses the annotation. Ignores each part that `render_taint_annotation` would not write in the same way."""
    parsed = {part: _parse_taint(part) for part in text.split(",")}
    return frozenset(taint for part, taint in parsed.items() if taint.effect in EFFECTS and str(taint) == part)


def _parse_taint(text: str) -> Taint:
    head, _, effect = text.rpartition(":")
    key, _, value = head.partition("=")
    return Taint(key=key, value=value, effect=effect)


def render_taint_patch(
    plan: TaintPlan, *, taints_annotation: str, version: str, tainted: bool, annotations: Mapping[str, str]
) -> list[dict[str, Any]]:
    """Renders a JSON patch that writes the list and the annotation in one step, if the Node still has this resourceVersion.

    version, tainted, annotations: the resourceVersion of the Node, whether the Node has taints, and its annotations.
    """
    patch: list[dict[str, Any]] = [{"op": "test", "path": "/metadata/resourceVersion", "value": version}]
    if plan.taints:
        patch.append({"op": "add", "path": "/spec/taints", "value": [dict(taint) for taint in plan.taints]})
    elif tainted:
        patch.append({"op": "remove", "path": "/spec/taints"})
    path = f"/metadata/annotations/{taints_annotation.replace('/', '~1')}"
    if plan.owned and not annotations:
        patch.append(
            {
                "op": "add",
                "path": "/metadata/annotations",
                "value": {taints_annotation: render_taint_annotation(plan.owned)},
            }
        )
    elif plan.owned:
        patch.append({"op": "add", "path": path, "value": render_taint_annotation(plan.owned)})
    elif taints_annotation in annotations:
        patch.append({"op": "remove", "path": path})
    return patch
