"""Reads in a separate thread, so that a driver or an API server that hangs stops neither the screen nor Ctrl-C."""

import socket
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from typing import Protocol

from gpunode.output.terminal import Cell, Styled, Terminal
from gpunode.top.render import render_summary, render_uses, wrap_lines
from gpunode.top.use import DeviceUse
from node_core.errors import NodeError

STALE_SECONDS = 10.0
"""A reading that takes longer is reported."""


class Reader(Protocol):
    notes: tuple[str, ...]

    def read(self) -> tuple[DeviceUse, ...]:
        """Raises NodeError."""


class UseLoop:
    """Reads each `interval` seconds between `start` and `stop`. wake: gets a byte after each reading."""

    def __init__(
        self, reader: Reader, interval: float, wake: socket.socket, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._reader, self._interval, self._wake, self._clock = reader, interval, wake, clock
        self._uses: tuple[DeviceUse, ...] = ()
        self._notes: tuple[str, ...] = ()
        self._error: str | None = None
        self._read_at: float | None = None
        self._started_at = clock()
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._run, name="use", daemon=True)

    def start(self) -> None:
        self._thread.start()

    def stop(self) -> None:
        """Does not wait for a reading that hangs."""
        self._stopping.set()

    def step(self) -> None:
        """Reads once."""
        try:
            self._uses = self._reader.read()
            self._notes, self._error = self._reader.notes, None
        except NodeError as error:
            self._error = str(error)
        self._read_at = self._clock()
        with suppress(OSError):
            self._wake.send(b"u")

    def render(self, terminal: Terminal) -> Sequence[str]:
        """Returns the lines of the screen. After a failure, the last use remains."""
        lines = [*wrap_lines(terminal, self._sentences()), "", *render_uses(self._uses, terminal)]
        return [*lines, *wrap_lines(terminal, [Styled(note, "yellow") for note in self._notes])]

    def _sentences(self) -> Iterator[Cell]:
        if self._uses or self._error is None:
            yield Styled(render_summary(self._uses) if self._read_at is not None else "Reading the GPUs", "bold")
        silent = self._clock() - (self._started_at if self._read_at is None else self._read_at)
        if silent > max(STALE_SECONDS, 3 * self._interval):
            yield Styled(f"No response for {silent:.0f} s: the driver or the API server hangs.", "red")
        if self._error is not None:
            yield Styled(f"{'Not current' if self._uses else 'The GPUs cannot be read'}: {self._error}", "red")

    def _run(self) -> None:
        while not self._stopping.is_set():
            self.step()
            self._stopping.wait(self._interval)
