"""The simulated kubelet's work on the Node and its Pods. It starts no containers.

It is level-triggered: each pass lists the Pods that are bound to the Node, and admits the new ones.
"""

import threading
from collections.abc import Collection, Mapping
from datetime import UTC, datetime
from typing import Any, Protocol

from simulation.kubelet.cpus import exclusive_cpus
from simulation.kubelet.devices import AdmissionError
from simulation.kubelet.kubelet import ContainerGrant, Kubelet, Resources

RESYNC_SECONDS = 30.0

Obj = dict[str, Any]


class NodeApi(Protocol):
    """The API calls of a kubelet. Writes for a deleted Pod are ignored."""

    def pods(self) -> tuple[Obj, ...]:
        """Returns the Pods that are bound to the Node."""
        ...

    def wait(self, timeout: float) -> None:
        """Waits for a change since the last `pods`, for `timeout` seconds, or for `wake`."""
        ...

    def wake(self) -> None:
        """Ends the current or the next `wait`."""
        ...

    def patch_node_status(self, capacity: Mapping[str, str], allocatable: Mapping[str, str]) -> bool:
        """Sets the resources in the Node's status. Does not change other resources. Returns False if the Node does not exist."""
        ...

    def register_node(self) -> None:
        """Creates the Node if the kubelet registers its Node."""
        ...

    def copy_capacity(self, own_resources: Collection[str]) -> None:
        """Copies the Node's capacity to allocatable for resources that other programs have set, as the kubelet does.

        own_resources: the resources that the kubelet sets.
        """
        ...

    def patch_pod_status(self, namespace: str, name: str, status: Obj) -> None:
        """Merges `status` into the Pod's status."""
        ...

    def record(self, pod: Obj, kind: str, reason: str, message: str) -> None:
        """Records an Event about the Pod. kind: Normal or Warning."""
        ...


class NodeAgent:
    """grants: the allocations of the running Pods: Pod UID -> container name -> grant.

    names: Pod UID -> namespace and name, of all Pods of the Node.
    """

    def __init__(self, api: NodeApi, kubelet: Kubelet, node_name: str) -> None:
        self.grants: Mapping[str, Mapping[str, ContainerGrant]] = {}
        self.names: Mapping[str, tuple[str, str]] = {}
        self._api = api
        self.kubelet = kubelet
        self._node_name = node_name
        self._admitted: frozenset[str] = frozenset()
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
        """Reports the Node's resources, releases the devices of ended Pods and admits new Pods. The thread calls this at each change.

        A Node that was deleted is registered again if the API allows it. A real kubelet registers its Node only when the kubelet starts.
        """
        pods = {pod["metadata"]["uid"]: pod for pod in self._api.pods()}  # first: `wait` returns for changes since then
        self._report_resources()
        self.names = {uid: (pod["metadata"]["namespace"], pod["metadata"]["name"]) for uid, pod in pods.items()}
        live = {uid for uid, pod in pods.items() if not _is_over(pod)}
        for uid in self._admitted - live:
            self.kubelet.release(uid)
        self._admitted &= live
        self.grants = {uid: grant for uid, grant in self.grants.items() if uid in live}
        for uid in sorted(live - self._admitted):
            self._admitted |= {uid}
            self._admit_pod(uid, pods[uid])

    def _run(self) -> None:
        while not self._stopping.is_set():
            self.sync()
            self._api.wait(RESYNC_SECONDS)

    def _resources_changed(self, _: Resources) -> None:
        self._api.wake()

    def _report_resources(self) -> None:
        """Writes the resources of the plugins to the Node's status. A removed resource remains in the status with the value 0.

        Each pass writes, because another program may have changed the status or created the Node again. An equal status is not a change.
        """
        current = {name: (each.capacity, each.allocatable) for name, each in self.kubelet.resources().items()}
        self._reported |= dict.fromkeys(self._reported, (0, 0)) | current
        capacity = {name: str(amount) for name, (amount, _) in self._reported.items()}
        allocatable = {name: str(amount) for name, (_, amount) in self._reported.items()}
        if not self._api.patch_node_status(capacity, allocatable):
            self._api.register_node()
        self._api.copy_capacity(self._reported)

    def _admit_pod(self, uid: str, pod: Obj) -> None:
        grants: dict[str, ContainerGrant] = {}
        try:
            for container in pod["spec"]["containers"]:
                requests, cpus = device_requests(container), exclusive_cpus(pod, container)
                grants[container["name"]] = self.kubelet.admit(uid, container["name"], requests, cpus=cpus)
        except AdmissionError as error:
            self.kubelet.release(uid)
            self._reject_pod(pod, error)
            return
        self.grants = {**self.grants, uid: grants}
        self._patch(pod, running_status(pod, _now()))

    def _reject_pod(self, pod: Obj, error: AdmissionError) -> None:
        self._patch(pod, {"phase": "Failed", "reason": error.reason, "message": f"Pod was rejected: {error}"})
        self._api.record(pod, "Warning", error.reason, str(error))

    def _patch(self, pod: Obj, status: Obj) -> None:
        self._api.patch_pod_status(pod["metadata"]["namespace"], pod["metadata"]["name"], status)


def device_requests(container: Mapping[str, Any]) -> dict[str, int]:
    """Returns the requested extended resources and their counts. The limit and the request of an extended resource are equal integers."""
    resources = container.get("resources") or {}
    amounts = {**(resources.get("requests") or {}), **(resources.get("limits") or {})}
    return {name: int(amount) for name, amount in amounts.items() if "/" in name and str(amount).isdecimal()}


def running_status(pod: Obj, now: str) -> Obj:
    """Returns the status of a Pod whose containers all run. now: RFC 3339."""
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
    """Returns whether the devices of the Pod can be released."""
    return (pod.get("status") or {}).get("phase") in ("Succeeded", "Failed")


def _now() -> str:
    return datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
