"""Selects a Node for a Pod: the filters of kube-scheduler, then the Node with the largest idle share. PURE.

The messages are those of kube-scheduler.
"""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction

from node_core.scheduling.filters import find_refusals, render_reasons
from node_core.scheduling.objects import Node, Pod
from node_core.scheduling.requests import PODS, Amounts, parse_amounts, pod_requests

NO_NODES = "no nodes available to schedule pods"


@dataclass(frozen=True, slots=True, kw_only=True)
class Placement:
    """node: the selected Node, or None. message: the reason for None, in the words of kube-scheduler."""

    node: str | None
    message: str = ""


def plan_placement(pod: Pod, nodes: Sequence[Node], used_by_node: Mapping[str, Amounts]) -> Placement:
    """Selects the feasible Node with the largest idle share, or the first by name. Raises ValueError for an invalid quantity."""
    if not nodes:
        return Placement(node=None, message=NO_NODES)
    requests = pod_requests(pod)
    reason_counts: Counter[str] = Counter()
    feasible: list[tuple[Fraction, str]] = []
    for node in nodes:
        used = used_by_node.get(node.name, {})
        reasons = render_reasons(find_refusals(pod, requests, node, used))
        reason_counts.update(reasons)
        if not reasons:
            feasible.append((-_free_share(requests, node, used), node.name))
    if feasible:
        return Placement(node=min(feasible)[1])
    return Placement(node=None, message=_explain(len(nodes), reason_counts))


def _free_share(requested: Mapping[str, Fraction], node: Node, used: Mapping[str, Fraction]) -> Fraction:
    """Returns the mean idle share of cpu, memory and the requested resources, with the Pod on the Node."""
    allocatable = parse_amounts(node.status.allocatable or node.status.capacity)
    shares = [
        1 - (used.get(name, Fraction(0)) + requested.get(name, Fraction(0))) / allocatable[name]
        for name in {"cpu", "memory", *requested} - {PODS}
        if allocatable.get(name)
    ]
    return sum(shares, Fraction(0)) / len(shares) if shares else Fraction(0)


def _explain(count: int, reason_counts: Counter[str]) -> str:
    reasons = ", ".join(sorted(f"{times} {reason}" for reason, times in reason_counts.items()))
    return f"0/{count} nodes are available: {reasons}."
