"""Follows the kernel's log for Xids, to catch what NVML does not tell: a GPU that NVML cannot be asked about, a watch that has ended.

Begins at the log's end: what was before is not news. Where the log may not be read, that is said once, and NVML's own events remain.
Source: kernel Documentation/ABI/testing/dev-kmsg.
"""

import errno
import os
import threading
import time
from collections.abc import Callable, Iterable
from dataclasses import replace

import structlog

from node_core.domain.evidence import XidEvent
from node_core.domain.inventory import GpuUuid, PciAddress
from node_core.host.fold import Folded
from node_core.host.stoppable import StoppableThread, Woken
from node_core.host.xid_lines import parse_guid, parse_record, parse_xid
from node_core.host.xid_twice import HOLD, ToldTwice

log = structlog.get_logger(__name__)

KERNEL_LOG = "/dev/kmsg"
RECORD = 16384
"""Bytes; one read gives one record, of which the kernel makes none longer than 8 KiB."""
PERIOD = 1.0
"""Seconds in which one Xid of one GPU is told once."""
STOP = 1.0
"""Seconds that the end waits for whoever is being told something."""
_NOTHING_NOW = frozenset({errno.EAGAIN, errno.EINTR})
_LOST_SOME = frozenset({errno.EPIPE})
"""Records that the kernel has overwritten before we read them: the next one is the oldest that there is."""


def open_kernel_log(path: str = KERNEL_LOG) -> int:
    """A file descriptor at the log's end. Raises OSError where it may not be had."""
    file = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    try:
        os.lseek(file, 0, os.SEEK_END)
    except OSError:
        os.close(file)
        raise
    return file


class KernelLog:
    """seen: an Xid that was not told before, from the log's thread or from that of `from_nvml`, which gets NVML's.

    uuid_of: the GPU at an address, None where that is not known. hold: seconds that NVML has to tell the same.
    """

    def __init__(
        self,
        seen: Callable[[XidEvent], None],
        uuid_of: Callable[[PciAddress], GpuUuid | None],
        *,
        open_log: Callable[[], int] = open_kernel_log,
        read: Callable[[int, int], bytes] = os.read,
        hold: float = HOLD,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._seen, self._uuid_of = seen, uuid_of
        self._open_log, self._read_record, self._clock = open_log, read, clock
        self._lock = threading.Lock()
        self._twice = ToldTwice(self._uuid, hold)
        self._folded: Folded[XidEvent] = Folded(lambda event, count: replace(event, count=count))
        self._named: dict[PciAddress, GpuUuid] = {}
        self._thread = StoppableThread("kernel-log")

    def start(self) -> None:
        try:
            file = self._open_log()
        except OSError as error:
            log.info("kernel_log_unavailable", why=error.strerror, effect="Xids come from NVML alone")
            return
        self._thread.start(lambda: self._run(file))

    def stop(self) -> None:
        self._thread.stop(STOP)

    def from_nvml(self, event: XidEvent) -> None:
        """Tells it, unless the log's has been told already."""
        with self._lock:
            told = self._twice.from_nvml(event)
        self._tell(told)

    def _run(self, file: int) -> None:
        try:
            while self._wait(file):
                if not self._read(file):
                    log.info("kernel_log_ended", effect="Xids come from NVML alone")
                    break
                self._take_due()
        finally:
            os.close(file)

    def _wait(self, file: int) -> bool:
        """Until there may be something to read or to tell; False when the end has come."""
        with self._lock:
            dues = [due for due in (self._twice.next_due(), self._folded.next_due()) if due is not None]
        timeout = max(0.0, min(dues) - self._clock()) if dues else None
        return self._thread.wait(file, timeout) is not Woken.END

    def _read(self, file: int) -> bool:
        """Takes one record, if there is one; False where there will be none any more."""
        try:
            record = self._read_record(file, RECORD)
        except OSError as error:
            return error.errno in _NOTHING_NOW | _LOST_SOME
        if (line := parse_record(record)) is not None:
            self._take(line)
        return bool(record)

    def _take(self, line: str) -> None:
        if (named := parse_guid(line)) is not None:
            self._named[named[0]] = named[1]
        if (event := parse_xid(line)) is None:
            return
        now = self._clock()
        with self._lock:
            once = self._folded.add(event, replace(event, at=now), now, PERIOD)
            told = [each for one in once for each in self._twice.from_log(one)]
        self._tell(told)

    def _take_due(self) -> None:
        now = self._clock()
        with self._lock:
            again = [each for one in self._folded.take_due(now) for each in self._twice.from_log(one)]
            told = [*again, *self._twice.take_due(now)]
        self._tell(told)

    def _tell(self, events: Iterable[XidEvent]) -> None:
        for event in events:
            self._seen(event)

    def _uuid(self, address: PciAddress) -> GpuUuid | None:
        """The inventory's, or what the log itself has said."""
        return self._uuid_of(address) or self._named.get(address)
