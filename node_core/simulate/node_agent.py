"""What a kubelet does with the Node and its Pods, around the stand-in for its device manager. No container is ever started.

Level-triggered, as the real one: it looks at the Pods that are bound to the Node, and does what is still to do.
"""

import threading
from collections.abc import Collection, Mapping
from datetime import UTC, datetime
from typing import Any, Protocol

from node_core.simulate.kubelet import ContainerGrant, Kubelet, Resources
from node_core.simulate.kubelet_devices import AdmissionError

LOOK_SECONDS = 30.0

Obj = dict[str, Any]


class NodeApi(Protocol):
    """The API server as the kubelet of one Node uses it. A Pod that is gone by now is passed over in silence."""

    def pods(self) -> tuple[Obj, ...]:
        """All Pods that are bound to the Node."""
        ...

    def wait(self, timeout: float) -> None:
        """Until something may have changed since the last `pods`, or after `timeout` seconds, or at once after `wake`."""
        ...

    def wake(self) -> None:
        """Ends the `wait` of now, or the next one."""
        ...

    def patch_node_status(self, capacity: Mapping[str, str], allocatable: Mapping[str, str]) -> None:
        """Sets these resources in the Node's status and leaves all others."""
        ...

    def offer_capacity(self, known: Collection[str]) -> None:
        """Makes allocatable what others have put into the Node's capacity, as the real kubelet does.

        known: the resources that the kubelet sets itself.
        """
        ...

    def patch_pod_status(self, namespace: str, name: str, status: Obj) -> None:
        """Merges into the Pod's status."""
        ...

    def record(self, pod: Obj, kind: str, reason: str, message: str) -> None:
        """An Event about the Pod. kind: Normal or Warning."""
        ...


class NodeAgent:
    """grants: Pod UID -> container -> what it got, of the Pods that run."""

    def __init__(self, api: NodeApi, kubelet: Kubelet, node_name: str) -> None:
        self.grants: Mapping[str, Mapping[str, ContainerGrant]] = {}
        self._api = api
        self._kubelet = kubelet
        self._node_name = node_name
        self._settled: frozenset[str] = frozenset()
        self._reported: dict[str, tuple[int, int]] = {}
        self._stopping = threading.Event()
        self._thread: threading.Thread | None = None
        kubelet.subscribe(self._resources_changed)

    def start(self) -> None:
        if self._thread is None:
            self._stopping.clear()
            self._thread = threading.Thread(target=self._run, name=f"kubelet-{self._node_name}", daemon=True)
            self._thread.start()

    def stop(self) -> None:
        if self._thread is not None:
            self._stopping.set()
            self._api.wake()
            self._thread.join()
            self._thread = None

    def sync(self) -> None:
        """One look: the Node's resources, the Pods that came, those that went. `start` does this at every change."""
        self._report_resources()
        pods = {pod["metadata"]["uid"]: pod for pod in self._api.pods()}
        live = {uid for uid, pod in pods.items() if not _is_over(pod)}
        for uid in self._settled - live:
            self._kubelet.release(uid)
        self._settled &= live
        self.grants = {uid: grant for uid, grant in self.grants.items() if uid in live}
        for uid in sorted(live - self._settled):
            self._settled |= {uid}
            self._settle(uid, pods[uid])

    def _run(self) -> None:
        while not self._stopping.is_set():
            self.sync()
            self._api.wait(LOOK_SECONDS)

    def _resources_changed(self, _: Resources) -> None:
        self._api.wake()

    def _report_resources(self) -> None:
        """A resource that the kubelet has forgotten stays in the status, as 0."""
        found = {name: (each.capacity, each.allocatable) for name, each in self._kubelet.resources().items()}
        wanted = dict.fromkeys(self._reported, (0, 0)) | found
        if wanted != self._reported:
            capacity = {name: str(amount) for name, (amount, _) in wanted.items()}
            allocatable = {name: str(amount) for name, (_, amount) in wanted.items()}
            self._api.patch_node_status(capacity, allocatable)
            self._reported = wanted
        self._api.offer_capacity(self._reported)

    def _settle(self, uid: str, pod: Obj) -> None:
        grants: dict[str, ContainerGrant] = {}
        try:
            for container in pod["spec"]["containers"]:
                grants[container["name"]] = self._kubelet.admit(uid, container["name"], device_requests(container))
        except AdmissionError as error:
            self._kubelet.release(uid)
            self._refuse(pod, error)
            return
        self.grants = {**self.grants, uid: grants}
        self._patch(pod, running_status(pod, _now()))

    def _refuse(self, pod: Obj, error: AdmissionError) -> None:
        self._patch(pod, {"phase": "Failed", "reason": error.reason, "message": f"Pod was rejected: {error}"})
        self._api.record(pod, "Warning", error.reason, str(error))

    def _patch(self, pod: Obj, status: Obj) -> None:
        self._api.patch_pod_status(pod["metadata"]["namespace"], pod["metadata"]["name"], status)


def device_requests(container: Mapping[str, Any]) -> dict[str, int]:
    """Resource -> how many: extended resources, which are whole numbers and the same as limit and request."""
    resources = container.get("resources") or {}
    amounts = {**(resources.get("requests") or {}), **(resources.get("limits") or {})}
    return {name: int(amount) for name, amount in amounts.items() if "/" in name and str(amount).isdecimal()}


def running_status(pod: Obj, now: str) -> Obj:
    """The status of a Pod whose containers all run. now: RFC 3339."""
    conditions = [
        {"type": name, "status": "True", "lastTransitionTime": now}
        for name in ("PodScheduled", "Initialized", "ContainersReady", "Ready")
    ]
    statuses = [
        {
            "name": container["name"],
            "image": container.get("image", ""),
            "imageID": "",
            "ready": True,
            "started": True,
            "restartCount": 0,
            "state": {"running": {"startedAt": now}},
        }
        for container in pod["spec"]["containers"]
    ]
    return {"phase": "Running", "startTime": now, "conditions": conditions, "containerStatuses": statuses}


def _is_over(pod: Obj) -> bool:
    """Whether its devices may be given to others."""
    finished = (pod.get("status") or {}).get("phase") in ("Succeeded", "Failed")
    return finished or "deletionTimestamp" in pod["metadata"]


def _now() -> str:
    return datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
