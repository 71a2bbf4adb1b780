"""Watches NVML's events and the kernel log while the gate of the agent is open."""

from collections.abc import Callable
from typing import Protocol

from gpu_core.domain.evidence import XidEvent
from gpu_core.domain.inventory import GpuUuid, Inventory
from gpu_core.health.xid_queue import XidQueue
from gpu_core.host.kernel_log import KernelLog
from gpu_core.host.xid_dedup import XidDeduplicator
from gpu_core.nvml.api import OpenNvml
from gpu_core.nvml.events import EventWatch
from gpu_core.nvml.real import SESSIONS
from gpu_core.release import NvmlReleaseController
from node_core.domain.pci import PciAddress
from node_core.errors import NodeError

UuidOf = Callable[[PciAddress], GpuUuid | None]


class Watch(Protocol):
    """Fills an XidQueue from separate threads."""

    def start(self) -> None: ...

    def stop(self) -> None: ...

    def liveness_problem(self) -> str | None:
        """Returns a sentence if a thread has ended before `stop`; else None. Callable from any thread."""
        ...

    def refresh(self) -> None:
        """Registers for the events of all GPUs again."""
        ...


StartWatch = Callable[[XidQueue, UuidOf], Watch]


def needs_refresh(before: Inventory | None, now: Inventory) -> bool:
    """Whether a watch must register GPUs again: the set of GPUs changed, or a lost GPU may have returned. PURE."""
    if now.faults or any(state.lost for state in now.states):
        return True
    return before is not None and {gpu.uuid for gpu in before.gpus} != {gpu.uuid for gpu in now.gpus}


class GpuWatch:
    """Watches NVML events and the kernel log.

    invalidate: drops the cached inventory before the agent is woken. kernel_log: False for simulated GPUs. nvml_release: closes the event
    watch while NVML is released; the kernel log watch continues.
    """

    def __init__(
        self,
        open_nvml: OpenNvml,
        queue: XidQueue,
        uuid_of: UuidOf,
        invalidate: Callable[[], None],
        *,
        kernel_log: bool,
        nvml_release: NvmlReleaseController,
    ) -> None:
        self._queue, self._invalidate, self._nvml_release = queue, invalidate, nvml_release
        self._xids = XidDeduplicator(uuid_of)
        self._log = KernelLog(self._add, self._xids) if kernel_log else None
        self._events = EventWatch(
            open_nvml,
            self._from_nvml,
            self._request_discovery,
            self._set_problem,
            wait_alone=SESSIONS.wait_until_none,
        )

    def start(self) -> None:
        if self._log is not None:
            self._log.start()
        self._nvml_release.add(self._events)
        SESSIONS.add_holder(self._events)
        self._events.start()

    def stop(self) -> None:
        self._events.stop()
        if self._log is not None:
            self._log.stop()

    def liveness_problem(self) -> str | None:
        return self._events.liveness_problem() or (self._log.liveness_problem() if self._log else None)

    def refresh(self) -> None:
        self._events.refresh()

    def _from_nvml(self, event: XidEvent) -> None:
        for each in self._xids.from_nvml(event):
            self._add(each)

    def _add(self, event: XidEvent) -> None:
        self._invalidate()
        self._queue.add(event)

    def _request_discovery(self, why: str) -> None:
        self._invalidate()
        self._queue.request_discovery(why)

    def _set_problem(self, error: NodeError | None) -> None:
        self._invalidate()
        self._queue.set_problem(error)
