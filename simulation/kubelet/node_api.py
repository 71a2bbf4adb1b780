"""The API calls of the simulated kubelet. They use the store of the simulated API server in the same process."""

import contextlib
import threading
from collections.abc import Callable, Collection, Mapping

from simulation.apiserver.api import Api
from simulation.apiserver.patch import merge_patch
from simulation.apiserver.pod_events import Obj, record_event
from simulation.apiserver.resources import resource_named
from simulation.apiserver.status import ApiError
from simulation.apiserver.writes import Target, Writer

_WRITER = Writer(manager="kubelet")
_WATCHED = ("nodes", "pods")


class StoreNodeApi:
    """Implements node_agent.NodeApi for one Node. register: creates the Node; None to leave a deleted Node deleted."""

    def __init__(self, api: Api, node_name: str, register: Callable[[str], None] | None = None) -> None:
        self._api = api
        self._node = Target(resource=resource_named("nodes"), name=node_name, subresource="status")
        self._register = register
        self._version = 0
        self._woken = threading.Event()

    def pods(self) -> tuple[Obj, ...]:
        pods, self._version = self._api.store.list("pods")
        return tuple(pod for pod in pods if pod["spec"].get("nodeName") == self._node.name)

    def wait(self, timeout: float) -> None:
        self._api.store.wait_for_change(_WATCHED, self._version, timeout=timeout, interrupted=self._woken.is_set)
        self._woken.clear()

    def wake(self) -> None:
        self._woken.set()
        self._api.store.wake()

    def patch_node_status(self, capacity: Mapping[str, str], allocatable: Mapping[str, str]) -> bool:
        patch = {"status": {"capacity": dict(capacity), "allocatable": dict(allocatable)}}
        try:
            self._api.update(self._node, lambda node: merge_patch(node, patch), _WRITER)
        except ApiError:  # the Node does not exist
            return False
        return True

    def register_node(self) -> None:
        if self._register is not None:
            with contextlib.suppress(ApiError):  # another client created the Node, or the Lease exists
                self._register(self._node.name)

    def copy_capacity(self, own_resources: Collection[str]) -> None:
        with contextlib.suppress(ApiError):  # the Node does not exist
            self._api.update(self._node, lambda node: _with_copied_capacity(node, own_resources), _WRITER)

    def patch_pod_status(self, namespace: str, name: str, status: Obj) -> None:
        target = Target(resource=resource_named("pods"), namespace=namespace, name=name, subresource="status")
        with contextlib.suppress(ApiError):
            self._api.update(target, lambda pod: merge_patch(pod, {"status": status}), _WRITER)

    def record(self, pod: Obj, kind: str, reason: str, message: str) -> None:
        with contextlib.suppress(ApiError):
            record_event(self._api, pod, kind, reason, message, component="kubelet", writer=_WRITER)


def _with_copied_capacity(node: Obj, own_resources: Collection[str]) -> Obj:
    """Returns the Node with its capacity of other extended resources also as allocatable."""
    status = node.get("status") or {}
    capacity, allocatable = status.get("capacity") or {}, status.get("allocatable") or {}
    own = {name: amount for name, amount in allocatable.items() if name in own_resources or "/" not in name}
    copied = {name: amount for name, amount in capacity.items() if name not in own_resources and "/" in name}
    return {**node, "status": {**status, "allocatable": {**own, **copied}}}
