"""A kubelet for Nodes that exist only in the API: it reports their pods as running, and ends pods that terminate."""

import threading
from collections.abc import Iterable, Iterator
from typing import Any

from node_core.errors import KubeError
from node_core.kube.http import ApiClient

POLL_S = 0.2
Obj = dict[str, Any]
STATUS = "application/merge-patch+json"


class HollowKubelet:
    """nodes: names. broken: Nodes on which an image that contains `refused` cannot be pulled; may change at any time."""

    def __init__(self, api: ApiClient, nodes: Iterable[str], *, refused: str) -> None:
        self._api, self._nodes, self._refused = api, frozenset(nodes), refused
        self.broken: set[str] = set()
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._run, name="hollow-kubelet", daemon=True)

    def start(self) -> None:
        self._thread.start()

    def stop(self) -> None:
        self._stopping.set()
        self._thread.join()

    def _run(self) -> None:
        while not self._stopping.wait(POLL_S):
            try:
                self._step()
            except KubeError:
                continue  # a pod has changed meanwhile

    def _step(self) -> None:
        for pod in self._api.request("GET", "/api/v1/pods")["items"]:
            metadata = pod["metadata"]
            path = f"/api/v1/namespaces/{metadata['namespace']}/pods/{metadata['name']}"
            if pod["spec"].get("nodeName") not in self._nodes:
                continue
            if metadata.get("deletionTimestamp"):
                self._api.request("DELETE", path, body={"gracePeriodSeconds": 0}, content="application/json")
            elif (status := self._status(pod)) is not None:
                self._api.request("PATCH", f"{path}/status", body={"status": status}, content=STATUS)

    def _status(self, pod: Obj) -> Obj | None:
        """Returns the status to write, or None if the pod has it."""
        images = [each["image"] for each in pod["spec"]["containers"]]
        fails = pod["spec"]["nodeName"] in self.broken and any(self._refused in image for image in images)
        wanted = "Pending" if fails else "Running"
        if pod.get("status", {}).get("phase") == wanted and pod["status"].get("containerStatuses"):
            return None
        statuses = list(_container_statuses(pod, fails=fails))
        ready = {"type": "Ready", "status": str(not fails)}
        return {"phase": wanted, "conditions": [ready], "containerStatuses": statuses}


def _container_statuses(pod: Obj, *, fails: bool) -> Iterator[Obj]:
    waiting = {"waiting": {"reason": "ImagePullBackOff", "message": "the registry does not have this image"}}
    for each in pod["spec"]["containers"]:
        running = {"running": {"startedAt": pod["metadata"]["creationTimestamp"]}}
        state = waiting if fails else running
        image = {"image": each["image"], "imageID": ""}
        yield {"name": each["name"], "ready": not fails, "restartCount": 0, "state": state, **image}
