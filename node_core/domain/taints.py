"""Taints of our own making on a Node, among those of others. PURE. Source: Kubernetes API v1 Taint.

`spec.taints` is one atomic list that everybody writes whole, so what is ours is kept beside it, in an annotation of the Node.
It is an annotation of our own: nfd-master removes what stands in `nfd.node.kubernetes.io/taints` and is not its own wish.
Each agent has one for itself, so that none takes away what another has set.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal, get_args

TAINTS_ANNOTATION = "gpunode.nvidia.com/taints"
"""The taints of premium rules on this Node: `key[=value]:Effect`, sorted, with commas between; absent when there are none."""
RULE_TAINTS_ANNOTATION = "gpunode.nvidia.com/rule-taints"
"""The same for the taints of NodeFeatureRules."""

Effect = Literal["NoSchedule", "PreferNoSchedule", "NoExecute"]
EFFECTS: tuple[str, ...] = get_args(Effect)

LiveTaint = Mapping[str, Any]
"""A taint as the API gives it, with `timeAdded` and whatever else it has."""


@dataclass(frozen=True, slots=True, kw_only=True, order=True)
class Taint:
    """Kubernetes takes one taint of each key and effect."""

    key: str
    value: str = ""
    effect: str

    @property
    def place(self) -> tuple[str, str]:
        """What it competes for: key and effect."""
        return self.key, self.effect

    def __str__(self) -> str:
        return f"{self.key}={self.value}:{self.effect}" if self.value else f"{self.key}:{self.effect}"


@dataclass(frozen=True, slots=True, kw_only=True)
class TaintPlan:
    """taints: the whole new list; those of others as they were and in their order. owned: which of them are ours."""

    taints: tuple[LiveTaint, ...]
    owned: frozenset[Taint]


@dataclass(frozen=True, slots=True, kw_only=True)
class WantedTaints:
    """What the last look decided. partial: it could not see all, so nothing is taken away."""

    taints: tuple[Taint, ...] = ()
    partial: bool = False


def plan_taints(live: Sequence[LiveTaint], wanted: WantedTaints, owned: frozenset[Taint]) -> TaintPlan | None:
    """The list to write, or None when nothing has to change.

    owned: what the annotation says. Ours is a live taint that stands there with its value; one that a person changed is the
    person's from then on. Where a taint of somebody else has the key and effect of a wanted one, equal or not, theirs stays
    and is not ours.
    """
    targets = {taint.place: taint for taint in wanted.taints}
    if wanted.partial:
        targets |= {taint.place: taint for taint in map(taint_of, live) if taint in owned}
    taints: list[LiveTaint] = []
    ours: set[Taint] = set()
    for each in live:
        taint = taint_of(each)
        target = targets.pop(taint.place, None)
        if taint not in owned:
            taints.append(each)
        elif target is not None:
            taints.append(each if target == taint else render_taint(target))
            ours.add(target)
    taints += [render_taint(target) for target in targets.values()]
    ours |= set(targets.values())
    plan = TaintPlan(taints=tuple(taints), owned=frozenset(ours))
    return None if list(plan.taints) == list(live) and plan.owned == owned else plan


def taken_places(live: Sequence[LiveTaint], wanted: WantedTaints, owned: frozenset[Taint]) -> tuple[Taint, ...]:
    """The wanted taints that cannot be set: somebody else's taint has their key and effect with another value."""
    foreign = {taint.place: taint for taint in map(taint_of, live) if taint not in owned}
    return tuple(taint for taint in wanted.taints if foreign.get(taint.place, taint) != taint)


def taint_of(live: LiveTaint) -> Taint:
    return Taint(key=live.get("key", ""), value=live.get("value") or "", effect=live.get("effect", ""))


def render_taint(taint: Taint) -> dict[str, str]:
    """As the API takes it."""
    value = {"value": taint.value} if taint.value else {}
    return {"key": taint.key, **value, "effect": taint.effect}


def render_owned(owned: Iterable[Taint]) -> str:
    """The text of the annotation."""
    return ",".join(map(str, sorted(owned)))


def parse_owned(text: str) -> frozenset[Taint]:
    """The taints of the annotation. What is no taint, or is written otherwise than we write it, claims nothing and is passed over."""
    parsed = {part: _parse_taint(part) for part in text.split(",")}
    return frozenset(taint for part, taint in parsed.items() if taint.effect in EFFECTS and str(taint) == part)


def _parse_taint(text: str) -> Taint:
    head, _, effect = text.rpartition(":")
    key, _, value = head.partition("=")
    return Taint(key=key, value=value, effect=effect)


def render_taint_patch(
    plan: TaintPlan, *, claim: str, version: str, tainted: bool, annotations: Mapping[str, str]
) -> list[dict[str, Any]]:
    """A JSON patch that writes list and annotation as one step, and only to the state of the Node that the plan was made from.

    claim: the annotation that says which are ours. version: that state's resourceVersion. tainted: whether it has taints.
    annotations: those it has.
    """
    patch: list[dict[str, Any]] = [{"op": "test", "path": "/metadata/resourceVersion", "value": version}]
    if plan.taints:
        patch.append({"op": "add", "path": "/spec/taints", "value": [dict(taint) for taint in plan.taints]})
    elif tainted:
        patch.append({"op": "remove", "path": "/spec/taints"})
    path = f"/metadata/annotations/{claim.replace('/', '~1')}"
    if plan.owned and not annotations:
        patch.append({"op": "add", "path": "/metadata/annotations", "value": {claim: render_owned(plan.owned)}})
    elif plan.owned:
        patch.append({"op": "add", "path": path, "value": render_owned(plan.owned)})
    elif claim in annotations:
        patch.append({"op": "remove", "path": path})
    return patch
