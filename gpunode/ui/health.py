"""The changes of the health of each Node since the page's server started."""

import threading
import time
from collections import deque
from collections.abc import Callable, Mapping

from gpunode.cluster.feed import Snapshot
from node_core.domain.conditions import GPU_READY
from node_core.scheduling.objects import ApiStruct, Condition, Node

MAX_CHANGES = 100
"""Changes of one Node that are remembered."""


class HealthChange(ApiStruct, frozen=True):
    """at: RFC 3339. status: of the condition GPUReady."""

    at: str
    status: str
    reason: str = ""
    message: str = ""


class HealthHistory:
    """Used by several threads. clock: Unix seconds."""

    def __init__(self, clock: Callable[[], float] = time.time) -> None:
        self._clock = clock
        self._lock = threading.Lock()
        self._nodes: Mapping[str, Node] = {}
        self._changes: dict[str, deque[HealthChange]] = {}

    def update(self, snapshot: Snapshot) -> None:
        """Compares the conditions with those of the snapshot before."""
        if snapshot.nodes is self._nodes:
            return  # only Pods changed
        with self._lock:
            self._nodes = snapshot.nodes
            self._changes = {name: changes for name, changes in self._changes.items() if name in snapshot.nodes}
            for name, node in snapshot.nodes.items():
                if (condition := node.condition(GPU_READY)) is not None:
                    self._record(self._changes.setdefault(name, deque(maxlen=MAX_CHANGES)), condition)

    def changes(self, node: str) -> tuple[HealthChange, ...]:
        """Returns the changes of a Node, the oldest first."""
        with self._lock:
            return tuple(self._changes.get(node, ()))

    def _record(self, changes: deque[HealthChange], condition: Condition) -> None:
        now = (condition.status, condition.reason, condition.message)
        if changes and now == (changes[-1].status, changes[-1].reason, changes[-1].message):
            return
        at = _timestamp(self._clock()) if changes else condition.since
        changes.append(HealthChange(at=at, status=now[0], reason=now[1], message=now[2]))


def _timestamp(seconds: float) -> str:
    return time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(seconds))
