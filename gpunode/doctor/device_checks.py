"""Checks the devices and the labels of GPUs on a Node object, from outside. PURE."""

import re
from collections.abc import Iterator, Mapping, Sequence

from device_plugin.health.kubelet_assessment import parse_amount
from gpu_core.domain.node_assessment import ADVICE, Reason
from gpu_core.domain.resources import GPU, PREFIX
from gpunode.cluster.fleet import Resource
from gpunode.doctor.check import Check, note, ok, problem
from gpunode.output.age import render_age
from node_core.domain.conditions import GPU_READY
from node_core.domain.labels import GFD_TIMESTAMP
from node_core.scheduling.objects import Node

PRODUCT, COUNT = f"{GPU}.product", f"{GPU}.count"
STRATEGY, MIG_CAPABLE = f"{PREFIX}mig.strategy", f"{PREFIX}mig.capable"
LABELS_MISSING, LABELS_CONTRADICT = "LabelsMissing", "LabelsContradict"
_PCI = re.compile(r"feature\.node\.kubernetes\.io/pci-(?:[0-9a-f_]+_)?10de(?:_[0-9a-f_]+)?\.present")
"""Labels of Node Feature Discovery for PCI devices of NVIDIA, with the fields class, vendor and device in the order of its config."""
_MODEL_COUNT = re.compile(r"nvidia\.com/gpu\.product\.[^/]+\.count")


def find_pci_label(labels: Mapping[str, str]) -> str | None:
    """Returns the key of a label that states an NVIDIA device on the PCI bus."""
    return next((key for key, value in sorted(labels.items()) if value == "true" and _PCI.fullmatch(key)), None)


def check_devices(resources: Sequence[Resource], *, is_explained: bool) -> Iterator[Check]:
    """Compares capacity and allocatable. is_explained: another check states why devices are missing."""
    lacking = []
    for each in resources:
        sentence = f"{each.allocatable} of {each.capacity} {each.name} are allocatable"
        if each.unhealthy:
            lacking.append(sentence)
        else:
            yield ok("resources", sentence)
    if not resources:
        lacking.append("the Node has no devices of NVIDIA: its capacity is 0")
    for sentence in lacking:
        if is_explained:
            yield note("resources", sentence)
        else:
            reason = str(Reason.NOT_ALLOCATABLE)
            yield problem("resources", sentence, ADVICE[Reason.NOT_ALLOCATABLE], reason=reason)


def check_gfd_labels(node: Node, resources: Sequence[Resource], wall: float, *, is_expected: bool) -> Iterator[Check]:
    """resources: of the Node. is_expected: gfd runs on this Node, and can read the GPUs."""
    product = node.labels.get(PRODUCT)
    if product is None:
        sentence = "the Node has no labels of gfd, so no pod can select its GPU model"
        todo = "read the log of gfd on this node: the event not_ready states why it cannot read the GPUs"
        yield problem("labels", sentence, todo, reason=LABELS_MISSING) if is_expected else note("labels", sentence)
        return
    count = node.labels.get(COUNT, "?")
    changed = _describe_change(node.labels, wall)
    difference = find_difference(node, resources)
    if difference is None:
        yield ok("labels", f"gfd states {count} of the product {product}{changed}")
        return
    todo = "check that gfd runs on this node. It follows a change within its --sleep-interval. Compare with nvidia-smi -L on the node"
    yield problem(
        "labels",
        f"gfd states {count} of the product {product}{changed}, but {difference}",
        todo,
        reason=LABELS_CONTRADICT,
    )


def find_difference(node: Node, resources: Sequence[Resource]) -> str | None:
    """Returns how the labels contradict the capacity; None if they agree, or if they cannot be compared.

    They can be compared if the GPUs are healthy, have one model and one resource. With MIG strategy mixed, each profile is a resource.
    The labels may count GPUs in MIG mode that are not advertised, so a smaller capacity is no contradiction where MIG is possible.
    """
    condition, strategy = node.condition(GPU_READY), node.labels.get(STRATEGY)
    models = [key for key in node.labels if _MODEL_COUNT.fullmatch(key)]
    if condition is None or condition.reason != Reason.READY or len(resources) != 1 or len(models) != 1:
        return None
    resource, capacity = resources[0].name, resources[0].capacity
    prefix = resource.removesuffix(".shared") if strategy == "mixed" else GPU
    count, replicas = f"{prefix}.count", f"{prefix}.replicas"
    labelled = parse_amount(node.labels.get(count)) * parse_amount(node.labels.get(replicas))
    may_be_smaller = strategy != "single" and node.labels.get(MIG_CAPABLE) != "false"
    if labelled in (0, capacity) or (may_be_smaller and capacity < labelled):
        return None
    return f"{count} and {replicas} state {labelled} devices, and the capacity is {capacity} {resource}"


def _describe_change(labels: Mapping[str, str], wall: float) -> str:
    """Returns when the labels changed, which gfd writes in Unix seconds."""
    text = labels.get(GFD_TIMESTAMP, "")
    return f", last changed {render_age(float(text), wall)} ago" if text.isdecimal() else ""
