"""Assesses whether the kubelet has the devices that the plugin offers: registration, ListAndWatch, and the Node's allocatable resources."""

from collections.abc import Mapping

from device_plugin.devices import Plan
from gpu_core.domain.node_assessment import NodeAssessment, Reason, assess_kubelet
from gpu_core.domain.resources import ResourceName
from node_core.domain.conditions import GPU_READY
from node_core.domain.node import NodeView
from node_core.domain.quantity import parse_api_quantity
from node_core.values import replace

SETTLE_SECONDS = 30.0
"""How long the kubelet may take before the condition changes: the kubelet restarts, or updates the Node every ten seconds."""
_OF_KUBELET = (Reason.NOT_REGISTERED, Reason.NOT_ALLOCATABLE)


def assess_registration(
    plan: Plan, problems: tuple[str, ...], unwatched: tuple[ResourceName, ...], allocatable: Mapping[str, str]
) -> NodeAssessment | None:
    """Returns what the kubelet lacks; None if the kubelet has every healthy device. PURE.

    problems: a sentence for each resource that cannot be registered. unwatched: resources that the kubelet does not watch yet.
    """
    if problems:
        return assess_kubelet(Reason.NOT_REGISTERED, f"the kubelet does not have the devices. {'; '.join(problems)}")
    lacking = []
    for resource, offer in plan.resources.items():
        healthy = sum(device.is_healthy for device in offer.devices)
        if resource in unwatched:
            lacking.append(f"{resource}: the kubelet has not read the devices yet")
        elif (shown := parse_amount(allocatable.get(resource))) < healthy:
            lacking.append(f"{resource}: the Node shows {shown} of {healthy} healthy devices as allocatable")
    return assess_kubelet(Reason.NOT_ALLOCATABLE, "; ".join(lacking)) if lacking else None


class KubeletAssessor:
    """Combines the assessment of the GPUs with the assessment of the kubelet. The agent's thread owns the assessor.

    A kubelet that starts, or has not updated the Node yet, is normal: for SETTLE_SECONDS the previous assessment remains valid, and a first
    assessment contains no advice. due: when this time ends; None if it has not begun.
    """

    def __init__(self) -> None:
        self.due: float | None = None
        self._uid: str | None = None
        self._previous: NodeAssessment | None = None

    def assess(
        self, gpus: NodeAssessment | None, kubelet: NodeAssessment | None, node: NodeView | None, now: float
    ) -> NodeAssessment | None:
        """gpus: None until the GPUs are assessed. kubelet: what the kubelet lacks. Returns None to leave the condition unchanged."""
        uid = node.uid if node is not None else None
        if uid != self._uid:  # a new Node object has no devices and no condition yet
            self._uid, self._previous, self.due = uid, None, None
        if gpus is None or not gpus.is_ready or kubelet is None:
            self.due, self._previous = None, gpus
        else:
            self._wait_for_kubelet(kubelet, now, has_condition=node is not None and GPU_READY in node.conditions)
        return self._previous

    def _wait_for_kubelet(self, kubelet: NodeAssessment, now: float, *, has_condition: bool) -> None:
        previous = self._previous
        was_ready = has_condition if previous is None else previous.is_ready  # the condition of the previous process
        is_settled = self.due is None and previous is not None and previous.reason is kubelet.reason
        if is_settled or (kubelet.reason is Reason.NOT_REGISTERED and not was_ready):
            self.due, self._previous = None, kubelet
            return
        self.due = now + SETTLE_SECONDS if self.due is None else self.due
        if now >= self.due:
            self.due, self._previous = None, kubelet
        elif (previous is None and not has_condition) or (previous is not None and previous.reason in _OF_KUBELET):
            self._previous = replace(kubelet, todo=None)


def parse_amount(quantity: object) -> int:
    """Returns the number of devices in a quantity of the Node; 0 if it is none. Kubernetes writes 1000 as `1k`, and 1500 as `1500`."""
    try:
        number = parse_api_quantity(str(quantity))
    except ValueError:
        return 0
    return number.numerator if number.denominator == 1 else 0
