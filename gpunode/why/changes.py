"""Changes of a Pod or of one Node that remove a cause. PURE."""

from collections.abc import Mapping
from dataclasses import dataclass
from fractions import Fraction
from typing import Any

import msgspec

from node_core.scheduling.filters import NOT_READY, UNREACHABLE_KEY
from node_core.scheduling.objects import (
    Condition,
    Node,
    NodeSelector,
    NodeSelectorTerm,
    Pod,
    Requirement,
    Taint,
    Toleration,
)
from node_core.values import replace

LOST_KEYS = (NOT_READY.key, UNREACHABLE_KEY)
READY = Condition(type="Ready", status="True")


@dataclass(frozen=True, slots=True, kw_only=True)
class Trial:
    """A Pod and one Node, after changes. requests: of the Pod. used: by other Pods of the Node."""

    pod: Pod
    requests: Mapping[str, Fraction]
    node: Node
    used: Mapping[str, Fraction]


@dataclass(frozen=True, slots=True, kw_only=True)
class ChangeSelector:
    """Replaces an entry of the nodeSelector. new: key and value; None removes the entry."""

    key: str
    value: str
    new: tuple[str, str] | None

    def apply(self, trial: Trial) -> Trial:
        selector = {key: value for key, value in trial.pod.spec.node_selector.items() if key != self.key}
        selector.update([self.new] if self.new is not None else [])
        return _with_spec(trial, node_selector=selector)


@dataclass(frozen=True, slots=True, kw_only=True)
class ChangeAffinity:
    """Replaces a requirement of a term of the required node affinity. new: None removes the requirement."""

    term: int
    requirement: Requirement
    new: Requirement | None

    def apply(self, trial: Trial) -> Trial:
        affinity = trial.pod.spec.affinity
        required = affinity.node_affinity.required_during_scheduling_ignored_during_execution
        terms = list(required.node_selector_terms if required is not None else ())
        terms[self.term] = self._replace(terms[self.term])
        # Kubernetes accepts neither an empty list of terms nor a useful empty term: without requirements there is no affinity.
        is_empty = not (terms[self.term].match_expressions or terms[self.term].match_fields)
        selector = None if is_empty else NodeSelector(node_selector_terms=tuple(terms))
        node_affinity = msgspec.structs.replace(
            affinity.node_affinity, required_during_scheduling_ignored_during_execution=selector
        )
        return _with_spec(trial, affinity=msgspec.structs.replace(affinity, node_affinity=node_affinity))

    def _replace(self, term: NodeSelectorTerm) -> NodeSelectorTerm:
        new = () if self.new is None else (self.new,)
        return NodeSelectorTerm(
            match_expressions=_exchange(term.match_expressions, self.requirement, new),
            match_fields=_exchange(term.match_fields, self.requirement, new),
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class AddToleration:
    taint: Taint

    def apply(self, trial: Trial) -> Trial:
        return _with_spec(trial, tolerations=(*trial.pod.spec.tolerations, self.toleration))

    @property
    def toleration(self) -> Toleration:
        taint = self.taint
        operator = "Equal" if taint.value else "Exists"
        return Toleration(key=taint.key, operator=operator, value=taint.value, effect=taint.effect)


@dataclass(frozen=True, slots=True, kw_only=True)
class RequestLess:
    resource: str
    amount: Fraction

    def apply(self, trial: Trial) -> Trial:
        return replace(trial, requests={**trial.requests, self.resource: self.amount})


@dataclass(frozen=True, slots=True, kw_only=True)
class RequestOther:
    """Requests the same amount of another resource."""

    resource: str
    new: str

    def apply(self, trial: Trial) -> Trial:
        others = {name: amount for name, amount in trial.requests.items() if name != self.resource}
        amount = others.get(self.new, Fraction(0)) + trial.requests.get(self.resource, Fraction(0))
        return replace(trial, requests={**others, self.new: amount})


@dataclass(frozen=True, slots=True, kw_only=True)
class Uncordon:
    node: str

    def apply(self, trial: Trial) -> Trial:
        return replace(trial, node=_with(trial.node, spec={"unschedulable": False}))


@dataclass(frozen=True, slots=True, kw_only=True)
class FreeResource:
    """Pods of the Node end, and release an amount of a resource."""

    node: str
    resource: str
    amount: Fraction

    def apply(self, trial: Trial) -> Trial:
        used = trial.used.get(self.resource, Fraction(0)) - self.amount
        return replace(trial, used={**trial.used, self.resource: used})


@dataclass(frozen=True, slots=True, kw_only=True)
class RepairDevices:
    """Unhealthy devices of a Node become healthy, or devices that are not registered become registered. amount: of allocatable devices."""

    node: str
    resource: str
    amount: Fraction

    def apply(self, trial: Trial) -> Trial:
        status = trial.node.status
        allocatable = {**(status.allocatable or status.capacity), self.resource: str(self.amount)}
        return replace(trial, node=_with(trial.node, status={"allocatable": allocatable}))


@dataclass(frozen=True, slots=True, kw_only=True)
class RepairNode:
    """A condition of the Node ends, and with it its taints. A Node that is not ready has up to four."""

    node: str
    taint: Taint

    def apply(self, trial: Trial) -> Trial:
        keys = LOST_KEYS if self.taint.key in LOST_KEYS else (self.taint.key,)
        taints = tuple(each for each in trial.node.spec.taints if each.key not in keys)
        repaired = _with(trial.node, spec={"taints": taints}, status={"conditions": (READY,)})
        return replace(trial, node=repaired)


PodChange = ChangeSelector | ChangeAffinity | AddToleration | RequestLess | RequestOther
NodeChange = Uncordon | FreeResource | RepairDevices | RepairNode
Change = PodChange | NodeChange


def largest_request(allocatable: Fraction, used: Fraction, *, is_whole: bool) -> Fraction:
    """Returns the largest amount that fits. is_whole: of devices, whose amounts are whole numbers."""
    free = max(allocatable - used, Fraction(0))
    return Fraction(free.numerator // free.denominator) if is_whole else free


def _with_spec(trial: Trial, **fields: Any) -> Trial:
    spec = msgspec.structs.replace(trial.pod.spec, **fields)
    return replace(trial, pod=msgspec.structs.replace(trial.pod, spec=spec))


def _with(node: Node, *, spec: Mapping[str, Any] | None = None, status: Mapping[str, Any] | None = None) -> Node:
    return msgspec.structs.replace(
        node,
        spec=msgspec.structs.replace(node.spec, **(spec or {})),
        status=msgspec.structs.replace(node.status, **(status or {})),
    )


def _exchange(
    requirements: tuple[Requirement, ...], old: Requirement, new: tuple[Requirement, ...]
) -> tuple[Requirement, ...]:
    return tuple(one for each in requirements for one in (new if each == old else (each,)))
