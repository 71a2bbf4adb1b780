"""Watching the kernel log, replaced by a socket: the reported Xids, and errors that must not stop the thread."""

import errno
import os
import queue
import socket
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from structlog.testing import capture_logs

from gpu_core.domain.evidence import XidEvent
from gpu_core.domain.inventory import GpuUuid
from gpu_core.host.kernel_log import KernelLog, open_kernel_log
from gpu_core.host.xid_dedup import XidDeduplicator
from node_core.domain.pci import PciAddress
from tests.descriptors import open_files

ADDRESS, GPU = PciAddress("0000:3b:00.0"), GpuUuid("GPU-b850f46d-d5ea-c752-ddf3-c4453e44d3f7")
LOST = b"4,1,0,-;NVRM: Xid (PCI:0000:3b:00): 79, pid=1, name=x, GPU has fallen off the bus.\n"
OTHER = b"4,1,0,-;NVRM: Xid (PCI:0000:5e:00): 31, Ch 00000008\n"
NAME = f"4,1,0,-;NVRM: GPU at PCI:0000:3b:00: {GPU}\n".encode()


class Log:
    """A kernel log that returns one record a read, like the real one: a socket that preserves message boundaries."""

    def __init__(
        self, names: dict[PciAddress, GpuUuid] | None = None, read: Callable[[int, int], bytes] = os.read
    ) -> None:
        self._ours, self._kernel = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        self._ours.setblocking(False)
        self.reported: queue.Queue[XidEvent] = queue.Queue()
        self.xids = XidDeduplicator((names or {}).get, delay=0.02)
        self.follower = KernelLog(self.reported.put, self.xids, open_log=lambda: os.dup(self._ours.fileno()), read=read)

    def write(self, *records: bytes) -> None:
        for record in records:
            self._kernel.send(record)

    def close(self) -> None:
        self.follower.stop()
        self._ours.close()
        self._kernel.close()


@pytest.fixture
def log() -> Iterator[Log]:
    made = Log()
    made.follower.start()
    yield made
    made.close()
    assert not any(thread.name == "kernel-log" for thread in threading.enumerate())


def test_an_xid_that_nvml_does_not_report_is_reported(log: Log) -> None:
    log.write(LOST)
    event = log.reported.get(timeout=60)
    assert (event.xid, event.address, event.gpu, event.source) == (79, ADDRESS, None, "kernel log")


def test_the_log_itself_can_name_the_gpu(log: Log) -> None:
    log.write(NAME, LOST)
    assert log.reported.get(timeout=60).gpu == GPU


def test_the_inventory_names_the_gpu() -> None:
    log = Log({ADDRESS: GpuUuid("GPU-known")})
    log.follower.start()
    log.write(LOST)
    assert log.reported.get(timeout=60).gpu == "GPU-known"
    log.close()


def test_an_xid_that_nvml_reports_too_is_reported_once(log: Log) -> None:
    log.write(NAME, OTHER)
    first = log.reported.get(timeout=60)
    again = XidEvent(xid=79, gpu=GPU, at=first.at)
    for event in log.xids.from_nvml(again):
        log.reported.put(event)
    assert log.reported.get_nowait() == again
    log.write(LOST, OTHER)
    assert [log.reported.get(timeout=60).xid] == [31]
    assert log.reported.empty()


def test_invalid_records_are_ignored(log: Log) -> None:
    log.write(b"\0" * 5000, b"no record", b";;;;", b"4,1,0,-;", b"\xff" * 100, b"12,1,0,-;" + LOST[8:], LOST)
    assert log.reported.get(timeout=60).xid == 79
    assert log.reported.empty()


def test_repeated_xids_are_reported_once_a_second_with_their_count(log: Log) -> None:
    log.write(*[LOST] * 5000)
    assert log.reported.get(timeout=60).count == 1
    counts = 0
    while counts < 4999:
        counts += log.reported.get(timeout=60).count
    assert counts == 4999


def test_an_unreadable_log_is_logged_once_and_xids_of_nvml_are_reported(tmp_path: Path) -> None:
    def refuse() -> int:
        raise PermissionError(1, "Operation not permitted")

    reported: list[XidEvent] = []
    with capture_logs() as logs:
        xids = XidDeduplicator(lambda _: None)
        follower = KernelLog(reported.append, xids, open_log=refuse)
        follower.start()
        reported += xids.from_nvml(XidEvent(xid=13, gpu=GPU))
        follower.stop()
    assert [(entry["event"], entry["log_level"]) for entry in logs] == [("kernel_log_unavailable", "info")]
    assert [event.xid for event in reported] == [13]
    with pytest.raises(FileNotFoundError):
        open_kernel_log(str(tmp_path / "kmsg"))


def wait_for_the_end() -> None:
    for thread in threading.enumerate():
        if thread.name == "kernel-log":
            thread.join(60)
            assert not thread.is_alive()


def test_the_end_of_the_log_is_logged_once(tmp_path: Path) -> None:
    file = tmp_path / "kmsg"
    file.write_bytes(LOST)
    with capture_logs() as logs:
        follower = KernelLog(
            lambda _: None, XidDeduplicator(lambda _: None), open_log=lambda: open_kernel_log(str(file))
        )
        follower.start()
        wait_for_the_end()
        follower.stop()
    assert [entry["event"] for entry in logs] == ["kernel_log_ended"]


def test_overwritten_records_are_skipped() -> None:
    left = [OSError(errno.EPIPE, "Broken pipe")] * 3 + [OSError(errno.EAGAIN, "Try again")]

    def read(file: int, size: int) -> bytes:
        if left:
            raise left.pop()
        return os.read(file, size)

    log = Log(read=read)
    log.follower.start()
    log.write(LOST)
    assert log.reported.get(timeout=60).xid == 79
    log.close()


def test_a_log_that_fails_is_not_read_again() -> None:
    def read(_: int, __: int) -> bytes:
        raise OSError(errno.EIO, "Input/output error")

    log = Log(read=read)
    with capture_logs() as logs:
        log.follower.start()
        log.write(LOST)
        wait_for_the_end()
    log.close()
    assert [entry["event"] for entry in logs] == ["kernel_log_ended"]


def test_reading_starts_at_the_end_of_the_log(tmp_path: Path) -> None:
    file = tmp_path / "kmsg"
    file.write_bytes(LOST)
    opened = open_kernel_log(str(file))
    assert os.read(opened, 100) == b""
    os.close(opened)


def test_stopping_closes_every_descriptor_and_thread() -> None:
    before = open_files()
    for _ in range(20):
        log = Log()
        log.follower.start()
        log.close()
    assert open_files() <= before
