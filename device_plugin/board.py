"""The newest device list of one resource, and everybody who follows it."""

import threading
from collections.abc import Callable, Iterator, Sequence

from device_plugin.devices import Device
from device_plugin.wire import render_devices
from node_core.kubelet.service import Stream

MAX_STREAMS = 8
"""The kubelet has one. More than that are left over; the oldest is ended, so that they never take all the server's threads."""


class DeviceBoard:
    """on_leave: called, in any thread, when a stream has ended that `end_streams` or `close` did not end."""

    def __init__(self, devices: Sequence[Device], *, on_leave: Callable[[], None]) -> None:
        self._devices = tuple(devices)
        self._on_leave = on_leave
        self._version = 1
        self._is_closed = False
        self._followers: list[_Follower] = []
        self._changed = threading.Condition()

    @property
    def devices(self) -> tuple[Device, ...]:
        return self._devices

    @property
    def streams(self) -> int:
        """How many follow."""
        return len(self._followers)

    def publish(self, devices: Sequence[Device]) -> bool:
        """Sends a list that the kubelet would see differ from the last one to all streams; whether it did."""
        with self._changed:
            before, self._devices = self._devices, tuple(devices)
            if render_devices(before) == render_devices(self._devices):
                return False
            self._version += 1
            self._changed.notify_all()
            return True

    def follow(self, stream: Stream) -> Iterator[tuple[Device, ...]]:
        """The list now and at every change. A slow follower misses lists but never the last one."""
        follower = _Follower()
        if not stream.on_end(lambda: self._leave(follower)) or not self._join(follower):
            return
        try:
            while (devices := self._next(follower)) is not None:
                yield devices
        finally:
            self._leave(follower)

    def end_streams(self) -> None:
        """Ends those that are open now."""
        with self._changed:
            for follower in self._followers:
                follower.is_gone = True
            self._followers.clear()
            self._changed.notify_all()

    def close(self) -> None:
        """Ends every stream after the newest list."""
        with self._changed:
            self._is_closed = True
            self._followers.clear()
            self._changed.notify_all()

    def _join(self, follower: "_Follower") -> bool:
        with self._changed:
            if follower.is_gone or self._is_closed:
                return False
            if len(self._followers) >= MAX_STREAMS:
                self._followers.pop(0).is_gone = True
            self._followers.append(follower)
            self._changed.notify_all()
            return True

    def _next(self, follower: "_Follower") -> tuple[Device, ...] | None:
        with self._changed:
            self._changed.wait_for(
                lambda: follower.is_gone or self._is_closed or self._version > follower.seen,
            )
            if follower.is_gone or self._version == follower.seen:
                return None
            follower.seen = self._version
            return self._devices

    def _leave(self, follower: "_Follower") -> None:
        with self._changed:
            follower.is_gone = True
            was_open = follower in self._followers
            if was_open:
                self._followers.remove(follower)
            self._changed.notify_all()
        if was_open:
            self._on_leave()


class _Follower:
    """One open stream. seen: the version of the last list it was handed."""

    def __init__(self) -> None:
        self.seen = 0
        self.is_gone = False
