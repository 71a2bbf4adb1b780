"""The text of `gpunode node`: facts, resources, pods, devices, claims, health, Events and labels, each below its title. PURE."""

from collections.abc import Iterable, Iterator, Mapping

import msgspec

from gpunode.cluster.claim_devices import ClaimDevice
from gpunode.cluster.fleet import GPU_DOMAIN
from gpunode.cluster.label_owners import OTHERS
from gpunode.node.facts import NodeFacts
from gpunode.nodes.columns import describe_mig, describe_model, describe_sharing
from gpunode.output.age import render_age
from gpunode.output.paragraph import render_paragraph
from gpunode.output.table import Column, TableWriter
from gpunode.output.terminal import Cell, Styled, Terminal
from node_core.domain.conditions import GPU_READY, GPU_VALIDATED
from node_core.scheduling.objects import Condition, Event, Node, Pod

READY = "Ready"
HEALTHY = (GPU_READY, GPU_VALIDATED, READY)
"""The conditions that are True on a healthy Node."""
KEY_WIDTH = 12
RESOURCES = (
    Column(header="RESOURCE"),
    Column(header="CAPACITY", priority=4),
    Column(header="ALLOCATABLE", priority=3),
    Column(header="ALLOCATED", priority=2),
    Column(header="FREE"),
    Column(header="UNHEALTHY", priority=1),
)
PODS = (
    Column(header="POD"),
    Column(header="DEVICES"),
    Column(header="STATUS", priority=1),
    Column(header="AGE", priority=2),
)
CLAIM_DEVICES = (
    Column(header="DEVICE"),
    Column(header="MODEL", priority=4),
    Column(header="CLAIMS", priority=2),
    Column(header="PODS", priority=1),
    Column(header="TAINTS", priority=3),
)
EVENTS = (
    Column(header="AGE"),
    Column(header="TYPE", priority=2),
    Column(header="REASON"),
    Column(header="OBJECT", priority=1),
    Column(header="MESSAGE", priority=0, min_width=20),
)


def render_report(facts: NodeFacts, terminal: Terminal, wall: float) -> list[str]:
    """wall: Unix seconds."""
    sections = {
        "Resources": _resources(facts, terminal),
        "Pods with devices": _pods(facts, terminal, wall),
        "Devices": _devices(facts, terminal),
        "Devices of ResourceSlices": _claim_devices(facts, terminal),
        "Health": _health(facts, terminal, wall),
        "Events": _events(facts, terminal, wall),
        **{_title(owner): _labels(labels, terminal) for owner, labels in facts.labels.items()},
    }
    lines = list(_head(facts, terminal))
    for title, content in sections.items():
        if found := list(content):
            lines += ["", terminal.render(Styled(title, "bold")), *found]
    return lines


def _head(facts: NodeFacts, terminal: Terminal) -> Iterator[str]:
    yield terminal.render(Styled(facts.node.name, "bold"))
    for key, value in _summary(facts):
        if value:
            yield from render_paragraph(terminal, value, first=Styled(key, "bright_black"), indent=KEY_WIDTH)


def _summary(facts: NodeFacts) -> Iterator[tuple[str, Cell]]:
    gpus, info = facts.gpus, facts.node.status.node_info
    count = "" if gpus.gpus is None else f"{gpus.gpus} x "
    memory = f", {gpus.memory_mib} MiB" if gpus.memory_mib else ""
    yield "GPUs", f"{count}{describe_model(gpus)}{memory}" if gpus.has_gpus else "none"
    yield "driver", f"{gpus.driver}, CUDA {gpus.cuda}" if gpus.driver and gpus.cuda else gpus.driver
    strategy = f"strategy {gpus.mig_strategy}" if gpus.mig_strategy else ""
    yield "MIG", ": ".join(filter(None, (strategy, describe_mig(gpus))))
    yield "sharing", describe_sharing(gpus)
    yield "system", ", ".join(filter(None, (info.os_image, info.kernel_version, info.architecture)))
    yield "kubelet", ", ".join(filter(None, (info.kubelet_version, info.container_runtime_version)))
    yield "taints", ", ".join(gpus.taints)
    yield "problems", Styled("; ".join(gpus.problems), "red") if gpus.problems else ""


