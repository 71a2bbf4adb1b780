"""The API server as the kubelet stand-in uses it: in the same process, by its store."""

import contextlib
import threading
from collections.abc import Collection, Mapping

from node_core.simulate.apiserver.api import Api
from node_core.simulate.apiserver.patch import merge_patch
from node_core.simulate.apiserver.resources import resource_named
from node_core.simulate.apiserver.status import ApiError
from node_core.simulate.apiserver.writes import Target, Writer
from node_core.simulate.recording import Obj, record_event

_WRITER = Writer(manager="kubelet")
_WATCHED = ("nodes", "pods")


class StoreNodeApi:
    """One Node's view; see node_agent.NodeApi."""

    def __init__(self, api: Api, node_name: str) -> None:
        self._api = api
        self._node = Target(resource=resource_named("nodes"), name=node_name, subresource="status")
        self._version = 0
        self._woken = threading.Event()

    def pods(self) -> tuple[Obj, ...]:
        pods, self._version = self._api.store.list("pods")
        return tuple(pod for pod in pods if pod["spec"].get("nodeName") == self._node.name)

    def wait(self, timeout: float) -> None:
        with contextlib.suppress(ApiError):  # more changed than the history holds: look again
            found = False
            while not found and not self._woken.is_set():
                events, self._version = self._api.store.events(
                    _WATCHED, self._version, timeout=timeout, interrupted=self._woken.is_set
                )
                found = bool(events)
        self._woken.clear()

    def wake(self) -> None:
        self._woken.set()
        self._api.store.wake()

    def patch_node_status(self, capacity: Mapping[str, str], allocatable: Mapping[str, str]) -> None:
        patch = {"status": {"capacity": dict(capacity), "allocatable": dict(allocatable)}}
        self._api.update(self._node, lambda node: merge_patch(node, patch), _WRITER)

    def offer_capacity(self, known: Collection[str]) -> None:
        with contextlib.suppress(ApiError):  # the Node is gone
            self._api.update(self._node, lambda node: _offered(node, known), _WRITER)

    def patch_pod_status(self, namespace: str, name: str, status: Obj) -> None:
        target = Target(resource=resource_named("pods"), namespace=namespace, name=name, subresource="status")
        with contextlib.suppress(ApiError):
            self._api.update(target, lambda pod: merge_patch(pod, {"status": status}), _WRITER)

    def record(self, pod: Obj, kind: str, reason: str, message: str) -> None:
        with contextlib.suppress(ApiError):
            record_event(self._api, pod, kind, reason, message, component="kubelet", writer=_WRITER)


def _offered(node: Obj, known: Collection[str]) -> Obj:
    """The Node with its extended resources allocatable as far as its capacity has them."""
    status = node["status"]
    capacity, allocatable = status.get("capacity") or {}, status.get("allocatable") or {}
    kept = {name: amount for name, amount in allocatable.items() if name in known or "/" not in name}
    offered = {name: amount for name, amount in capacity.items() if name not in known and "/" in name}
    return {**node, "status": {**status, "allocatable": {**kept, **offered}}}
