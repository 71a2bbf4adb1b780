"""Hardware events (uevents) from the kernel's netlink socket: a device was added, removed or changed.

Any process may listen to group 1, which contains the messages of the kernel. A container also receives uevents, unless it has its own
user namespace. Source: kernel Documentation/core-api/kobject.rst and lib/kobject_uevent.c; netlink(7).
"""

import socket
import time
from collections.abc import Callable, Mapping

import structlog

from node_core.domain.rate_limiter import RateLimiter
from node_core.host.stoppable_thread import ThreadedService, WakeReason

log = structlog.get_logger(__name__)

NETLINK_KOBJECT_UEVENT = 15
"""The Linux protocol number. Python's socket module does not define it."""
KERNEL_GROUP = 1
BUFFER = 1 << 20
"""Bytes that the kernel buffers. If more events arrive, the kernel drops events and a read fails with ENOBUFS."""
COALESCE_SECONDS = 0.2
"""Events within this number of seconds, for example of a device and its children, cause one call."""
HARDWARE = frozenset({"pci", "module", "usb", "net", "nvidia", "cpu", "memory", "node", "block", "nd", "misc"})
"""Subsystems whose events can change a label or a device. module: loading and unloading of modules cause no file system event."""

VIRTUAL = ("/devices/virtual/net/", "/devices/virtual/block/")
RATE_LIMIT = RateLimiter(interval=2.0, burst=8)
"""The rate of calls of `on_change`. A loaded driver or a returning GPU causes a few calls in a row. The rate limits the calls that a
flapping device causes.
"""


def parse_uevent(message: bytes) -> Mapping[str, str]:
    """Parses a uevent: `add@/devices/…`, then KEY=value strings, each with NUL at its end. Other messages give an empty mapping."""
    head, *fields = message.split(b"\0")
    if b"@" not in head:
        return {}
    pairs = (field.decode(errors="replace").partition("=") for field in fields if b"=" in field)
    return {key: value for key, _, value in pairs}


def is_hardware(event: Mapping[str, str]) -> bool:
    """True if the event may change a label or a device. Ignores virtual interfaces and volumes, because pods cause many such events."""
    return event.get("SUBSYSTEM") in HARDWARE and not event.get("DEVPATH", "").startswith(VIRTUAL)


class HardwareEvents(ThreadedService):
    """Calls `on_change` shortly after hardware events, once for events that arrive together. Runs in its own daemon thread.

    If the kernel refuses the socket, one log line reports the error, and the periodic passes detect changes.
    """

    stop_seconds = 1.0

    def __init__(
        self,
        on_change: Callable[[], None],
        *,
        listen: Callable[[], socket.socket] | None = None,
        coalesce_seconds: float = COALESCE_SECONDS,
        limiter: RateLimiter = RATE_LIMIT,
    ) -> None:
        self._on_change = on_change
        self._limiter = limiter
        self._reserved_until = 0.0
        self._listen = listen or open_uevents
        self._coalesce_seconds = coalesce_seconds
        super().__init__("uevents")

    def start(self) -> None:
        try:
            events = self._listen()
        except OSError as error:
            log.warning(
                "uevents_unavailable", why=error.strerror, effect="only periodic passes detect hardware changes"
            )
            return
        self._thread.start(lambda: self._run(events))

    def _run(self, events: socket.socket) -> None:
        with events:
            while self._wait(events, None):
                if receive_hardware_event(events):
                    self._drain(events)
                    self._on_change()

    def _drain(self, events: socket.socket) -> None:
        """Drops the events until the next call of `on_change` is due."""
        end, self._reserved_until = self._limiter.reserve(
            self._reserved_until, time.monotonic() + self._coalesce_seconds
        )
        while (left := end - time.monotonic()) > 0 and self._wait(events, left):
            receive_hardware_event(events)

    def _wait(self, events: socket.socket, timeout: float | None) -> bool:
        """True if there is an event; False after the timeout, or if the thread has to end."""
        return self._thread.wait(events.fileno(), timeout) is WakeReason.READY


def receive_hardware_event(events: socket.socket) -> bool:
    """Receives one message. True if it is a hardware event of the kernel; messages of other processes are ignored."""
    try:
        message, sender = events.recvfrom(1 << 16)
    except OSError:
        return True  # ENOBUFS: events were lost, so anything may have changed
    is_from_kernel = not isinstance(sender, tuple) or sender[0] == 0
    return is_from_kernel and is_hardware(parse_uevent(message))


def open_uevents() -> socket.socket:
    """Opens the kernel's uevent socket. Raises OSError."""
    events = socket.socket(socket.AF_NETLINK, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC, NETLINK_KOBJECT_UEVENT)
    try:
        events.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, BUFFER)
        events.bind((0, KERNEL_GROUP))
    except OSError:
        events.close()
        raise
    return events
