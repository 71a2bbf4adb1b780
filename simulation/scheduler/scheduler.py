"""The simulated kube-scheduler: binds pending Pods to Nodes, and records on the Pod why no Node is suitable.

The scheduler runs at each change of a Pod or a Node.
"""

import contextlib
import threading
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any, TypeVar

import msgspec

from node_core.scheduling.objects import Node, Pod
from node_core.scheduling.requests import Amounts, add, pod_requests, used_by_node
from node_core.schema import without_nulls
from simulation.apiserver.api import Api
from simulation.apiserver.pod_events import pod_target, record_event
from simulation.apiserver.status import ApiError, conflict
from simulation.apiserver.store import Store, timestamp
from simulation.apiserver.writes import Writer
from simulation.scheduler.placement import Placement, plan_placement

NAME = "default-scheduler"
_WRITER = Writer(manager="kube-scheduler")
_WATCHED = ("nodes", "pods")
_RESYNC_SECONDS = 30.0

Obj = dict[str, Any]
Struct = TypeVar("Struct", bound=msgspec.Struct)


class Scheduler:
    """Runs in a separate thread between `start` and `stop`. Ignores Pods with another schedulerName."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._api = Api(store)
        self._stopping = threading.Event()
        self._thread: threading.Thread | None = None

    def start(self) -> None:
        if self._thread is None:
            self._stopping.clear()
            self._thread = threading.Thread(target=self._run, name="simulated-scheduler", daemon=True)
            self._thread.start()

    def stop(self) -> None:
        if self._thread is not None:
            self._stopping.set()
            self._store.wake()
            self._thread.join()
            self._thread = None

    def schedule_waiting(self) -> None:
        """Schedules all pending Pods, the oldest first. The thread calls this at each change."""
        nodes = tuple(_decode_all(self._store.list("nodes")[0], Node))
        pods, _ = self._store.list("pods")
        used = used_by_node(filter(_has_requests, _decode_all(pods, Pod)))
        for pod in sorted(filter(is_waiting, pods), key=_age_order):
            placement = _place(pod, nodes, used)
            # A Pod that has been deleted or bound since the list is skipped: that change starts another pass.
            with contextlib.suppress(ApiError):
                self._write(pod, placement)

    def _run(self) -> None:
        while not self._stopping.is_set():
            version = self._store.version
            self.schedule_waiting()
            self._store.wait_for_change(_WATCHED, version, timeout=_RESYNC_SECONDS, interrupted=self._stopping.is_set)

    def _write(self, pod: Obj, placement: Placement) -> None:
        if placement.node is None:
            self._report_unschedulable(pod, placement.message)
            return
        self._api.update(pod_target(pod), lambda live: _bound(live, placement.node), _WRITER)
        self._set_condition(pod, {"type": "PodScheduled", "status": "True"})
        name = f"{pod['metadata']['namespace']}/{pod['metadata']['name']}"
        self._record(pod, "Normal", "Scheduled", f"Successfully assigned {name} to {placement.node}")

    def _report_unschedulable(self, pod: Obj, message: str) -> None:
        """Writes the condition and the Event once for each message."""
        condition = {"type": "PodScheduled", "status": "False", "reason": "Unschedulable", "message": message}
        if not _has_condition(pod, condition):
            self._set_condition(pod, condition)
            self._record(pod, "Warning", "FailedScheduling", message)

    def _set_condition(self, pod: Obj, condition: Mapping[str, str]) -> None:
        target = pod_target(pod, "status")
        now = timestamp(self._store.clock())
        self._api.update(target, lambda live: _with_condition(live, condition, now), _WRITER)

    def _record(self, pod: Obj, kind: str, reason: str, message: str) -> None:
        record_event(self._api, pod, kind, reason, message, component=NAME, writer=_WRITER)


def is_waiting(pod: Mapping[str, Any]) -> bool:
    """Returns whether this scheduler must select a Node for the Pod."""
    spec = pod["spec"]
    is_ready = not spec.get("nodeName") and not spec.get("schedulingGates") and not _is_finished(pod)
    return bool(is_ready and spec.get("schedulerName", NAME) == NAME)


def _is_finished(pod: Mapping[str, Any]) -> bool:
    return (pod.get("status") or {}).get("phase") in ("Succeeded", "Failed")


def _bound(pod: Obj, node: str | None) -> Obj:
    """Sets the Node of a Pod. Raises ApiError 409 for a Pod that has a Node."""
    if bound := pod["spec"].get("nodeName"):
        name = pod["metadata"]["name"]
        raise conflict("pods/binding", name, f'pod {name} is already assigned to node "{bound}"')
    return {**pod, "spec": {**pod["spec"], "nodeName": node}}


def _place(pod: Obj, nodes: Sequence[Node], used: dict[str, Amounts]) -> Placement:
    """Returns the placement, and adds the requests of the Pod to `used`, so that the next Pod does not get the same resources.

    A malformed Pod must not stop the scheduler, because the simulated API validates less than kube-apiserver.
    """
    try:
        decoded = _decode(pod, Pod)
        placement = plan_placement(decoded, nodes, used)
        if placement.node:
            add(used.setdefault(placement.node, {}), pod_requests(decoded))
    except (msgspec.ValidationError, ValueError) as error:
        return Placement(node=None, message=f"the Pod or a Node is malformed: {type(error).__name__}: {error}")
    return placement


def _decode_all(objects: Iterable[Obj], kind: type[Struct]) -> Iterator[Struct]:
    """Yields the objects that are not malformed."""
    for each in objects:
        with contextlib.suppress(msgspec.ValidationError):
            yield _decode(each, kind)


def _decode(item: Obj, kind: type[Struct]) -> Struct:
    """Raises msgspec.ValidationError."""
    return msgspec.convert(without_nulls(item, kind), kind)


def _has_requests(pod: Pod) -> bool:
    """Returns whether the quantities of the Pod are valid."""
    try:
        return bool(pod_requests(pod))
    except ValueError:
        return False


def _age_order(pod: Obj) -> tuple[str, int]:
    """Pods of the same second are in the order of their last change, which is that of their creation for new Pods."""
    metadata = pod["metadata"]
    return metadata["creationTimestamp"], int(metadata["resourceVersion"])


def _has_condition(pod: Obj, condition: Mapping[str, str]) -> bool:
    present = (pod.get("status") or {}).get("conditions") or ()
    return any(condition.items() <= each.items() for each in present)


def _with_condition(pod: Obj, condition: Mapping[str, str], now: str) -> Obj:
    status = pod.get("status") or {}
    old = {each["type"]: each for each in status.get("conditions") or ()}
    before = old.pop(condition["type"], {})
    since = before["lastTransitionTime"] if before.get("status") == condition["status"] else now
    new = {**condition, "lastProbeTime": None, "lastTransitionTime": since}
    return {**pod, "status": {**status, "conditions": [*old.values(), new]}}
