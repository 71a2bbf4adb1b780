"""Sends the device list of one resource to the kubelet's open ListAndWatch streams."""

import threading
from collections.abc import Callable, Sequence

from device_plugin.devices import Device
from device_plugin.wire import render_devices
from node_core.kubelet.service import Stream

MAX_STREAMS = 8
"""The kubelet opens one stream. If more streams than this are open, the oldest one is stale and is aborted."""


class DeviceListBroadcaster:
    """No method blocks. on_stream_end: called in the server's thread when the client ends a stream."""

    def __init__(self, devices: Sequence[Device], *, on_stream_end: Callable[[], None]) -> None:
        self._list = render_devices(devices)
        self._on_stream_end = on_stream_end
        self._is_closed = False
        self._streams: list[Stream] = []
        self._lock = threading.Lock()

    @property
    def stream_count(self) -> int:
        """The number of open streams."""
        return len(self._streams)

    def publish(self, devices: Sequence[Device]) -> bool:
        """Sends the list to all streams if its rendered form differs from the previous list. Returns whether the list differs."""
        with self._lock:
            before, self._list = self._list, render_devices(devices)
            if before == self._list:
                return False
            for stream in self._streams:
                stream.send(self._list)
            return True

    def add(self, stream: Stream) -> None:
        """Sends the list to a new stream now and at every change. A slow reader may skip lists, but always receives the newest."""
        stream.on_end(lambda: self._remove(stream))
        with self._lock:
            if self._is_closed:
                stream.close()
                return
            if len(self._streams) >= MAX_STREAMS:
                self._streams.pop(0).abort(
                    "RESOURCE_EXHAUSTED", f"more than {MAX_STREAMS} ListAndWatch streams are open"
                )
            self._streams.append(stream)
            stream.send(self._list)

    def end_streams(self) -> None:
        """Ends the open streams after they receive the newest list."""
        with self._lock:
            while self._streams:
                self._streams.pop().close()

    def close(self) -> None:
        """Ends the open streams after they receive the newest list. Later streams end at once."""
        with self._lock:
            self._is_closed = True
        self.end_streams()

    def _remove(self, stream: Stream) -> None:
        with self._lock:
            was_open = stream in self._streams
            if was_open:
                self._streams.remove(stream)
        if was_open:
            self._on_stream_end()
