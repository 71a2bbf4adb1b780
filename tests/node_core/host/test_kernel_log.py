"""Following the kernel's log, played by a pipe: what is told, and what must not stop us."""

import errno
import os
import queue
import socket
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from structlog.testing import capture_logs

from node_core.domain.evidence import XidEvent
from node_core.domain.inventory import GpuUuid, PciAddress
from node_core.host.kernel_log import KernelLog, open_kernel_log

ADDRESS, GPU = PciAddress("0000:3b:00.0"), GpuUuid("GPU-b850f46d-d5ea-c752-ddf3-c4453e44d3f7")
LOST = b"4,1,0,-;NVRM: Xid (PCI:0000:3b:00): 79, pid=1, name=x, GPU has fallen off the bus.\n"
OTHER = b"4,1,0,-;NVRM: Xid (PCI:0000:5e:00): 31, Ch 00000008\n"
NAME = f"4,1,0,-;NVRM: GPU at PCI:0000:3b:00: {GPU}\n".encode()


class Log:
    """A kernel's log that gives one record a read, as the real one: a socket that keeps messages apart. seen: what was told."""

    def __init__(
        self, names: dict[PciAddress, GpuUuid] | None = None, read: Callable[[int, int], bytes] = os.read
    ) -> None:
        self._ours, self._kernel = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        self._ours.setblocking(False)
        self.seen: queue.Queue[XidEvent] = queue.Queue()
        self.follower = KernelLog(
            self.seen.put, (names or {}).get, open_log=lambda: os.dup(self._ours.fileno()), read=read, hold=0.02
        )

    def say(self, *records: bytes) -> None:
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


def test_an_xid_that_nvml_does_not_tell_is_told(log: Log) -> None:
    log.say(LOST)
    event = log.seen.get(timeout=20)
    assert (event.xid, event.address, event.gpu, event.source) == (79, ADDRESS, None, "kernel log")


def test_a_gpu_that_the_log_itself_names_has_its_name(log: Log) -> None:
    log.say(NAME, LOST)
    assert log.seen.get(timeout=20).gpu == GPU


def test_a_gpu_has_the_name_that_the_inventory_knows() -> None:
    log = Log({ADDRESS: GpuUuid("GPU-known")})
    log.follower.start()
    log.say(LOST)
    assert log.seen.get(timeout=20).gpu == "GPU-known"
    log.close()


def test_what_nvml_tells_too_is_told_once_and_everything_else_of_it_at_once(log: Log) -> None:
    log.say(NAME, OTHER)
    first = log.seen.get(timeout=20)
    again = XidEvent(xid=79, gpu=GPU, at=first.at)
    log.follower.from_nvml(again)
    assert log.seen.get_nowait() == again
    log.say(LOST, OTHER)
    assert [log.seen.get(timeout=20).xid] == [31]
    assert log.seen.empty()


def test_garbage_is_passed_over(log: Log) -> None:
    log.say(b"\0" * 5000, b"no record", b";;;;", b"4,1,0,-;", b"\xff" * 100, b"12,1,0,-;" + LOST[8:], LOST)
    assert log.seen.get(timeout=20).xid == 79
    assert log.seen.empty()


def test_a_storm_is_told_once_a_second_with_its_count(log: Log) -> None:
    log.say(*[LOST] * 5000)
    assert log.seen.get(timeout=20).count == 1
    counts = 0
    while counts < 4999:
        counts += log.seen.get(timeout=20).count
    assert counts == 4999


def test_a_log_that_may_not_be_read_is_one_note_and_nvmls_xids_are_told(tmp_path: Path) -> None:
    def refuse() -> int:
        raise PermissionError(1, "Operation not permitted")

    seen: list[XidEvent] = []
    with capture_logs() as logs:
        follower = KernelLog(seen.append, lambda _: None, open_log=refuse)
        follower.start()
        follower.from_nvml(XidEvent(xid=13, gpu=GPU))
        follower.stop()
    assert [(entry["event"], entry["log_level"]) for entry in logs] == [("kernel_log_unavailable", "info")]
    assert [event.xid for event in seen] == [13]
    with pytest.raises(FileNotFoundError):
        open_kernel_log(str(tmp_path / "kmsg"))


def wait_for_the_end() -> None:
    for thread in threading.enumerate():
        if thread.name == "kernel-log":
            thread.join(20)
            assert not thread.is_alive()


def test_a_log_that_ends_is_one_note_and_no_hot_loop(tmp_path: Path) -> None:
    file = tmp_path / "kmsg"
    file.write_bytes(LOST)
    with capture_logs() as logs:
        follower = KernelLog(lambda _: None, lambda _: None, open_log=lambda: open_kernel_log(str(file)))
        follower.start()
        wait_for_the_end()
        follower.stop()
    assert [entry["event"] for entry in logs] == ["kernel_log_ended"]


def test_records_that_the_kernel_has_overwritten_are_survived() -> None:
    left = [OSError(errno.EPIPE, "Broken pipe")] * 3 + [OSError(errno.EAGAIN, "Try again")]

    def read(file: int, size: int) -> bytes:
        if left:
            raise left.pop()
        return os.read(file, size)

    log = Log(read=read)
    log.follower.start()
    log.say(LOST)
    assert log.seen.get(timeout=20).xid == 79
    log.close()


def test_a_log_that_fails_is_not_read_again() -> None:
    def read(_: int, __: int) -> bytes:
        raise OSError(errno.EIO, "Input/output error")

    log = Log(read=read)
    with capture_logs() as logs:
        log.follower.start()
        log.say(LOST)
        wait_for_the_end()
    log.close()
    assert [entry["event"] for entry in logs] == ["kernel_log_ended"]


def test_it_begins_at_the_end_of_the_log(tmp_path: Path) -> None:
    file = tmp_path / "kmsg"
    file.write_bytes(LOST)
    opened = open_kernel_log(str(file))
    assert os.read(opened, 100) == b""
    os.close(opened)


def test_following_leaves_nothing_behind() -> None:
    before = len(list(Path("/proc/self/fd").iterdir()))
    for _ in range(20):
        log = Log()
        log.follower.start()
        log.close()
    assert len(list(Path("/proc/self/fd").iterdir())) == before
