"""Why kube-scheduler refuses a Node for a Pod: its filters for cordoned Nodes, taints, labels and resources. PURE.

Filters for volumes, ports, other Pods and topology are not here. Source: Kubernetes documentation, Kubernetes Scheduler, Assigning Pods to
Nodes, Taints and Tolerations.
"""

import re
from collections.abc import Iterator, Mapping
from fractions import Fraction

import msgspec

from node_core.scheduling.objects import Node, NodeSelectorTerm, Pod, Requirement, Taint, Toleration
from node_core.scheduling.requests import PODS, parse_amounts

NOT_READY = Taint(key="node.kubernetes.io/not-ready", effect="NoSchedule")
UNREACHABLE_KEY = "node.kubernetes.io/unreachable"
CORDONED = Taint(key="node.kubernetes.io/unschedulable", effect="NoSchedule")
NODE_NAME = "metadata.name"
"""The only field that node affinity can match."""
_HARD = ("NoSchedule", "NoExecute")
_INTEGER = re.compile(r"[+-]?[0-9]{1,19}")


class Cordoned(msgspec.Struct, frozen=True, kw_only=True):
    """The Node is cordoned (`spec.unschedulable`)."""


class Untolerated(msgspec.Struct, frozen=True, kw_only=True):
    """The Pod has no toleration for a taint of the Node."""

    taint: Taint


class Unmatched(msgspec.Struct, frozen=True, kw_only=True):
    """The Node does not have the labels that the Pod requires.

    selector: the entries of the nodeSelector that do not match, as requirements with the operator In. terms: for each term of the required
    node affinity, its requirements that do not match; empty if a term matches, or without such an affinity.
    """

    selector: tuple[Requirement, ...] = ()
    terms: tuple[tuple[Requirement, ...], ...] = ()


class Insufficient(msgspec.Struct, frozen=True, kw_only=True):
    """The Node has too little of a resource. used: by other Pods. All amounts are in base units."""

    resource: str
    requested: Fraction
    used: Fraction
    allocatable: Fraction

    @property
    def free(self) -> Fraction:
        return max(self.allocatable - self.used, Fraction(0))


Refusal = Cordoned | Untolerated | Unmatched | Insufficient


def find_refusals(
    pod: Pod, requests: Mapping[str, Fraction], node: Node, used: Mapping[str, Fraction]
) -> tuple[Refusal, ...]:
    """Returns all reasons to refuse the Node, in the order of the filters; empty for a feasible Node.

    requests: of `pod_requests`. used: the requests of the Pods on the Node. Raises ValueError for an invalid quantity of the Node.
    """
    return tuple(_refusals(pod, requests, node, used))


def render_reasons(refusals: tuple[Refusal, ...]) -> tuple[str, ...]:
    """Returns the reasons in the words of kube-scheduler, which stops at the first filter that refuses, and at the first taint."""
    if not refusals:
        return ()
    first = refusals[0]
    if isinstance(first, Insufficient):
        return tuple(_reason(each) for each in refusals)
    return (_reason(first),)


def node_taints(node: Node) -> tuple[Taint, ...]:
    """Returns the taints that keep Pods off. A Node that is not ready has such a taint, or gets it within seconds."""
    taints = tuple(each for each in node.spec.taints if each.effect in _HARD)
    ready = node.condition("Ready")
    if (ready is not None and ready.status == "True") or any(
        each.key in (NOT_READY.key, UNREACHABLE_KEY) for each in taints
    ):
        return taints
    return (*taints, NOT_READY)


def is_tolerated(taint: Taint, tolerations: tuple[Toleration, ...]) -> bool:
    return any(_tolerates(each, taint) for each in tolerations)


def matches_requirement(requirement: Requirement, labels: Mapping[str, str]) -> bool:
    """Returns whether labels satisfy one requirement of a node selector. An unknown operator never matches."""
    value, values = labels.get(requirement.key), requirement.values
    match requirement.operator:
        case "Exists":
            return value is not None
        case "DoesNotExist":
            return value is None
        case "In":
            return value in values
        case "NotIn":
            return value not in values
        case "Gt" | "Lt":
            return len(values) == 1 and value is not None and _compares(value, requirement.operator, values[0])
    return False


