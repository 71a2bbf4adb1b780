"""Watches the kernel log for Xids that NVML does not report: of a GPU that NVML cannot query, or after the event watch has ended.

Starts at the end of the log and ignores older records. If the log cannot be read, one log line reports that only NVML reports Xids.
Source: kernel Documentation/ABI/testing/dev-kmsg.
"""

import errno
import os
import time
from collections.abc import Callable, Iterable

import structlog

from gpu_core.domain.evidence import XidEvent
from gpu_core.host.xid_dedup import XidDeduplicator
from gpu_core.host.xid_lines import parse_guid, parse_record, parse_xid
from node_core.domain.coalescer import Coalescer
from node_core.host.stoppable_thread import ThreadedService, WakeReason
from node_core.values import replace

log = structlog.get_logger(__name__)

KERNEL_LOG = "/dev/kmsg"
RECORD = 16384
"""Bytes of a read, which returns one record. Records of the kernel have at most 8 KiB."""
PERIOD = 1.0
"""Seconds within which equal Xids of a GPU are reported as one."""
_EFFECT = "only NVML reports Xids"
_TEMPORARY = frozenset({errno.EAGAIN, errno.EINTR, errno.EPIPE})
"""EPIPE: the kernel overwrote records before they were read. The next read returns the oldest remaining record."""


def open_kernel_log(path: str = KERNEL_LOG) -> int:
    """A file descriptor at the end of the log. Raises OSError."""
    file = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    try:
        os.lseek(file, 0, os.SEEK_END)
    except OSError:
        os.close(file)
        raise
    return file


class KernelLog(ThreadedService):
    """on_xid: called in the log's thread with each Xid that NVML did not report. xids: shared with the watch of NVML's events."""

    stop_seconds = 1.0

    def __init__(
        self,
        on_xid: Callable[[XidEvent], None],
        xids: XidDeduplicator,
        *,
        open_log: Callable[[], int] = open_kernel_log,
        read: Callable[[int, int], bytes] = os.read,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._on_xid, self._xids = on_xid, xids
        self._open_log, self._read_record, self._clock = open_log, read, clock
        self._repeats: Coalescer[XidEvent] = Coalescer(lambda event, count: replace(event, count=count))
        super().__init__("kernel-log")

    def start(self) -> None:
        try:
            file = self._open_log()
        except OSError as error:
            log.info("kernel_log_unavailable", why=error.strerror, effect=_EFFECT)
            return
        self._thread.start(lambda: self._run(file))

    def _run(self, file: int) -> None:
        try:
            while self._wait(file):
                if not self._read(file):
                    log.info("kernel_log_ended", effect=_EFFECT)
                    break
                self._report_due()
        finally:
            os.close(file)

    def _wait(self, file: int) -> bool:
        """Waits for a record to read or a repeat to report. Returns False if the thread has to end."""
        dues = [due for due in (self._xids.next_due(), self._repeats.next_due()) if due is not None]
        timeout = max(0.0, min(dues) - self._clock()) if dues else None
        return self._thread.wait(file, timeout) is not WakeReason.STOP

    def _read(self, file: int) -> bool:
        """Reads one record if available. Returns False if the log has ended."""
        try:
            record = self._read_record(file, RECORD)
        except OSError as error:
            return error.errno in _TEMPORARY
        if (line := parse_record(record)) is not None:
            self._handle(line)
        return bool(record)

    def _handle(self, line: str) -> None:
        if (named := parse_guid(line)) is not None:
            self._xids.add_name(*named)
        if (event := parse_xid(line)) is None:
            return
        now = self._clock()
        first = self._repeats.add(event, replace(event, at=now), now, PERIOD)
        if first is not None:
            self._report(self._xids.from_log(first))

    def _report_due(self) -> None:
        now = self._clock()
        repeats = [each for one in self._repeats.pop_due(now) for each in self._xids.from_log(one)]
        self._report([*repeats, *self._xids.pop_due(now)])

    def _report(self, events: Iterable[XidEvent]) -> None:
        for event in events:
            self._on_xid(event)
