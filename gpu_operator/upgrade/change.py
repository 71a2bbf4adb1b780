"""Renders a decision as one patch of the Node. PURE. Source: RFC 7396, JSON Merge Patch; Kubernetes API conventions, resourceVersion.

Label, annotations and `spec.unschedulable` change in one request, so the death of the controller leaves none of them without the others.
"""

from typing import Any

from gpu_operator.upgrade.decide import TIMED
from gpu_operator.upgrade.decision import Decision
from gpu_operator.upgrade.facts import NodeFacts
from gpu_operator.upgrade.keys import CORDONED, PROGRESS, REASON, STATE, WAS_UNSCHEDULABLE, State
from gpu_operator.upgrade.progress import Progress, render_progress
from node_core.domain.events import shorten

Patch = dict[str, Any]
NOT_STARTED = (State.UNKNOWN, State.REQUIRED, State.DONE)


def render_change(node: NodeFacts, decision: Decision, now: float) -> Patch | None:
    """Returns the JSON merge patch, or None if the Node needs no write. now: Unix seconds."""
    target = decision.state
    if target is State.UNKNOWN or (node.is_skipped and node.state in NOT_STARTED):
        return None
    labels: dict[str, str | None] = {} if node.label == target else {STATE: target.value}
    annotations: dict[str, str | None] = {}
    if labels or _needs_date(node, target, now):
        annotations[PROGRESS] = render_progress(Progress(state=target, since=now, revision=node.revision))
    if labels and (node.reason or target is State.FAILED):
        annotations[REASON] = shorten(decision.reason) if target is State.FAILED else None
    unschedulable = (
        _cordon(node, annotations) if decision.cordons else _uncordon(node, annotations) if decision.uncordons else None
    )
    return _render(node, labels, annotations, unschedulable)


def render_release(node: NodeFacts) -> Patch | None:
    """Returns the patch that removes all traces of the upgrade from a Node, or None if there are none."""
    if node.progress is None and not node.is_cordoned:
        return None
    labels: dict[str, str | None] = {} if node.label is None else {STATE: None}
    annotations = _absent(node, CORDONED, WAS_UNSCHEDULABLE, REASON)
    annotations[PROGRESS] = None
    return _render(node, labels, annotations, False if node.is_cordoned else None)


def _needs_date(node: NodeFacts, target: State, now: float) -> bool:
    """True if nothing valid says since when the Node is in its state. A time in the future comes from a clock that jumped."""
    progress = node.progress
    return progress is None or progress.state is not target or (target in TIMED and progress.since > now)


def _cordon(node: NodeFacts, annotations: dict[str, str | None]) -> bool | None:
    if node.is_cordoned and node.is_unschedulable:
        return None
    if node.is_unschedulable:
        annotations[WAS_UNSCHEDULABLE] = "true"
        return None
    annotations[CORDONED] = "true"
    annotations.update(_absent(node, WAS_UNSCHEDULABLE))
    return True


def _uncordon(node: NodeFacts, annotations: dict[str, str | None]) -> bool | None:
    """The upgrade also uncordons a Node that another upgrade controller cordoned, which records only the opposite."""
    annotations.update(_absent(node, CORDONED, WAS_UNSCHEDULABLE))
    return False if node.is_unschedulable and (node.is_cordoned or not node.was_unschedulable) else None


def _absent(node: NodeFacts, *keys: str) -> dict[str, str | None]:
    """Returns the removal of those of the annotations that the Node has."""
    present = {CORDONED: node.is_cordoned, WAS_UNSCHEDULABLE: node.was_unschedulable, REASON: bool(node.reason)}
    return {key: None for key in keys if present[key]}


def _render(
    node: NodeFacts, labels: dict[str, str | None], annotations: dict[str, str | None], unschedulable: bool | None
) -> Patch | None:
    if not labels and not annotations and unschedulable is None:
        return None
    metadata: Patch = {"resourceVersion": node.resource_version}
    metadata |= {"labels": labels} if labels else {}
    metadata |= {"annotations": annotations} if annotations else {}
    return {"metadata": metadata, **({} if unschedulable is None else {"spec": {"unschedulable": unschedulable}})}
