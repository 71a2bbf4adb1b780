"""A text stream for logs that never raises. A full disk, a closed pipe or a closed descriptor only causes lost log lines."""

import contextlib
import io
import os
import sys
import threading
from collections.abc import Callable
from functools import partial
from typing import TextIO

FAILURES = (OSError, ValueError)
"""Exceptions of a write to a full disk, a closed pipe or a closed descriptor. A closed Python file raises ValueError."""


class LogSink(io.TextIOBase):
    """Writes to a stream, and counts lost lines. stream: None if standard error was closed before the process started.

    notice: renders the line that reports the number of lost lines. The line is written when a write succeeds again.
    """

    encoding, errors = "utf-8", "backslashreplace"

    def __init__(self, stream: TextIO | None, notice: Callable[[int], str] | None = None) -> None:
        super().__init__()
        self.notice = notice or "{} log lines were lost\n".format
        self._stream = stream
        self._write_some = _writer(stream)
        self._lock = threading.RLock()  # a finalizer that runs during a write may write as well
        self._ends_in_line = False
        self._unreported = self._uncounted = 0

    def write(self, text: str) -> int:
        """Writes the text, or counts the lines of the text as lost."""
        with self._lock:
            try:
                self._write_all(self._preamble() + text)
            except FAILURES:
                self._unreported += text.count("\n")
                self._uncounted += text.count("\n")
            else:
                self._unreported = 0
        return len(text)

    def pop_lost_count(self) -> int:
        """Returns the number of lines lost since the last call."""
        with self._lock:
            lost, self._uncounted = self._uncounted, 0
            return lost

    def writable(self) -> bool:
        return True

    def isatty(self) -> bool:
        with contextlib.suppress(*FAILURES):
            return self._stream is not None and self._stream.isatty()
        return False

    def fileno(self) -> int:
        if self._stream is None:
            raise io.UnsupportedOperation("standard error is closed")
        return self._stream.fileno()

    def _preamble(self) -> str:
        """Returns the text to write first after a failure: the end of a line that was written in part, and the notice."""
        if not self._unreported:
            return ""
        return ("\n" if self._ends_in_line else "") + self.notice(self._unreported)

    def _write_all(self, text: str) -> None:
        data = text.encode(self.encoding, self.errors)
        while data:
            count = self._write_some(data)
            self._ends_in_line = data[count - 1 : count] != b"\n"
            data = data[count:]


def _writer(stream: TextIO | None) -> Callable[[bytes], int]:
    """Returns a function that writes without a buffer, or raises FAILURES. Python's buffer would write failed lines much later."""
    if stream is None:
        return _refuse
    try:
        stream.flush()
        stream.fileno()
    except FAILURES:
        return partial(_write_text, stream)
    return partial(_write_bytes, stream)


def _refuse(_: bytes) -> int:
    raise ValueError("standard error is closed")


def _write_bytes(stream: TextIO, data: bytes) -> int:
    return os.write(
        stream.fileno(), data
    )  # raises ValueError if the stream is closed: its descriptor may belong to another file now


def _write_text(stream: TextIO, data: bytes) -> int:
    stream.write(data.decode(LogSink.encoding))
    stream.flush()
    return len(data)


def guard_standard_error() -> LogSink:
    """Replaces sys.stderr by a LogSink. Therefore warnings, Python's logging and exception hooks cannot fail either."""
    if isinstance(sys.stderr, LogSink):
        return sys.stderr
    sink = LogSink(_standard_error())
    sys.stderr = sink
    return sink


def _standard_error() -> TextIO | None:
    """Returns sys.stderr, or None if descriptor 2 was closed. Then /dev/null becomes descriptor 2, because C libraries write to it."""
    stream: TextIO | None = sys.stderr
    if stream is None:
        with contextlib.suppress(OSError):
            null = os.open(os.devnull, os.O_WRONLY)
            if null != 2:
                os.close(null)
    return stream


def pop_lost_lines() -> int:
    """Returns the result of LogSink.pop_lost_count for standard error."""
    return sys.stderr.pop_lost_count() if isinstance(sys.stderr, LogSink) else 0