def _refusals(
    pod: Pod, requests: Mapping[str, Fraction], node: Node, used: Mapping[str, Fraction]
) -> Iterator[Refusal]:
    tolerations = pod.spec.tolerations
    if node.spec.unschedulable and not is_tolerated(CORDONED, tolerations):
        yield Cordoned()
    for taint in node_taints(node):
        is_cordon = node.spec.unschedulable and taint.key == CORDONED.key
        if not is_cordon and not is_tolerated(taint, tolerations):
            yield Untolerated(taint=taint)
    if (unmatched := find_unmatched(pod, node)) is not None:
        yield unmatched
    yield from _insufficient(requests, node, used)


def find_unmatched(pod: Pod, node: Node) -> Unmatched | None:
    """Returns the required labels that the Node does not have; None if it has them. Reads only its name and labels."""
    requirements = (
        Requirement(key=key, operator="In", values=(value,)) for key, value in pod.spec.node_selector.items()
    )
    selector = tuple(each for each in requirements if not matches_requirement(each, node.labels))
    required = pod.spec.affinity.node_affinity.required_during_scheduling_ignored_during_execution
    terms = required.node_selector_terms if required is not None else ()
    failed = tuple(_failed_requirements(term, node) for term in terms)
    has_match = required is None or any(not each and _is_term(term) for term, each in zip(terms, failed, strict=True))
    if not selector and has_match:
        return None
    return Unmatched(selector=selector, terms=() if has_match else failed or ((),))


def _failed_requirements(term: NodeSelectorTerm, node: Node) -> tuple[Requirement, ...]:
    fields = {NODE_NAME: node.name}
    return (
        *(each for each in term.match_expressions if not matches_requirement(each, node.labels)),
        *(each for each in term.match_fields if not matches_requirement(each, fields)),
    )


def _is_term(term: NodeSelectorTerm) -> bool:
    """A term without requirements matches no Node."""
    return bool(term.match_expressions or term.match_fields)


def _insufficient(requests: Mapping[str, Fraction], node: Node, used: Mapping[str, Fraction]) -> Iterator[Insufficient]:
    allocatable = parse_amounts(node.status.allocatable or node.status.capacity)
    for name, requested in sorted(requests.items()):
        total, taken = allocatable.get(name, Fraction(0)), used.get(name, Fraction(0))
        if 0 < requested > total - taken:
            yield Insufficient(resource=name, requested=requested, used=taken, allocatable=total)


def _tolerates(toleration: Toleration, taint: Taint) -> bool:
    if toleration.effect and toleration.effect != taint.effect:
        return False
    if not toleration.key:
        return toleration.operator == "Exists"
    if toleration.key != taint.key:
        return False
    match toleration.operator:
        case "Exists":
            return True
        case "Gt" | "Lt":  # KEP-5471: the value of the taint is greater or less than that of the toleration
            return _compares(taint.value, toleration.operator, toleration.value)
    return toleration.operator in ("", "Equal") and toleration.value == taint.value


def _compares(actual: str, operator: str, limit: str) -> bool:
    """Compares integers. Any other text does not match."""
    if not (_INTEGER.fullmatch(actual) and _INTEGER.fullmatch(limit)):
        return False
    return int(actual) > int(limit) if operator == "Gt" else int(actual) < int(limit)


def _reason(refusal: Refusal) -> str:
    match refusal:
        case Cordoned():
            return "node(s) were unschedulable"
        case Untolerated(taint=taint):
            return f"node(s) had untolerated taint {{{taint.key}: {taint.value}}}"
        case Unmatched():
            return "node(s) didn't match Pod's node affinity/selector"
        case Insufficient(resource=resource):
            return "Too many pods" if resource == PODS else f"Insufficient {resource}"
