"""Listens to NVML and to the kernel's log on behalf of the agent, while its gate is open."""

from collections.abc import Callable
from typing import Protocol

from device_plugin.health.box import EvidenceBox
from node_core.domain.evidence import XidEvent
from node_core.domain.inventory import GpuUuid, PciAddress
from node_core.errors import NodeError
from node_core.host.kernel_log import KernelLog
from node_core.host.nvml.api import OpenNvml
from node_core.host.nvml.events import EventWatch
from node_core.host.nvml.real import SESSIONS
from node_core.runtime.release import Releases

UuidOf = Callable[[PciAddress], GpuUuid | None]


class Watch(Protocol):
    """Something that fills a box in threads of its own."""

    def start(self) -> None: ...

    def stop(self) -> None: ...

    def refresh(self) -> None:
        """The GPUs may be others than before."""
        ...


StartWatch = Callable[[EvidenceBox, UuidOf], Watch]


class GpuWatch:
    """forget: called before the agent is woken, so that its next look is a new one. kernel_log: not where GPUs are simulated.

    releases: tells when NVML must not be open. The kernel's log is followed meanwhile.
    """

    def __init__(
        self,
        open_nvml: OpenNvml,
        box: EvidenceBox,
        uuid_of: UuidOf,
        forget: Callable[[], None],
        *,
        kernel_log: bool,
        releases: Releases,
    ) -> None:
        self._box, self._forget, self._releases = box, forget, releases
        self._log = KernelLog(self._seen, uuid_of) if kernel_log else None
        self._events = EventWatch(
            open_nvml,
            self._log.from_nvml if self._log else self._seen,
            self._changed,
            self._failed,
            alone=SESSIONS.wait_until_none,
        )

    def start(self) -> None:
        if self._log is not None:
            self._log.start()
        self._releases.add(self._events)
        self._events.start()

    def stop(self) -> None:
        self._releases.drop(self._events)
        self._events.stop()
        if self._log is not None:
            self._log.stop()

    def refresh(self) -> None:
        self._events.refresh()

    def _seen(self, event: XidEvent) -> None:
        self._forget()
        self._box.seen(event)

    def _changed(self, why: str) -> None:
        self._forget()
        self._box.changed(why)

    def _failed(self, error: NodeError | None) -> None:
        self._forget()
        self._box.failed(error)
