"""What the kernel says when hardware comes, goes or changes: uevents from its netlink socket.

Any process may listen (group 1, the kernel's own messages). Containers hear them too, as long as they have no user namespace of
their own. Source: kernel Documentation/core-api/kobject.rst and lib/kobject_uevent.c; netlink(7).
"""

import socket
import time
from collections.abc import Callable, Mapping

import structlog

from node_core.domain.pace import Pace
from node_core.host.stoppable import StoppableThread, Woken

log = structlog.get_logger(__name__)

NETLINK_KOBJECT_UEVENT = 15
"""Linux's protocol number, which Python's socket module does not name."""
KERNEL_GROUP = 1
BUFFER = 1 << 20
"""Bytes that the kernel keeps for us. More events at once are lost, which it tells by ENOBUFS: then everything may have changed."""
GATHER = 0.2
"""Seconds in which events that belong together (a device and its children) are taken as one."""
STOP = 1.0
"""Seconds that the end waits for whoever is being told something."""
HARDWARE = frozenset({"pci", "module", "usb", "net", "nvidia", "cpu", "memory", "node", "block", "nd", "misc"})
"""Subsystems whose events can change a label or a device. module: loading and unloading, of which no file system event tells."""

VIRTUAL = ("/devices/virtual/net/", "/devices/virtual/block/")
PACE = Pace(every=2.0, burst=8)
"""Of changes that are told. A driver that is loaded, or a GPU that is put back, tells a few in a row; a device that will not settle must
not keep the node looking.
"""


def parse_uevent(message: bytes) -> Mapping[str, str]:
    """`add@/devices/…` and KEY=value strings, each ended by NUL, as a mapping; empty for anything else."""
    head, *fields = message.split(b"\0")
    if b"@" not in head:
        return {}
    pairs = (field.decode(errors="replace").partition("=") for field in fields if b"=" in field)
    return {key: value for key, _, value in pairs}


def is_hardware(event: Mapping[str, str]) -> bool:
    """Whether what the event tells can matter to us. The interfaces and volumes of pods come and go all day: those are virtual."""
    return event.get("SUBSYSTEM") in HARDWARE and not event.get("DEVPATH", "").startswith(VIRTUAL)


class HardwareEvents:
    """Calls `changed` within a moment of hardware events, once for those that come together. Runs in its own daemon thread.

    Where the kernel refuses the socket, that is said once and the periodic passes remain.
    """

    def __init__(
        self,
        changed: Callable[[], None],
        *,
        listen: Callable[[], socket.socket] | None = None,
        gather: float = GATHER,
        pace: Pace = PACE,
    ) -> None:
        self._changed = changed
        self._pace = pace
        self._booked = 0.0
        self._listen = listen or open_uevents
        self._gather = gather
        self._thread = StoppableThread("uevents")

    def start(self) -> None:
        try:
            events = self._listen()
        except OSError as error:
            log.warning("uevents_unavailable", why=error.strerror, effect="changes are found at the next pass")
            return
        self._thread.start(lambda: self._run(events))

    def stop(self) -> None:
        self._thread.stop(STOP)

    def _run(self, events: socket.socket) -> None:
        with events:
            while self._wait(events, None):
                if receive(events):
                    self._take_rest(events)
                    self._changed()

    def _take_rest(self, events: socket.socket) -> None:
        """What comes in the same moment; a storm without end is cut into moments."""
        end, self._booked = self._pace.turn(self._booked, time.monotonic() + self._gather)
        while (left := end - time.monotonic()) > 0 and self._wait(events, left):
            receive(events)

    def _wait(self, events: socket.socket, timeout: float | None) -> bool:
        """Whether there is an event; False when the time is over or the end has come."""
        return self._thread.wait(events.fileno(), timeout) is Woken.READY


def receive(events: socket.socket) -> bool:
    """Takes one message out; whether it matters. Messages that another process sent to the group do not."""
    try:
        message, sender = events.recvfrom(1 << 16)
    except OSError:
        return True  # ENOBUFS: some were lost
    is_from_kernel = not isinstance(sender, tuple) or sender[0] == 0
    return is_from_kernel and is_hardware(parse_uevent(message))


def open_uevents() -> socket.socket:
    """The kernel's uevent socket. Raises OSError where it may not be had."""
    events = socket.socket(socket.AF_NETLINK, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC, NETLINK_KOBJECT_UEVENT)
    try:
        events.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, BUFFER)
        events.bind((0, KERNEL_GROUP))
    except OSError:
        events.close()
        raise
    return events
