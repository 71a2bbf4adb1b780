"""Groups Nodes with the same causes, and describes the causes. PURE."""

from collections.abc import Collection, Sequence
from typing import Any

from gpunode.cluster.fleet import has_gpus
from gpunode.why.causes import (
    NO_DEVICES,
    SELECTED,
    AffinityCause,
    Candidate,
    Cause,
    CauseKind,
    LabelCause,
    ShortageCause,
    TaintCause,
)
from gpunode.why.explanation import NodeGroup, Reason
from gpunode.why.labels import describe_label
from gpunode.why.resources import (
    describe_absence,
    describe_missing_plugin,
    describe_shortage,
    list_holders,
    list_problems,
    select_unhealthy,
)
from node_core.scheduling.objects import Node, Pod

NOT_LABELLED = "has GPUs, but not the label nvidia.com/gpu.present=true, for which the agents wait"
MOST = 3
"""The number of Nodes of a group with details."""
PASSING_TAINTS = {
    "node.kubernetes.io/disk-pressure": "the node has too little free disk space",
    "node.kubernetes.io/memory-pressure": "the node has too little free memory",
    "node.kubernetes.io/pid-pressure": "the node has too many processes",
    "node.kubernetes.io/network-unavailable": "the network of the node is not set up",
    "node.kubernetes.io/out-of-service": "an administrator marked the node as out of service",
    "node.cloudprovider.kubernetes.io/uninitialized": "the cloud provider has not set up the node yet",
    "node.cloudprovider.kubernetes.io/shutdown": "the machine is shut down",
    "nvidia.com/gpu-not-ready": "the GPUs of the node are not registered at the kubelet yet",
}
"""Taints that end by themselves, or after a repair. A toleration would place the Pod on a Node that cannot run it."""


def group_nodes(candidates: Sequence[Candidate], pod: Pod, nearest: Collection[str] = ()) -> tuple[NodeGroup, ...]:
    """Returns the Nodes that are refused, in groups.

    nearest: Nodes to list before others. After them are those with GPUs and the required labels, then those with the fewest reasons.
    """
    groups: dict[tuple[tuple[str, ...], ...], list[Candidate]] = {}
    for each in candidates:
        if each.causes:
            key = tuple((cause.kind, cause.subject, cause.variant) for cause in each.causes)
            groups.setdefault(key, []).append(each)
    ordered = sorted(groups.values(), key=lambda members: _order(members, nearest))
    return tuple(_render_group(members, pod) for members in ordered)


def _order(members: Sequence[Candidate], nearest: Collection[str]) -> tuple[Any, ...]:
    first = members[0]
    is_selected = any(each.variant == SELECTED for each in first.causes)
    is_near = any(each.name in nearest for each in members)
    has_no_devices = any(each.kind in NO_DEVICES for each in first.causes)
    has_other_labels = any(isinstance(each, LabelCause | AffinityCause) for each in first.causes)
    classes = (not is_selected, not is_near, _is_without_gpus(first), has_no_devices, has_other_labels)
    return *classes, len(first.causes), -len(members), first.name


def _is_without_gpus(candidate: Candidate) -> bool:
    return not has_gpus(candidate.node) and not any(each.kind is CauseKind.NOT_LABELLED for each in candidate.causes)


def _render_group(candidates: Sequence[Candidate], pod: Pod) -> NodeGroup:
    causes = zip(*(each.causes for each in candidates), strict=True)
    return NodeGroup(
        nodes=tuple(each.name for each in candidates),
        has_gpus=not _is_without_gpus(candidates[0]),
        reasons=tuple(_render_reason(candidates, same, pod) for same in causes),
    )


def _render_reason(candidates: Sequence[Candidate], causes: Sequence[Cause], pod: Pod) -> Reason:
    """causes: of one kind and subject, in the order of the Nodes."""
    message, details = _describe(candidates, causes, pod)
    return Reason(kind=causes[0].kind, subject=causes[0].subject, message=message, details=details)


def _describe(candidates: Sequence[Candidate], causes: Sequence[Cause], pod: Pod) -> tuple[str, tuple[str, ...]]:
    """Returns a sentence without a subject and a period, and details about some of the Nodes."""
    nodes = [each.node for each in candidates]
    match causes[0]:
        case TaintCause(kind=CauseKind.TAINT) as cause:
            return _describe_taint(cause, pod), ()
        case TaintCause():
            return "not ready", tuple(map(_describe_unready, nodes[:MOST]))
        case LabelCause(requirement=requirement):
            return describe_label(requirement, nodes), ()
        case AffinityCause(subject=terms):
            return f"matches none of the terms of the node affinity: {terms}", ()
        case ShortageCause() as cause:
            return _describe_shortage(cause, causes, candidates)
    return "cordoned (`spec.unschedulable`)", ()


def _describe_unready(node: Node) -> str:
    if (condition := node.condition("Ready")) is None:
        return f"{node.name}: the kubelet has not reported yet"
    return f"{node.name}: {condition.reason}: {condition.message}".rstrip(": .")


def _describe_taint(cause: TaintCause, pod: Pod) -> str:
    if meaning := PASSING_TAINTS.get(cause.taint.key):
        return f"has the taint {cause.subject}: {meaning}"
    near = [each for each in pod.spec.tolerations if each.key == cause.taint.key]
    words = ", ".join(f"{each.operator or 'Equal'} {each.value}".strip() + f":{each.effect or 'any'}" for each in near)
    hint = f". Its tolerations of this key do not match: {words}" if near else ""
    return f"has the taint {cause.subject}, which the pod does not tolerate{hint}"


def _describe_shortage(
    first: ShortageCause, causes: Sequence[Cause], candidates: Sequence[Candidate]
) -> tuple[str, tuple[str, ...]]:
    nodes = [each.node for each in candidates]
    match first.kind:
        case CauseKind.NOT_OFFERED:
            return describe_absence(first.subject, nodes), ()
        case CauseKind.NOT_REGISTERED:
            return "has GPUs, but no device plugin registered them", describe_missing_plugin(nodes[:MOST])
        case CauseKind.NO_GPU:
            return f"no GPU{', although the pod selects the node' if first.variant == SELECTED else ''}", ()
        case CauseKind.NOT_LABELLED:
            return NOT_LABELLED, list_problems(nodes[:MOST])
    shortages = [each.shortage for each in causes if isinstance(each, ShortageCause)]
    problems = list_problems(select_unhealthy(first.subject, nodes)[:MOST])
    has_holders = first.kind in (CauseKind.IN_USE, CauseKind.UNHEALTHY)
    holders = list_holders(candidates, first.subject, MOST) if has_holders else ()
    return describe_shortage(first.kind, shortages, nodes), (*problems, *holders)
