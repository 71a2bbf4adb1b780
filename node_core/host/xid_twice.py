"""An Xid that NVML and the kernel's log both tell is told once. Pure: the caller brings the time.

The rule: the same Xid of the same GPU from both within two seconds is one. The log is usually first by some milliseconds, and NVML knows
more (the MIG device): so what the log says is held back for half a second, and dropped when NVML says it, before or meanwhile.
"""

from collections.abc import Callable
from dataclasses import replace

from node_core.domain.evidence import XidEvent
from node_core.domain.inventory import GpuUuid, PciAddress

SAME = 2.0
"""Seconds between two tellings of one Xid."""
HOLD = 0.5
"""Seconds that the log's are held back."""
MOST_HELD = 1000
"""So many are held at a time; more are told at once."""

_Key = tuple[int, GpuUuid | PciAddress | None]


class ToldTwice:
    """uuid_of: the GPU at an address, None where that is not known. hold: seconds."""

    def __init__(self, uuid_of: Callable[[PciAddress], GpuUuid | None], hold: float = HOLD) -> None:
        self._uuid_of = uuid_of
        self._hold = hold
        self._held: list[XidEvent] = []
        self._by_nvml: dict[_Key, float] = {}
        self._by_log: dict[_Key, float] = {}

    def from_nvml(self, event: XidEvent) -> tuple[XidEvent, ...]:
        """What is to be told: the event, unless the log's has been told already."""
        key = self._key(event)
        if _is_soon(self._by_log.get(key), event.at):
            return ()
        self._by_nvml[key] = event.at
        self._held = [held for held in self._held if self._key(held) != key or not _is_soon(held.at, event.at)]
        return (event,)

    def from_log(self, event: XidEvent) -> tuple[XidEvent, ...]:
        """What is to be told at once: nothing, unless too many are held."""
        if event.gpu is None and event.address is not None:
            event = replace(event, gpu=self._uuid_of(event.address))
        if _is_soon(self._by_nvml.get(self._key(event)), event.at):
            return ()
        self._held.append(event)
        return self.take_due(event.at + self._hold) if len(self._held) > MOST_HELD else ()

    def take_due(self, now: float) -> tuple[XidEvent, ...]:
        """Those of the log that NVML has not told in time."""
        due = tuple(held for held in self._held if held.at + self._hold <= now)
        self._held = [held for held in self._held if held.at + self._hold > now]
        self._by_log |= {self._key(event): event.at for event in due}
        for told in (self._by_nvml, self._by_log):
            for key in [key for key, at in told.items() if now - at > SAME]:
                del told[key]
        return due

    def next_due(self) -> float | None:
        return min((held.at + self._hold for held in self._held), default=None)

    def _key(self, event: XidEvent) -> _Key:
        if event.gpu is None and event.address is not None:
            return event.xid, self._uuid_of(event.address) or event.address
        return event.xid, event.gpu


def _is_soon(told: float | None, at: float) -> bool:
    return told is not None and abs(at - told) <= SAME
