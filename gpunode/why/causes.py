"""The causes that prevent a Pod from running on one Node. PURE."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from enum import StrEnum
from fractions import Fraction

from gpu_core.domain.node_assessment import Reason as GpuReason
from gpunode.cluster.fleet import PRESENT, Holder, is_gpu_resource
from node_core.domain.conditions import GPU_READY
from node_core.scheduling.filters import (
    NOT_READY,
    UNREACHABLE_KEY,
    Cordoned,
    Insufficient,
    Refusal,
    Unmatched,
    Untolerated,
)
from node_core.scheduling.objects import Node, Pod, Requirement, Taint
from node_core.scheduling.requests import DEVICE_CLASS, PODS, parse_amounts
from node_core.values import replace


class CauseKind(StrEnum):
    """The kinds, in the words of `-o json`."""

    CORDONED = "Cordoned"
    NOT_READY = "NodeNotReady"
    TAINT = "UntoleratedTaint"
    LABEL = "LabelMismatch"
    AFFINITY = "AffinityMismatch"
    NO_GPU = "NoGPU"
    NOT_LABELLED = "GateLabelMissing"
    NOT_REGISTERED = "PluginNotRegistered"
    NOT_OFFERED = "ResourceNotOffered"
    TOO_FEW = "TooFewInstalled"
    UNHEALTHY = "UnhealthyDevices"
    IN_USE = "DevicesInUse"
    INSUFFICIENT = "InsufficientResource"
    TOO_MANY_PODS = "TooManyPods"


SELECTED = "selected"
"""The variant of a Node without devices that has all labels that the Pod requires."""
NO_DEVICES = (CauseKind.NO_GPU, CauseKind.NOT_LABELLED)
"""These causes explain all others of the Node."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Cause:
    """subject: the requirement, taint or resource. variant: what else must be equal, so that causes are described together."""

    kind: CauseKind
    subject: str = ""
    variant: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class TaintCause(Cause):
    taint: Taint


