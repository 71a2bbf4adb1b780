"""What other threads have seen of the GPUs, until the agent's thread takes it. A storm is counted and not queued."""

import threading
from collections.abc import Callable
from dataclasses import dataclass, replace

from node_core.domain.evidence import XidEvent
from node_core.errors import NodeError

MOST_KINDS = 1024
"""So many different things are told apart between two takes; more are only counted as lost."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Taken:
    """xids: the newest of each kind, counted. wants_look: something else happened, as a change of MIG devices. lost: beyond MOST_KINDS."""

    xids: tuple[XidEvent, ...] = ()
    wants_look: bool = False
    lost: int = 0


class EvidenceBox:
    """seen, changed, failed: called in any thread; see host.nvml.events. wake: called when there is something to take."""

    def __init__(self, wake: Callable[[], None]) -> None:
        self.problem: str | None = None
        self._wake = wake
        self._lock = threading.Lock()
        self._xids: dict[tuple[object, ...], XidEvent] = {}
        self._lost = 0
        self._wants_look = False

    def seen(self, event: XidEvent) -> None:
        key = (event.gpu, event.address, event.gpu_instance, event.xid, event.source)
        with self._lock:
            was_empty, before = not self._xids, self._xids.get(key)
            if before is None and len(self._xids) >= MOST_KINDS:
                self._lost += event.count
                return
            self._xids[key] = replace(event, count=event.count + before.count) if before else event
        if was_empty:
            self._wake()

    def changed(self, *_: object) -> None:
        """Something about the GPUs is not as it was at the last look."""
        with self._lock:
            self._wants_look = True
        self._wake()

    def failed(self, error: NodeError | None) -> None:
        """Events cannot be had just now; None: they can again. Either may be the driver's doing."""
        self.problem = None if error is None else str(error)
        self.changed()

    def take(self) -> Taken:
        """Everything since the last time."""
        with self._lock:
            taken = Taken(xids=tuple(self._xids.values()), wants_look=self._wants_look, lost=self._lost)
            self._xids, self._wants_look, self._lost = {}, False, 0
            return taken
