"""Why a Pod that has a Node does not run, by its status and Events. PURE. Source: Kubernetes documentation, Pod Lifecycle."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from gpunode.cluster.objects import ContainerStatus, Stop
from gpunode.why.explanation import Occurrence, State
from gpunode.why.pod import PodDetails
from gpunode.why.scheduler_words import FAILED_SCHEDULING
from node_core.scheduling.objects import Event, Node

NORMAL = ("ContainerCreating", "PodInitializing", "")
"""Reasons of a container that waits for its start."""
ADVICE = {
    "ErrImagePull": "Check the name of the image, and the pull secret: kubectl describe pod {name}",
    "ImagePullBackOff": "Check the name of the image, and the pull secret: kubectl describe pod {name}",
    "InvalidImageName": "Correct the name of the image.",
    "ErrImageNeverPull": "The node does not have the image, and imagePullPolicy is Never.",
    "CreateContainerConfigError": "Create the ConfigMap or Secret that the message names.",
    "CreateContainerError": "The container runtime refuses the container. For GPUs, run gpunode doctor on the node.",
    "RunContainerError": "The container runtime cannot start the container. For GPUs, run gpunode doctor on the node.",
    "CrashLoopBackOff": "Read the log of the container: kubectl logs {name} --previous",
    "OOMKilled": "Increase the memory limit of the container.",
    "UnexpectedAdmissionError": "Delete the pod. Its controller creates a new one, which the scheduler can place on another node.",
    "FailedMount": "Check the volumes of the pod: kubectl describe pod {name}",
    "FailedAttachVolume": "Check the volumes of the pod: kubectl describe pod {name}",
    "FailedCreatePodSandBox": "Check the network plugin and the container runtime of the node.",
    "NodeLost": "Repair the node, or delete the pod so that another node runs it.",
    "Evicted": "The node had too little memory or disk space. Delete the pod.",
}
"""Reason of a container, Pod or Event -> what to do."""
OUT_OF = "OutOf"
"""The kubelet refuses a Pod with OutOfcpu or OutOfnvidia.com/gpu."""
MOST_EVENTS = 5


@dataclass(frozen=True, slots=True, kw_only=True)
class Diagnosis:
    """reasons: the keys of ADVICE that apply."""

    state: State
    summary: str
    findings: tuple[str, ...] = ()
    reasons: tuple[str, ...] = ()

    def advice(self, pod: PodDetails) -> tuple[str, ...]:
        name = f"{pod.metadata.name} -n {pod.metadata.namespace}"
        sentences = (_advice(each).format(name=name) for each in self.reasons)
        return tuple(dict.fromkeys(each for each in sentences if each))


def diagnose(pod: PodDetails, node: Node | None, events: Sequence[Event]) -> Diagnosis:
    """Returns the state of a Pod that has ended or has a Node. node: None if it cannot be read. events: of the Pod, the newest first."""
    where = f"on {pod.spec.node_name}" if pod.spec.node_name else "without a node"
    if pod.status.phase == "Succeeded":
        return Diagnosis(state=State.COMPLETED, summary="has completed")
    if pod.status.phase == "Failed":
        reason, words = pod.status.reason, pod.status.message
        findings = tuple(filter(None, (f"{reason}: {words}".strip(": "), *_container_findings(pod))))
        return Diagnosis(
            state=State.FAILED, summary=f"has failed {where}", findings=findings, reasons=(reason, *_stop_reasons(pod))
        )
    if lost := _describe_lost(node):
        return Diagnosis(
            state=State.FAILING, summary=f"is {where}, which is not ready", findings=(lost,), reasons=("NodeLost",)
        )
    return _diagnose_containers(pod, where, events)


def list_occurrences(events: Sequence[Event]) -> tuple[Occurrence, ...]:
    """Returns the newest warnings, one for each reason."""
    by_reason: dict[str, Event] = {}
    for each in events:
        if each.type == "Warning":
            by_reason.setdefault(each.reason, each)
    return tuple(
        Occurrence(reason=each.reason, message=each.message, times=each.times, last_seen=each.last_seen)
        for each in list(by_reason.values())[:MOST_EVENTS]
    )


def _diagnose_containers(pod: PodDetails, where: str, events: Sequence[Event]) -> Diagnosis:
    findings, reasons = tuple(_container_findings(pod)), tuple(_stop_reasons(pod))
    if findings:
        return Diagnosis(
            state=State.FAILING, summary=f"is {where}, but does not run", findings=findings, reasons=reasons
        )
    if pod.status.phase == "Running":
        return Diagnosis(state=State.RUNNING, summary=f"runs {where}")
    warnings = [each for each in list_occurrences(events) if each.reason != FAILED_SCHEDULING]
    if warnings:
        sentences = tuple(f"{each.reason}: {each.message}" for each in warnings)
        reasons = tuple(each.reason for each in warnings)
        return Diagnosis(
            state=State.FAILING, summary=f"is {where}, but does not start", findings=sentences, reasons=reasons
        )
    return Diagnosis(state=State.STARTING, summary=f"is {where}, and starts: its containers are being created")


def _statuses(pod: PodDetails) -> tuple[ContainerStatus, ...]:
    return (*pod.status.init_container_statuses, *pod.status.container_statuses)


def _stopped(pod: PodDetails) -> Iterator[tuple[ContainerStatus, Stop]]:
    """Yields the containers that wait because of an error, or have ended with one."""
    for each in _statuses(pod):
        if (waiting := each.state.waiting) is not None and waiting.reason not in NORMAL:
            yield each, waiting
        elif (ended := each.state.terminated) is not None and ended.exit_code:
            yield each, ended


def _container_findings(pod: PodDetails) -> Iterator[str]:
    for status, stop in _stopped(pod):
        code = f" with exit status {stop.exit_code}" if stop.exit_code else ""
        before = status.last_state.terminated if stop.reason == "CrashLoopBackOff" else None
        last = f" Its last run ended: {before.reason}, exit status {before.exit_code}." if before is not None else ""
        yield f"Container {status.name}: {stop.reason}{code}: {stop.message}".rstrip(": .") + f".{last}"


def _stop_reasons(pod: PodDetails) -> Iterator[str]:
    for status, stop in _stopped(pod):
        before = status.last_state.terminated
        yield "OOMKilled" if before is not None and before.reason == "OOMKilled" else stop.reason


def _describe_lost(node: Node | None) -> str:
    ready = node.condition("Ready") if node is not None else None
    if node is None or ready is None or ready.status == "True":
        return ""
    return f"The condition Ready of {node.name} is {ready.status}: {ready.reason}: {ready.message}".rstrip(": .") + "."


def _advice(reason: str) -> str:
    if reason.startswith(OUT_OF):
        resource = reason.removeprefix(OUT_OF)
        return f"Another pod got the {resource} first. Delete the pod; its controller creates a new one."
    return ADVICE.get(reason, "")
