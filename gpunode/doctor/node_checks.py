"""The checks of a Node object that doctor runs on the node and from outside. PURE."""

from collections.abc import Iterator

from device_plugin.gate import Gate
from gpu_core.domain.node_assessment import ADVICE, Reason
from gpunode.doctor.check import Check, note, ok, problem
from gpunode.output.age import render_age
from node_core.domain.conditions import GPU_READY
from node_core.domain.labels import SIMULATED, Labels
from node_core.domain.taints import Taint
from node_core.scheduling.objects import Condition, Node

BLOCKING = "node.kubernetes.io/"
"""Prefix of the taints of Kubernetes itself: a cordoned Node, or a Node that is not ready."""
NO_EXECUTION = ("NoSchedule", "NoExecute")
PRESSURE = ("MemoryPressure", "DiskPressure", "PIDPressure", "NetworkUnavailable")
"""Conditions of Kubernetes that are False on a healthy Node."""
NOT_READY, CORDONED, STARTUP_TAINT = "NodeNotReady", "Cordoned", "StartupTaint"
TAINT_REASONS = {
    "not-ready": NOT_READY, "unreachable": NOT_READY, "unschedulable": CORDONED, "memory-pressure": "MemoryPressure",
    "disk-pressure": "DiskPressure", "pid-pressure": "PIDPressure", "network-unavailable": "NetworkUnavailable",
}  # fmt: skip
"""The name of a taint of Kubernetes after BLOCKING -> the reason. Source: Kubernetes documentation, Taints and Tolerations."""
KUBELET_TODO = (
    "check the kubelet on the node (systemctl status kubelet, journalctl -u kubelet) and the network of the node"
)


def check_kubelet_conditions(node: Node, wall: float) -> Iterator[Check]:
    """Checks the conditions of Kubernetes itself. Yields nothing if the Node has none of them."""
    ready = node.condition("Ready")
    if ready is not None and ready.status == "True":
        yield ok("kubelet condition", f"Ready is True since {render_age(ready.since, wall)}")
    elif ready is not None:
        yield problem("kubelet condition", _describe(ready, wall), KUBELET_TODO, reason=NOT_READY)
    for kind in PRESSURE:
        pressure = node.condition(kind)
        if pressure is not None and pressure.status == "True":
            todo = f"free the resource, and read the message of {kind} with kubectl describe node {node.name}"
            yield problem("kubelet condition", _describe(pressure, wall), todo, reason=kind)


def check_label(node: Node, gate: Gate) -> Check:
    if not gate.key:
        return ok("label", "gpu-device-plugin needs no label of the Node (--gate-label is empty)")
    if gate.is_open(node.labels):
        return ok("label", f"the Node has the label {gate.key}={gate.value}")
    value = node.labels.get(gate.key)
    found = "" if value is None else f", but {gate.key}={value}"
    todo = "check that nfd-lite runs on this node and finds the GPU on the PCI bus (lspci -d 10de:), or set the label yourself"
    sentence = f"the Node {node.name} does not have the label {gate.key}={gate.value}{found}, so no GPU is advertised"
    return problem("label", sentence, todo, reason=str(Reason.NOT_LABELLED))


def check_condition(node: Node, wall: float, *, is_running: bool) -> Check:
    """Checks GPUReady. is_running: the plugin may run. Otherwise the condition is from an earlier time."""
    observed = node.condition(GPU_READY)
    if observed is None:
        todo = "check that gpu-device-plugin runs on this node, and read its log"
        return problem("condition", f"the Node has no condition {GPU_READY}", todo)
    sentence = _describe(observed, wall)
    if not is_running:
        return note("condition", f"the condition is from the time when gpu-device-plugin ran: {sentence}")
    if observed.status == "True" and observed.reason != Reason.SOME_UNHEALTHY:
        return ok("condition", sentence, reason=observed.reason)
    advice = {str(reason): todo for reason, todo in ADVICE.items()}
    todo = advice.get(observed.reason, "see the reason in docs/reference/health.md")
    sentence = sentence.removesuffix(
        f". {todo[:1].upper()}{todo[1:]}"
    )  # the message of the condition ends with the advice
    return problem("condition", sentence, todo, reason=observed.reason)


def check_taints(node: Node, startup: Taint | None) -> Iterator[Check]:
    """startup: the startup taint of the plugin."""
    for each in node.spec.taints:
        taint = Taint(key=each.key, value=each.value, effect=each.effect)
        text = f"the Node has the taint {taint}"
        if taint.effect not in NO_EXECUTION:
            continue
        if startup is not None and taint.identity == startup.identity:
            todo = "gpu-device-plugin removes it when the GPUs are registered. If it stays, read the log of gpu-device-plugin"
            sentence = f"{text}, which keeps pods off this Node until its GPUs are registered"
            yield problem("taints", sentence, todo, reason=STARTUP_TAINT)
        elif taint.key.startswith(BLOCKING):
            todo = "kubectl uncordon, or see the conditions of the Node"
            reason = TAINT_REASONS.get(taint.key.removeprefix(BLOCKING))
            yield problem("taints", f"{text}, so it gets no new pods", todo, reason=reason)
        else:
            yield note("taints", f"{text}: only pods with a toleration for it run here")


def check_simulation_label(labels: Labels) -> Iterator[Check]:
    if SIMULATED in labels:
        yield note("simulation", f"the Node has the label {SIMULATED}: an agent on this node simulates GPUs")


def expects_gpus(node: Node | None, gate: Gate) -> bool:
    """Whether the cluster expects GPUs on this node: by the label of the gate, or because the Node had GPUs."""
    if node is None:
        return False
    has_gpus = any(amount != "0" for name, amount in node.status.capacity.items() if name.startswith("nvidia.com/"))
    return has_gpus or (bool(gate.key) and gate.is_open(node.labels))


def _describe(condition: Condition, wall: float) -> str:
    since = render_age(condition.since, wall)
    message = condition.message.rstrip(".")
    return f"{condition.type} is {condition.status} since {since}: {condition.reason}: {message}"