@dataclass(frozen=True, slots=True, kw_only=True)
class LabelCause(Cause):
    """term: the position of the term of the node affinity; None for the nodeSelector."""

    requirement: Requirement
    term: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class AffinityCause(Cause):
    """None of several terms matches. terms: the requirements of each term that do not match."""

    terms: tuple[tuple[Requirement, ...], ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class ShortageCause(Cause):
    shortage: Insufficient


@dataclass(frozen=True, slots=True, kw_only=True)
class Candidate:
    """A Node with the causes that prevent the Pod from running there.

    used: the requests of its Pods. holders: its Pods with devices of the requested resources.
    """

    node: Node
    refusals: tuple[Refusal, ...] = ()
    causes: tuple[Cause, ...] = ()
    used: Mapping[str, Fraction]
    holders: tuple[Holder, ...] = ()

    @property
    def name(self) -> str:
        return self.node.name


def find_causes(pod: Pod, node: Node, refusals: tuple[Refusal, ...]) -> tuple[Cause, ...]:
    """Returns all causes; empty if the Pod fits. A Node without GPUs has only this cause, if the Pod requests GPUs."""
    causes = tuple(dict.fromkeys(cause for refusal in refusals for cause in _causes(refusal, pod, node)))
    absence = next((each for each in causes if each.kind in NO_DEVICES), None)
    if absence is None:
        return causes
    is_selected = _has_selector(pod) and not any(isinstance(each, Unmatched) for each in refusals)
    return (replace(absence, variant=SELECTED if is_selected else ""),)


def render_requirement(requirement: Requirement) -> str:
    """Returns a requirement as kubectl's -l writes it."""
    key, operator, values = requirement.key, requirement.operator, ", ".join(requirement.values)
    if operator in _SIGNS and len(requirement.values) == 1:
        return f"{key}{_SIGNS[operator]}{values}"
    if operator in ("Exists", "DoesNotExist"):
        return f"{'!' * (operator == 'DoesNotExist')}{key}"
    return f"{key} {operator.lower()} ({values})"


_SIGNS = {"In": "=", "NotIn": "!=", "Gt": ">", "Lt": "<"}


def affinity_terms(pod: Pod) -> tuple[tuple[Requirement, ...], ...]:
    """Returns the requirements of each term of the required node affinity. One of the terms must match."""
    required = pod.spec.affinity.node_affinity.required_during_scheduling_ignored_during_execution
    terms = required.node_selector_terms if required is not None else ()
    return tuple((*each.match_expressions, *each.match_fields) for each in terms)


def offered_resources(node: Node) -> dict[str, Fraction]:
    """Returns the resources of GPUs and of DeviceClasses of which a Node has devices, healthy or not."""
    amounts = parse_amounts(node.status.capacity or node.status.allocatable)
    return {name: amount for name, amount in sorted(amounts.items()) if _is_offered(name) and amount > 0}


def _is_offered(resource: str) -> bool:
    return is_gpu_resource(resource) or resource.startswith(DEVICE_CLASS)


def _causes(refusal: Refusal, pod: Pod, node: Node) -> Iterator[Cause]:
    match refusal:
        case Cordoned():
            yield Cause(kind=CauseKind.CORDONED)
        case Untolerated(taint=taint):
            if taint.key in (NOT_READY.key, UNREACHABLE_KEY):  # up to four taints have this one cause
                yield TaintCause(kind=CauseKind.NOT_READY, taint=NOT_READY)
            else:
                yield TaintCause(kind=CauseKind.TAINT, subject=render_taint(taint), taint=taint)
        case Unmatched():
            yield from _label_causes(refusal, pod)
        case Insufficient():
            yield _shortage_cause(refusal, node)


def _has_selector(pod: Pod) -> bool:
    return bool(pod.spec.node_selector or affinity_terms(pod))


def _shortage_cause(short: Insufficient, node: Node) -> ShortageCause:
    kind = _shortage_kind(node, short)
    offered = ",".join(offered_resources(node)) if kind is CauseKind.NOT_OFFERED else ""
    return ShortageCause(kind=kind, subject=short.resource, variant=offered, shortage=short)


def render_taint(taint: Taint) -> str:
    return f"{taint.key}{'=' if taint.value else ''}{taint.value}:{taint.effect}"


def _label_causes(refusal: Unmatched, pod: Pod) -> Iterator[Cause]:
    for each in refusal.selector:
        yield LabelCause(kind=CauseKind.LABEL, subject=render_requirement(each), requirement=each)
    if len(refusal.terms) == 1 and refusal.terms[0]:
        for each in refusal.terms[0]:
            yield LabelCause(kind=CauseKind.LABEL, subject=render_requirement(each), requirement=each, term=0)
    elif refusal.terms:
        texts = (" and ".join(map(render_requirement, term)) or "nothing" for term in affinity_terms(pod))
        yield AffinityCause(kind=CauseKind.AFFINITY, subject=" or ".join(texts) or "nothing", terms=refusal.terms)


def _shortage_kind(node: Node, short: Insufficient) -> CauseKind:
    if short.resource == PODS:
        return CauseKind.TOO_MANY_PODS
    if "/" not in short.resource:
        return CauseKind.INSUFFICIENT
    capacity = max(parse_amounts(node.status.capacity).get(short.resource, Fraction(0)), short.allocatable)
    if not capacity:
        return _absence_kind(node, short.resource)
    if short.requested > capacity:
        return CauseKind.TOO_FEW
    is_unhealthy = short.allocatable < capacity and short.requested <= capacity - short.used
    return CauseKind.UNHEALTHY if is_unhealthy else CauseKind.IN_USE


def _absence_kind(node: Node, resource: str) -> CauseKind:
    """Returns why a Node has no devices with this resource name."""
    if not is_gpu_resource(resource) or offered_resources(node):
        return CauseKind.NOT_OFFERED
    if node.labels.get(PRESENT) == "true":
        return CauseKind.NOT_REGISTERED
    condition = node.condition(GPU_READY)
    is_unlabelled = condition is not None and condition.reason == GpuReason.NOT_LABELLED
    return CauseKind.NOT_LABELLED if is_unlabelled or _has_pci_label(node) else CauseKind.NO_GPU


def _has_pci_label(node: Node) -> bool:
    """Whether Node Feature Discovery found a device of NVIDIA: `feature.node.kubernetes.io/pci-0302_10de.present`."""
    prefix = "feature.node.kubernetes.io/pci-"
    return any(key.startswith(prefix) and "10de" in key and value == "true" for key, value in node.labels.items())