def _resources(facts: NodeFacts, terminal: Terminal) -> list[str]:
    rows = [
        (
            each.name,
            str(each.capacity),
            str(each.allocatable),
            str(each.allocated),
            Styled(str(each.free), "green" if each.free else "bright_black"),
            Styled(str(each.unhealthy), "red" if each.unhealthy else "bright_black"),
        )
        for each in facts.gpus.resources
    ]
    return TableWriter(terminal, RESOURCES).render(rows)


def _pods(facts: NodeFacts, terminal: Terminal, wall: float) -> Iterator[str]:
    yield from TableWriter(terminal, PODS).render(_pod_rows(facts, wall))
    if facts.note:
        yield from render_paragraph(terminal, Styled(f"{facts.note}.", "yellow"))


def _pod_rows(facts: NodeFacts, wall: float) -> list[tuple[Cell, ...]]:
    held = {holder.key: holder.resources for holder in facts.gpus.holders}
    return [_pod_row(pod, held[pod.key], wall) for pod in facts.pods]


def _pod_row(pod: Pod, held: Mapping[str, int], wall: float) -> tuple[Cell, ...]:
    devices = ", ".join(f"{count} {name.removeprefix(GPU_DOMAIN)}" for name, count in held.items())
    status = "Terminating" if pod.metadata.deletion_timestamp else pod.status.phase
    return pod.key, devices, status, render_age(pod.metadata.creation_timestamp, wall)


def _devices(facts: NodeFacts, terminal: Terminal) -> list[str]:
    if not facts.devices:
        return []
    from gpunode.top.render import render_uses  # noqa: PLC0415 - only with gpu-exporter

    return render_uses([msgspec.structs.replace(use, node="") for use in facts.devices], terminal)


def _claim_devices(facts: NodeFacts, terminal: Terminal) -> list[str]:
    rows = [_claim_row(each) for each in facts.claim_devices if each.is_shown]
    return TableWriter(terminal, CLAIM_DEVICES).render(rows)


def _claim_row(device: ClaimDevice) -> tuple[Cell, ...]:
    taints = ", ".join(device.taints)
    return (
        device.name,
        device.model,
        ", ".join(device.claims),
        ", ".join(device.pods),
        Styled(taints, "red") if taints else "",
    )


def _health(facts: NodeFacts, terminal: Terminal, wall: float) -> Iterator[str]:
    yield from _conditions(facts, terminal, wall)
    if facts.gpus.problems:
        yield from render_paragraph(terminal, f"What to do: gpunode doctor --node {facts.node.name}")


def _conditions(facts: NodeFacts, terminal: Terminal, wall: float) -> Iterator[str]:
    for condition in select_conditions(facts.node):
        is_healthy = (condition.status == "True") == (condition.type in HEALTHY)
        message = f": {condition.message}" if condition.message else ""
        since = render_age(condition.last_transition_time, wall)
        text = f"{condition.status} since {since}, {condition.reason}{message}"
        first = Styled(condition.type, "green" if is_healthy else "red")
        yield from render_paragraph(terminal, text, first=first, indent=max(KEY_WIDTH, len(condition.type) + 2))


def select_conditions(node: Node) -> Iterator[Condition]:
    """Yields the conditions of HEALTHY, and other conditions that report a problem: they are False or absent on a healthy Node."""
    for kind in HEALTHY:
        if (condition := node.condition(kind)) is not None:
            yield condition
    yield from (each for each in node.status.conditions if each.type not in HEALTHY and each.status == "True")


def _events(facts: NodeFacts, terminal: Terminal, wall: float) -> Iterator[str]:
    if facts.events_problem:
        yield from render_paragraph(terminal, Styled(f"Not read: {facts.events_problem}.", "yellow"))
    yield from TableWriter(terminal, EVENTS).render([_event_row(event, wall) for event in facts.events])


def _event_row(event: Event, wall: float) -> tuple[Cell, ...]:
    kind, times = event.involved_object.kind.lower(), f" ({event.times} times)" if event.times > 1 else ""
    return (
        render_age(event.last_seen, wall),
        Styled(event.type, "yellow") if event.type == "Warning" else event.type,
        event.reason,
        f"{kind}/{event.involved_object.name}",
        " ".join(event.message.split()) + times,
    )


def _title(owner: str) -> str:
    return "Other labels" if owner == OTHERS else f"Labels of {owner}"


def _labels(labels: dict[str, str], terminal: Terminal) -> Iterable[str]:
    for key, value in labels.items():
        yield terminal.render(f"{key}={value}")
