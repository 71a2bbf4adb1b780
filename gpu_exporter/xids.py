"""Counts the Xids of each GPU. The gauge with the last Xid returns to 0 when the GPU is healthy again.

In dcgm-exporter the gauge never returns. A GPU is healthy again by the same rules as for the device plugin, see `gpu_core.domain.health`;
an Xid that leaves a GPU healthy stays for the window.
"""

import threading
from collections import Counter, deque
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field

import msgspec

from gpu_core.domain.evidence import GpuState, XidEvent
from gpu_core.domain.health import Health, HealthPolicy, observe, record_xid
from gpu_core.domain.inventory import GpuUuid, Inventory
from node_core.values import replace

MAX_KEYS = 256
"""Different Xids of a GPU. Further ones are counted as Xid 0, so that a broken driver does not fill the memory."""
MAX_RECENT = 4096
"""Events of a GPU within the window. Older ones are forgotten, which only makes the window shorter."""
NO_XID = 0


class XidKey(msgspec.Struct, frozen=True, kw_only=True, order=True):
    """gpu_instance: -1 for the whole GPU."""

    xid: int
    gpu_instance: int = -1


class GpuXids(msgspec.Struct, frozen=True, kw_only=True):
    """total: since the agent started. recent: within the window. last: the last Xid, or 0 if the GPU is healthy again."""

    total: Mapping[XidKey, int] = msgspec.field(default_factory=dict)
    recent: Mapping[XidKey, int] = msgspec.field(default_factory=dict)
    last: int = NO_XID


@dataclass(slots=True)
class _Record:
    total: Counter[XidKey] = field(default_factory=Counter)
    recent: deque[tuple[float, XidKey, int]] = field(default_factory=lambda: deque(maxlen=MAX_RECENT))
    last: int = NO_XID
    last_at: float = 0.0
    health: Health = field(default_factory=Health)


class XidLog:
    """window: seconds. All methods are callable from any thread."""

    def __init__(self, window: float, clock: Callable[[], float], policy: HealthPolicy | None = None) -> None:
        self._window, self._clock = window, clock
        self._policy = policy or HealthPolicy()
        self._lock = threading.Lock()
        self._records: dict[GpuUuid, _Record] = {}

    def add(self, event: XidEvent) -> None:
        """Counts an Xid, or several equal ones. Ignores an event of an unknown GPU."""
        if event.gpu is None:
            return
        with self._lock:
            record = self._records.setdefault(event.gpu, _Record())
            key = XidKey(xid=event.xid, gpu_instance=-1 if event.gpu_instance is None else event.gpu_instance)
            if key not in record.total and len(record.total) >= MAX_KEYS:
                key = XidKey(xid=NO_XID)
            record.total[key] += event.count
            record.recent.append((event.at, key, event.count))
            record.last, record.last_at = event.xid, event.at
            record.health = record_xid(record.health, replace(event, gpu_instance=None), self._policy)

    def observe(self, inventory: Inventory, began: float) -> None:
        """Processes a discovery, which shows whether GPUs are healthy again. began: when the discovery started."""
        states = {state.gpu: state for state in inventory.states}
        lost = {fault.uuid for fault in inventory.faults}
        with self._lock:
            for gpu, record in self._records.items():
                state = GpuState(gpu=gpu, lost=True) if gpu in lost else states.get(gpu)
                record.health = observe(record.health, state, began, self._policy)

    def snapshot(self) -> Mapping[GpuUuid, GpuXids]:
        """Returns the Xids of each GPU that has had one. Equal states give equal snapshots."""
        now = self._clock()
        with self._lock:
            return {gpu: self._describe(record, now) for gpu, record in self._records.items()}

    def _describe(self, record: _Record, now: float) -> GpuXids:
        recent: Counter[XidKey] = Counter()
        for key, count in self._within_window(record, now):
            recent[key] += count
        is_healthy = record.health.phase.is_usable and now - record.last_at >= self._window
        return GpuXids(total=dict(record.total), recent=dict(recent), last=NO_XID if is_healthy else record.last)

    def _within_window(self, record: _Record, now: float) -> Iterator[tuple[XidKey, int]]:
        while record.recent and now - record.recent[0][0] >= self._window:
            record.recent.popleft()
        return ((key, count) for _, key, count in record.recent)
