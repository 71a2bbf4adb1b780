"""A command of gpunode in a real terminal: a pseudo-terminal."""

import fcntl
import os
import pty
import select
import struct
import subprocess
import sys
import termios
import time

from tests.signals import DEFAULT_SIGNALS
from tests.waiting import TIMEOUT_SECONDS


class TerminalProcess:
    """A command in a terminal with this number of lines and columns."""

    def __init__(self, lines: int, columns: int, *arguments: str) -> None:
        self._descriptor, child = pty.openpty()
        self.resize(lines, columns)
        self.process = subprocess.Popen(
            [*DEFAULT_SIGNALS, sys.executable, "-m", "gpunode", *arguments],
            stdin=child,
            stdout=child,
            stderr=child,
            start_new_session=True,
            env={**os.environ, "TERM": "xterm-256color", "NO_COLOR": "1", "COLUMNS": "", "LINES": ""},
        )
        os.close(child)
        self.written = ""

    def resize(self, lines: int, columns: int) -> None:
        fcntl.ioctl(self._descriptor, termios.TIOCSWINSZ, struct.pack("HHHH", lines, columns, 0, 0))

    def press(self, key: str) -> None:
        os.write(self._descriptor, key.encode())

    def until_written(self, text: str) -> None:
        """Reads until the text appears, and forgets everything up to it."""
        deadline = time.monotonic() + TIMEOUT_SECONDS
        while text not in self.written:
            assert time.monotonic() < deadline, self.written
            if select.select([self._descriptor], [], [], 1)[0]:
                self.written += self._read()
        self.written = self.written.partition(text)[2]

    def end(self) -> int:
        """Reads the rest, and returns the exit status."""
        while chunk := self._read():
            self.written += chunk
        return self.process.wait()

    def close(self) -> None:
        self.process.kill()
        self.process.wait()
        os.close(self._descriptor)

    def _read(self) -> str:
        try:
            return os.read(self._descriptor, 1 << 16).decode(errors="replace")
        except OSError:  # EIO: the program has closed the terminal
            return ""
