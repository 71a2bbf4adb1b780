"""A stand-in for kube-scheduler: binds Pending Pods to Nodes, and says on the Pod why it cannot.

It looks again whenever Pods or Nodes change.
"""

import contextlib
import threading
from collections.abc import Mapping, Sequence
from typing import Any

from node_core.simulate.apiserver.api import Api
from node_core.simulate.apiserver.status import ApiError
from node_core.simulate.apiserver.store import Store, timestamp
from node_core.simulate.apiserver.writes import Writer
from node_core.simulate.placement import Placement, is_finished, plan_placement
from node_core.simulate.recording import pod_target, record_event

NAME = "default-scheduler"
_WRITER = Writer(manager="kube-scheduler")
_WATCHED = ("nodes", "pods")
_LOOK_SECONDS = 30.0

Obj = dict[str, Any]


class Scheduler:
    """Runs in its own thread between `start` and `stop`. Pods that name another schedulerName are left alone."""

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
        """One look at every waiting Pod, oldest first. `start` does this at every change."""
        nodes, _ = self._store.list("nodes")
        pods, _ = self._store.list("pods")
        for pod in sorted(filter(is_waiting, pods), key=_age_order):
            placement = _placement(pod, nodes, pods)
            if placement.node:
                pod["spec"]["nodeName"] = placement.node  # the next Pod sees what this one takes
            # A Pod that was deleted or bound since it was read is passed over: that change brings us back.
            with contextlib.suppress(ApiError):
                self._settle(pod, placement)

    def _run(self) -> None:
        while not self._stopping.is_set():
            version = self._store.version
            self.schedule_waiting()
            self._wait_for_change(version)

    def _wait_for_change(self, version: int) -> None:
        found = False
        while not found and not self._stopping.is_set():
            try:
                events, version = self._store.events(
                    _WATCHED, version, timeout=_LOOK_SECONDS, interrupted=self._stopping.is_set
                )
            except ApiError:
                return  # more changed than the history holds
            found = bool(events)

    def _settle(self, pod: Obj, placement: Placement) -> None:
        target = pod_target(pod)
        if placement.node is None:
            self._explain(pod, placement.message)
            return
        self._api.bind(target, {"target": {"kind": "Node", "name": placement.node}}, _WRITER)
        scheduled = {"type": "PodScheduled", "status": "True"}
        self._set_condition(pod, scheduled)
        where = f"{pod['metadata']['namespace']}/{pod['metadata']['name']}"
        message = f"Successfully assigned {where} to {placement.node}"
        self._record(pod, "Normal", "Scheduled", message)

    def _explain(self, pod: Obj, message: str) -> None:
        """Condition and event, once for each message."""
        condition = {"type": "PodScheduled", "status": "False", "reason": "Unschedulable", "message": message}
        if not _says(pod, condition):
            self._set_condition(pod, condition)
            self._record(pod, "Warning", "FailedScheduling", message)

    def _set_condition(self, pod: Obj, condition: Mapping[str, str]) -> None:
        target = pod_target(pod, "status")
        now = timestamp(self._store.clock())
        self._api.update(target, lambda live: _with_condition(live, condition, now), _WRITER)

    def _record(self, pod: Obj, kind: str, reason: str, message: str) -> None:
        record_event(self._api, pod, kind, reason, message, component=NAME, writer=_WRITER)


def is_waiting(pod: Mapping[str, Any]) -> bool:
    """Whether the Pod is ours to place."""
    mine = pod["spec"].get("schedulerName", NAME) == NAME
    leaving = "deletionTimestamp" in pod["metadata"]
    held = pod["spec"].get("nodeName") or pod["spec"].get("schedulingGates")
    return mine and not leaving and not held and not is_finished(pod)


def _placement(pod: Obj, nodes: Sequence[Obj], pods: Sequence[Obj]) -> Placement:
    """One Pod that breaks the rules of its own form must not stop the others: the stand-in's API checks less than the real one."""
    try:
        return plan_placement(pod, nodes, pods)
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        return Placement(node=None, message=f"the objects cannot be read: {type(error).__name__}: {error}")


def _age_order(pod: Obj) -> tuple[str, str, str]:
    metadata = pod["metadata"]
    return metadata["creationTimestamp"], metadata["namespace"], metadata["name"]


def _says(pod: Obj, condition: Mapping[str, str]) -> bool:
    present = (pod.get("status") or {}).get("conditions") or ()
    return any(condition.items() <= each.items() for each in present)


def _with_condition(pod: Obj, condition: Mapping[str, str], now: str) -> Obj:
    status = pod.get("status") or {}
    old = {each["type"]: each for each in status.get("conditions") or ()}
    before = old.pop(condition["type"], {})
    since = before["lastTransitionTime"] if before.get("status") == condition["status"] else now
    new = {**condition, "lastProbeTime": None, "lastTransitionTime": since}
    return {**pod, "status": {**status, "conditions": [*old.values(), new]}}
