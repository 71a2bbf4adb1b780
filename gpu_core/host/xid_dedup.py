"""Merges Xids that both NVML and the kernel log report. The caller passes the time.

The same Xid of the same GPU from both sources within two seconds is one Xid. The kernel log is usually a few milliseconds earlier, but
NVML also reports the MIG device. So an Xid of the log is delayed for half a second, and dropped if NVML reports the same Xid.
"""

import threading
from collections.abc import Callable

from gpu_core.domain.evidence import XidEvent
from gpu_core.domain.inventory import GpuUuid
from node_core.domain.pci import PciAddress
from node_core.values import replace

SAME = 2.0
"""Maximum seconds between the two reports of one Xid."""
DELAY = 0.5
"""Seconds for which Xids of the log are delayed."""
MAX_DELAYED = 1000
"""Maximum number of delayed events. Beyond that, events are reported at once."""

_Key = tuple[int, GpuUuid | PciAddress | None]


class XidDeduplicator:
    """Thread-safe. uuid_of: returns the GPU at an address, or None. delay: seconds."""

    def __init__(self, uuid_of: Callable[[PciAddress], GpuUuid | None], delay: float = DELAY) -> None:
        self._inventory_uuid = uuid_of
        self._named: dict[PciAddress, GpuUuid] = {}
        self._lock = threading.RLock()
        self._delay = delay
        self._delayed: list[XidEvent] = []
        self._by_nvml: dict[_Key, float] = {}
        self._by_log: dict[_Key, float] = {}

    def from_nvml(self, event: XidEvent) -> tuple[XidEvent, ...]:
        """The events to report: this one, unless the log's copy was already reported."""
        with self._lock:
            key = self._key(event)
            if _is_soon(self._by_log.get(key), event.at):
                return ()
            self._by_nvml[key] = event.at
            self._delayed = [
                each for each in self._delayed if self._key(each) != key or not _is_soon(each.at, event.at)
            ]
            return (event,)

    def from_log(self, event: XidEvent) -> tuple[XidEvent, ...]:
        """The events to report at once: none, unless too many are delayed."""
        with self._lock:
            if event.gpu is None and event.address is not None:
                event = replace(event, gpu=self._uuid_of(event.address))
            if _is_soon(self._by_nvml.get(self._key(event)), event.at):
                return ()
            self._delayed.append(event)
            return self.pop_due(event.at + self._delay) if len(self._delayed) > MAX_DELAYED else ()

    def pop_due(self, now: float) -> tuple[XidEvent, ...]:
        """Removes and returns the delayed events that NVML has not reported in time."""
        with self._lock:
            due = tuple(each for each in self._delayed if each.at + self._delay <= now)
            self._delayed = [each for each in self._delayed if each.at + self._delay > now]
            self._by_log |= {self._key(event): event.at for event in due}
            for reported in (self._by_nvml, self._by_log):
                for key in [key for key, at in reported.items() if now - at > SAME]:
                    del reported[key]
            return due

    def next_due(self) -> float | None:
        with self._lock:
            return min((each.at + self._delay for each in self._delayed), default=None)

    def add_name(self, address: PciAddress, uuid: GpuUuid) -> None:
        """Stores the GPU at an address from the log, used if the inventory does not contain the address."""
        with self._lock:
            self._named[address] = uuid

    def _uuid_of(self, address: PciAddress) -> GpuUuid | None:
        return self._inventory_uuid(address) or self._named.get(address)

    def _key(self, event: XidEvent) -> _Key:
        if event.gpu is None and event.address is not None:
            return event.xid, self._uuid_of(event.address) or event.address
        return event.xid, event.gpu


def _is_soon(reported: float | None, at: float) -> bool:
    return reported is not None and abs(at - reported) <= SAME
