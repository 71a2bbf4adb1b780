"""Hardware events: their selection and coalescing, and sockets that fail."""

import errno
import queue
import socket
import threading
from collections.abc import Iterator
from types import SimpleNamespace
from typing import cast

import pytest
from structlog.testing import capture_logs

from node_core.domain.rate_limiter import RateLimiter
from node_core.host.uevents import HardwareEvents, is_hardware, open_uevents, parse_uevent, receive_hardware_event
from tests.descriptors import open_files

GPU = b"add@/devices/pci0000:00/0000:00:05.0\0ACTION=add\0DEVPATH=/devices/pci0000:00/0000:00:05.0\0SUBSYSTEM=pci\0"
VETH = b"add@/devices/virtual/net/veth1\0ACTION=add\0DEVPATH=/devices/virtual/net/veth1\0SUBSYSTEM=net\0"


@pytest.fixture
def kernel() -> Iterator[tuple[socket.socket, socket.socket]]:
    local, peer = socket.socketpair(socket.AF_UNIX, socket.SOCK_DGRAM)
    with local, peer:
        yield local, peer


@pytest.mark.parametrize(
    ("message", "matters"),
    [
        (GPU, True),
        (b"add@/module/nvidia\0ACTION=add\0DEVPATH=/module/nvidia\0SUBSYSTEM=module\0", True),
        (b"remove@/module/ib_uverbs\0ACTION=remove\0DEVPATH=/module/ib_uverbs\0SUBSYSTEM=module\0", True),
        (b"add@/devices/virtual/misc/kvm\0ACTION=add\0DEVPATH=/devices/virtual/misc/kvm\0SUBSYSTEM=misc\0", True),
        (
            b"add@/devices/ndbus0/region0/dax0.0\0ACTION=add\0DEVPATH=/devices/ndbus0/region0/dax0.0\0SUBSYSTEM=nd\0",
            True,
        ),
        (b"change@/devices/pci0000:00/0000:00:1f.2/host0\0ACTION=change\0SUBSYSTEM=scsi_host\0", False),
        (VETH, False),
        (b"change@/devices/virtual/block/dm-0\0DEVPATH=/devices/virtual/block/dm-0\0SUBSYSTEM=block\0", False),
        (b"change@/devices/virtual/tty\0SUBSYSTEM=tty\0", False),
        (b"libudev\0\xfe\xed\xca\xfe", False),
        (b"", False),
        (b"\0" * 4096, False),
        (b"add@/x\0SUBSYSTEM=pci\xff\0", False),
        (b"add@/x\0=\0SUBSYSTEM=usb\0", True),
    ],
    ids=[
        "gpu",
        "driver",
        "driver-gone",
        "kvm",
        "nvdimm",
        "scsi",
        "pod-interface",
        "pod-volume",
        "tty",
        "udev",
        "empty",
        "zeros",
        "not-utf8",
        "invalid-field",
    ],
)
def test_only_hardware_events_are_relevant(message: bytes, matters: bool) -> None:
    assert is_hardware(parse_uevent(message)) is matters


def test_at_most_64_kib_of_a_message_are_read(kernel: tuple[socket.socket, socket.socket]) -> None:
    local, peer = kernel
    for size, is_complete in ((64, True), (1 << 16, False)):
        peer.send(GPU.replace(b"SUBSYSTEM", b"PADDING=" + b"x" * size + b"\0SUBSYSTEM"))
        assert receive_hardware_event(local) is is_complete


@pytest.mark.parametrize(("sender", "matters"), [(0, True), (1, False), (4711, False)])
def test_only_messages_of_the_kernel_are_relevant(sender: int, matters: bool) -> None:
    netlink = cast("socket.socket", SimpleNamespace(recvfrom=lambda _: (GPU, (sender, 1))))
    assert receive_hardware_event(netlink) is matters


def test_events_that_the_kernel_dropped_may_have_been_relevant() -> None:
    def fail(_: int) -> tuple[bytes, tuple[int, int]]:
        raise OSError(errno.ENOBUFS, "No buffer space available")

    assert receive_hardware_event(cast("socket.socket", SimpleNamespace(recvfrom=fail))) is True


def test_simultaneous_events_cause_one_call(kernel: tuple[socket.socket, socket.socket]) -> None:
    local, peer = kernel
    changes: queue.Queue[int] = queue.Queue()
    for _ in range(50):
        peer.send(GPU)
    events = HardwareEvents(lambda: changes.put(1), listen=lambda: local, coalesce_seconds=0.05)
    events.start()
    changes.get(timeout=60)
    peer.send(VETH)
    peer.send(GPU)
    changes.get(timeout=60)
    events.stop()
    assert changes.empty()


def test_a_few_consecutive_changes_are_reported_without_delay(
    kernel: tuple[socket.socket, socket.socket],
) -> None:
    local, peer = kernel
    changes: queue.Queue[int] = queue.Queue()
    events = HardwareEvents(
        lambda: changes.put(1), listen=lambda: local, coalesce_seconds=0.01, limiter=RateLimiter(interval=3600, burst=5)
    )
    events.start()
    for _ in range(5):
        peer.send(GPU)
        changes.get(timeout=60)
    events.stop()


def test_a_permanent_stream_of_events_is_still_reported(kernel: tuple[socket.socket, socket.socket]) -> None:
    local, peer = kernel
    reported = threading.Event()
    events = HardwareEvents(reported.set, listen=lambda: local, coalesce_seconds=0.02)
    events.start()
    for _ in range(100_000):
        peer.send(GPU)
        if reported.is_set():
            break
    assert reported.wait(60)
    events.stop()


def test_a_refused_socket_is_logged_once_and_is_not_an_error() -> None:
    def refuse() -> socket.socket:
        raise PermissionError(1, "Operation not permitted")

    with capture_logs() as logs:
        events = HardwareEvents(lambda: None, listen=refuse)
        events.start()
        events.stop()
    assert [entry["event"] for entry in logs] == ["uevents_unavailable"]


def test_a_socket_that_the_kernel_refuses_is_closed(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object) -> None:
        raise PermissionError(1, "Operation not permitted")

    monkeypatch.setattr(socket.socket, "bind", refuse)
    before = open_files()
    with pytest.raises(PermissionError) as caught:
        open_uevents()
    assert open_files() <= before, caught


def test_the_kernel_is_asked_for_its_own_messages_and_a_large_buffer(monkeypatch: pytest.MonkeyPatch) -> None:
    options: list[tuple[int, int, int]] = []
    monkeypatch.setattr(socket.socket, "setsockopt", lambda _, *option: options.append(option))
    groups: list[tuple[int, int]] = []
    monkeypatch.setattr(socket.socket, "bind", lambda _, address: groups.append(address))
    with open_uevents() as events:
        assert (events.family, events.proto) == (socket.AF_NETLINK, 15)
    assert groups == [(0, 1)], "group 2 has the messages of udev"
    assert options == [(socket.SOL_SOCKET, socket.SO_RCVBUF, 1024 * 1024)]


def test_the_kernels_socket_opens_and_closes_cleanly() -> None:
    before = open_files()
    for _ in range(20):
        events = HardwareEvents(lambda: None)
        events.start()
        events.stop()
    assert open_files() <= before
    assert not any(thread.name == "uevents" for thread in threading.enumerate())
