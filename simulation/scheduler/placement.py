"""Selects a Node for a Pod: the filters of kube-scheduler for labels, taints and resources. PURE.

Source: Kubernetes documentation, Kubernetes Scheduler, Assigning Pods to Nodes, Taints and Tolerations. The messages are those of
kube-scheduler.
"""

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction
from typing import Any

from node_core.domain.quantity import parse_quantity

Obj = Mapping[str, Any]
Amounts = dict[str, Fraction]
"""Resource name -> amount in base units: cores, bytes, devices."""

_NOT_READY = {"key": "node.kubernetes.io/not-ready", "effect": "NoSchedule"}
_NO_TAINT = {"key": "node.kubernetes.io/unschedulable", "effect": "NoSchedule"}
NO_NODES = "no nodes available to schedule pods"


@dataclass(frozen=True, slots=True, kw_only=True)
class Placement:
    """node: the selected Node, or None. message: the reason for None, in the words of kube-scheduler."""

    node: str | None
    message: str = ""


def plan_placement(pod: Obj, nodes: Sequence[Obj], pods: Iterable[Obj]) -> Placement:
    """Selects the feasible Node with the largest idle share, or the first by name. pods: all Pods, in any state."""
    if not nodes:
        return Placement(node=None, message=NO_NODES)
    used_by_node = _used_by_node(pods)
    reason_counts: Counter[str] = Counter()
    feasible: list[tuple[Fraction, str]] = []
    for node in nodes:
        name = node["metadata"]["name"]
        used_amounts = used_by_node.get(name, {})
        reasons = _first_refusal(pod, node, used_amounts)
        reason_counts.update(reasons)
        if not reasons:
            feasible.append((-_free_share(pod, node, used_amounts), name))
    if feasible:
        return Placement(node=min(feasible)[1])
    return Placement(node=None, message=_explain(len(nodes), reason_counts))


def pod_requests(pod: Obj) -> Amounts:
    """Returns the resources that a Pod needs: the sum of its containers, or an init container that needs more. Sidecars are ignored."""
    total: Amounts = {"pods": Fraction(1)}
    for container in pod["spec"].get("containers") or ():
        _add(total, _requests(container))
    for container in pod["spec"].get("initContainers") or ():
        for name, amount in _requests(container).items():
            total[name] = max(amount, total.get(name, Fraction(0)))
    return total


def is_finished(pod: Obj) -> bool:
    return (pod.get("status") or {}).get("phase") in ("Succeeded", "Failed")


def _first_refusal(pod: Obj, node: Obj, used_amounts: Amounts) -> tuple[str, ...]:
    """Returns the reasons of the first filter that refuses the Node; empty for a feasible Node."""
    spec = node.get("spec") or {}
    if spec.get("unschedulable") and not _tolerates(pod, _NO_TAINT):
        return ("node(s) were unschedulable",)
    taints = [*(spec.get("taints") or ()), *([] if _is_ready(node) else [_NOT_READY])]
    for taint in taints:
        if taint.get("effect") in ("NoSchedule", "NoExecute") and not _tolerates(pod, taint):
            return (f"node(s) had untolerated taint {{{taint['key']}: {taint.get('value') or ''}}}",)
    if not _matches_required(pod, node):
        return ("node(s) didn't match Pod's node affinity/selector",)
    return tuple(_insufficient(pod, node, used_amounts))


def _insufficient(pod: Obj, node: Obj, used_amounts: Amounts) -> Iterator[str]:
    allocatable = _allocatable(node)
    for name, amount in sorted(pod_requests(pod).items()):
        free = allocatable.get(name, Fraction(0)) - used_amounts.get(name, Fraction(0))
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
    used_by_node: dict[str, Amounts] = {}
    for pod in pods:
        if (name := pod["spec"].get("nodeName")) and not is_finished(pod):
            _add(used_by_node.setdefault(name, {}), pod_requests(pod))
    return used_by_node


def _free_share(pod: Obj, node: Obj, used_amounts: Amounts) -> Fraction:
    """Returns the mean idle share of cpu, memory and the requested resources, with the Pod on the Node."""
    allocatable, requested = _allocatable(node), pod_requests(pod)
    names = {"cpu", "memory", *requested} - {"pods"}
    shares = [
        1 - (used_amounts.get(name, Fraction(0)) + requested.get(name, Fraction(0))) / allocatable[name]
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


def _explain(count: int, reason_counts: Counter[str]) -> str:
    reasons = ", ".join(sorted(f"{times} {reason}" for reason, times in reason_counts.items()))
    return f"0/{count} nodes are available: {reasons}."


def _matches_required(pod: Obj, node: Obj) -> bool:
    """Returns whether the Node matches the nodeSelector and a term of the required node affinity, as far as the Pod has them."""
    labels = node["metadata"].get("labels") or {}
    if any(labels.get(key) != value for key, value in (pod["spec"].get("nodeSelector") or {}).items()):
        return False
    affinity = (pod["spec"].get("affinity") or {}).get("nodeAffinity") or {}
    required = affinity.get("requiredDuringSchedulingIgnoredDuringExecution")
    return required is None or any(
        _matches_term(term, node, labels) for term in required.get("nodeSelectorTerms") or ()
    )


def _matches_term(term: Obj, node: Obj, labels: Mapping[str, str]) -> bool:
    """A term without expressions matches no Node."""
    expressions, fields = term.get("matchExpressions") or (), term.get("matchFields") or ()
    name = {"metadata.name": node["metadata"]["name"]}
    return bool(expressions or fields) and (
        all(_matches(requirement, labels) for requirement in expressions)
        and all(_matches(requirement, name) for requirement in fields)
    )


def _matches(requirement: Obj, labels: Mapping[str, str]) -> bool:
    value, operator, values = (
        labels.get(requirement.get("key", "")),
        requirement.get("operator"),
        requirement.get("values") or (),
    )
    if operator in ("Exists", "DoesNotExist"):
        return (value is not None) is (operator == "Exists")
    if operator in ("In", "NotIn"):
        return (value in values) is (operator == "In")
    return operator in ("Gt", "Lt") and _compares(value, operator, values)


def _compares(value: str | None, operator: str, values: Any) -> bool:
    """Compares integers. Any other value does not match."""
    try:
        actual, requested = int(value or ""), int(values[0])
    except (ValueError, TypeError, IndexError):
        return False
    return actual > requested if operator == "Gt" else actual < requested
