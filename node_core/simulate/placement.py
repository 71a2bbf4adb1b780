"""Where a Pod may run: the filters of kube-scheduler that concern labels, taints and resources. PURE.

Source: Kubernetes documentation, Kubernetes Scheduler, Assigning Pods to Nodes, Taints and Tolerations; its well-known messages.
"""

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction
from typing import Any

from node_core.domain.quantity import parse_quantity
from node_core.simulate.affinity import matches_required

Obj = Mapping[str, Any]
Amounts = dict[str, Fraction]
"""Resource name -> amount in base units: cores, bytes, devices."""

_NOT_READY = {"key": "node.kubernetes.io/not-ready", "effect": "NoSchedule"}
_NO_TAINT = {"key": "node.kubernetes.io/unschedulable", "effect": "NoSchedule"}
NO_NODES = "no nodes available to schedule pods"


@dataclass(frozen=True, slots=True, kw_only=True)
class Placement:
    """node: the chosen one, or None; message then says why not, as kube-scheduler words it."""

    node: str | None
    message: str = ""


def plan_placement(pod: Obj, nodes: Sequence[Obj], pods: Iterable[Obj]) -> Placement:
    """The feasible node with the most left free; names break ties. pods: all Pods, whatever their state."""
    if not nodes:
        return Placement(node=None, message=NO_NODES)
    used = _used_by_node(pods)
    refusals: Counter[str] = Counter()
    feasible: list[tuple[Fraction, str]] = []
    for node in nodes:
        name = node["metadata"]["name"]
        taken = used.get(name, {})
        reasons = _first_refusal(pod, node, taken)
        refusals.update(reasons)
        if not reasons:
            feasible.append((-_free_share(pod, node, taken), name))
    if feasible:
        return Placement(node=min(feasible)[1])
    return Placement(node=None, message=_explain(len(nodes), refusals))


def pod_requests(pod: Obj) -> Amounts:
    """What a Pod takes of its node, with itself as one of `pods`: its containers together, or its greediest init container."""
    spec = pod["spec"]
    total: Amounts = {"pods": Fraction(1)}
    sidecars: Amounts = {}
    peak: Amounts = {}
    for container in spec.get("initContainers") or ():
        amounts = _requests(container)
        if container.get("restartPolicy") == "Always":
            _add(sidecars, amounts)
            amounts = {}
        for name in amounts.keys() | sidecars.keys():
            peak[name] = max(
                peak.get(name, Fraction(0)), amounts.get(name, Fraction(0)) + sidecars.get(name, Fraction(0))
            )
    for container in spec.get("containers") or ():
        _add(total, _requests(container))
    _add(total, sidecars)
    total |= {name: max(amount, total.get(name, Fraction(0))) for name, amount in peak.items()}
    _add(total, _amounts(spec.get("overhead")))
    return total


def is_finished(pod: Obj) -> bool:
    return (pod.get("status") or {}).get("phase") in ("Succeeded", "Failed")


def _first_refusal(pod: Obj, node: Obj, taken: Amounts) -> tuple[str, ...]:
    """The reasons of the first filter that refuses the node; empty when none does."""
    spec = node.get("spec") or {}
    if spec.get("unschedulable") and not _tolerates(pod, _NO_TAINT):
        return ("node(s) were unschedulable",)
    taints = [*(spec.get("taints") or ()), *([] if _is_ready(node) else [_NOT_READY])]
    for taint in taints:
        if taint.get("effect") in ("NoSchedule", "NoExecute") and not _tolerates(pod, taint):
            return (f"node(s) had untolerated taint {{{taint['key']}: {taint.get('value') or ''}}}",)
    if not matches_required(pod, node):
        return ("node(s) didn't match Pod's node affinity/selector",)
    return tuple(_insufficient(pod, node, taken))


def _insufficient(pod: Obj, node: Obj, taken: Amounts) -> Iterator[str]:
    allocatable = _allocatable(node)
    for name, amount in sorted(pod_requests(pod).items()):
        free = allocatable.get(name, Fraction(0)) - taken.get(name, Fraction(0))
        if amount > free and amount > 0:
            yield "Too many pods" if name == "pods" else f"Insufficient {name}"


def _tolerates(pod: Obj, taint: Obj) -> bool:
    return any(_tolerated_by(toleration, taint) for toleration in pod["spec"].get("tolerations") or ())


def _tolerated_by(toleration: Obj, taint: Obj) -> bool:
    if toleration.get("effect") and toleration["effect"] != taint.get("effect"):
        return False
    exists = toleration.get("operator") == "Exists"
    if not toleration.get("key"):
        return exists
    if toleration["key"] != taint.get("key"):
        return False
    return exists or (toleration.get("value") or "") == (taint.get("value") or "")


def _is_ready(node: Obj) -> bool:
    conditions = (node.get("status") or {}).get("conditions") or ()
    return any(each.get("type") == "Ready" and each.get("status") == "True" for each in conditions)


def _used_by_node(pods: Iterable[Obj]) -> dict[str, Amounts]:
    used: dict[str, Amounts] = {}
    for pod in pods:
        if (name := pod["spec"].get("nodeName")) and not is_finished(pod):
            _add(used.setdefault(name, {}), pod_requests(pod))
    return used


def _free_share(pod: Obj, node: Obj, taken: Amounts) -> Fraction:
    """The mean free part of cpu, memory and what the Pod asks for, with the Pod on the node."""
    allocatable, wanted = _allocatable(node), pod_requests(pod)
    names = {"cpu", "memory", *wanted} - {"pods"}
    shares = [
        1 - (taken.get(name, Fraction(0)) + wanted.get(name, Fraction(0))) / allocatable[name]
        for name in names
        if allocatable.get(name)
    ]
    return sum(shares, Fraction(0)) / len(shares) if shares else Fraction(0)


def _allocatable(node: Obj) -> Amounts:
    status = node.get("status") or {}
    return _amounts(status.get("allocatable") or status.get("capacity"))


def _requests(container: Obj) -> Amounts:
    resources = container.get("resources") or {}
    return _amounts({**(resources.get("limits") or {}), **(resources.get("requests") or {})})


def _amounts(quantities: Mapping[str, Any] | None) -> Amounts:
    return {name: parse_quantity(text) for name, text in (quantities or {}).items()}


def _add(total: Amounts, amounts: Amounts) -> None:
    for name, amount in amounts.items():
        total[name] = total.get(name, Fraction(0)) + amount


def _explain(count: int, refusals: Counter[str]) -> str:
    reasons = ", ".join(sorted(f"{times} {reason}" for reason, times in refusals.items()))
    return f"0/{count} nodes are available: {reasons}."
