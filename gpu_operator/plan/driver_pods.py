"""What the pods of drivers say about their Nodes. PURE. Source: Kubernetes API v1, PodStatus."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from enum import StrEnum

from gpu_operator.view import Obj, is_driver_pod, node_of

_PULL = frozenset({"ErrImagePull", "ImagePullBackOff", "InvalidImageName", "ErrImageNeverPull", "RegistryUnavailable"})
_CONFIG = frozenset({"CreateContainerConfigError", "CreateContainerError", "RunContainerError"})
_NOT_CREATED = (
    "The DaemonSet controller has not created the pod. A taint of the Node that spec.tolerations lacks prevents that."
)
_CRASH = "CrashLoopBackOff"
_FAILURES = frozenset({"Error", "OOMKilled"})


class Reason(StrEnum):
    """Why a Node has no ready driver. The first part needs a person."""

    MISSING_LABELS = "MissingLabels"
    CLAIMED_TWICE = "ClaimedTwice"
    NOT_SUPPORTED = "NotSupported"
    IMAGE_NOT_PULLED = "ImageNotPulled"
    DRIVER_FAILS = "DriverFails"
    UPGRADE_FAILED = "UpgradeFailed"
    UPGRADING = "Upgrading"
    NOT_SCHEDULED = "NotScheduled"
    NOT_CREATED = "NotCreated"
    PREPARING = "PreparingNode"
    STARTING = "Starting"
    ENDING = "Ending"
    PRE_INSTALLED = "PreInstalled"
    OPTED_OUT = "OptedOut"


NEEDS_PERSON = frozenset(tuple(Reason)[:6])
EXCLUDED = frozenset({Reason.PRE_INSTALLED, Reason.OPTED_OUT})
"""Reasons of Nodes that get no driver, and wait for none."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Wait:
    """Why a Node has no ready driver. message: a sentence without the name of the Node, so that equal messages can be grouped."""

    reason: Reason
    message: str


def pods_by_node(pods: Mapping[str, Obj]) -> Mapping[str, Obj]:
    """Returns Node -> its driver pod. Of several pods of a Node, the newest one that is not ending.

    A pod without a Node comes last: it waits for the end of the pod of a deleted DaemonSet, whose driver works.
    """
    found: dict[str, Obj] = {}
    for key in sorted(pods, key=lambda each: _rank(pods[each], each)):
        if is_driver_pod(pods[key]) and (node := node_of(pods[key])):
            found[node] = pods[key]
    return found


def _rank(pod: Obj, key: str) -> tuple[bool, bool, str, str]:
    metadata = pod["metadata"]
    is_bound = bool(pod.get("spec", {}).get("nodeName"))
    return not metadata.get("deletionTimestamp"), is_bound, str(metadata.get("creationTimestamp") or ""), key


def find_wait(pod: Obj | None) -> Wait | None:
    """Returns why the driver of a pod is not ready. None: the driver is ready. pod: None if the Node has no pod."""
    if pod is None:
        return Wait(reason=Reason.NOT_CREATED, message=_NOT_CREATED)
    if pod["metadata"].get("deletionTimestamp"):
        return Wait(reason=Reason.ENDING, message="The previous driver pod is ending.")
    if _condition(pod, "Ready").get("status") == "True":
        return None
    if not pod.get("spec", {}).get("nodeName"):
        why = _condition(pod, "PodScheduled").get("message") or "kube-scheduler has not bound the pod yet"
        return Wait(reason=Reason.NOT_SCHEDULED, message=f"The pod is not scheduled: {why}")
    return _container_wait(pod)


def _container_wait(pod: Obj) -> Wait:
    status = pod.get("status", {})
    main = tuple(_statuses(status, "containerStatuses"))
    for container in (*_statuses(status, "initContainerStatuses"), *main):
        state = container.get("state") or {}
        waiting = state.get("waiting") or {}
        why = str(waiting.get("reason") or "")
        if why in _PULL:
            message = f"The image {container.get('image')} cannot be pulled: {waiting.get('message') or why}"
            return Wait(reason=Reason.IMAGE_NOT_PULLED, message=message)
        if why in _CONFIG:
            return Wait(
                reason=Reason.DRIVER_FAILS,
                message=f"The container {container.get('name')} cannot start: {waiting.get('message') or why}",
            )
        if _has_failed(container, has_started=container in main and bool(container.get("started"))):
            return Wait(reason=Reason.DRIVER_FAILS, message=_describe_end(container))
    is_prepared = any("running" in (each.get("state") or {}) for each in main)
    if not is_prepared:
        return Wait(
            reason=Reason.PREPARING, message="The init container prepares the Node, or its image is being pulled."
        )
    return Wait(reason=Reason.STARTING, message="The driver is starting, or does not respond to nvidia-smi.")


def _statuses(status: Obj, kind: str) -> Iterator[Obj]:
    yield from status.get(kind) or ()


def _has_failed(container: Obj, *, has_started: bool) -> bool:
    """True also while a container that has failed runs again, until it has started: the attempts do not change the status.

    After a reboot the reason of the previous end is Unknown, which is no failure.
    """
    state = container.get("state") or {}
    if (state.get("waiting") or {}).get("reason") == _CRASH or (state.get("terminated") or {}).get("exitCode", 0) != 0:
        return True
    before = (container.get("lastState") or {}).get("terminated") or {}
    return "running" in state and not has_started and before.get("reason") in _FAILURES


def _describe_end(container: Obj) -> str:
    ended = (
        (container.get("state") or {}).get("terminated") or (container.get("lastState") or {}).get("terminated") or {}
    )
    detail = (
        f": {ended['message'].strip()}"
        if ended.get("message")
        else f". See the log of the container {container.get('name')}."
    )
    return f"The container {container.get('name')} ends with the exit status {ended.get('exitCode', 'unknown')}{detail}"


def _condition(pod: Obj, kind: str) -> Obj:
    conditions = pod.get("status", {}).get("conditions") or ()
    return next((each for each in conditions if each.get("type") == kind), {})
