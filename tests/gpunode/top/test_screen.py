"""The screen in a real terminal: a pseudo-terminal."""

import fcntl
import os
import pty
import select
import signal
import struct
import subprocess
import sys
import termios
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from gpunode.top.screen import END_OF_LINE, ENTER, HOME, LEAVE, render_frame
from tests.signals import DEFAULT_SIGNALS
from tests.waiting import TIMEOUT_SECONDS


class TerminalProcess:
    """`gpunode top` in a terminal with this number of lines and columns."""

    def __init__(self, lines: int, columns: int, *arguments: str) -> None:
        self._descriptor, child = pty.openpty()
        self.resize(lines, columns)
        self.process = subprocess.Popen(
            [*DEFAULT_SIGNALS, sys.executable, "-m", "gpunode", "top", *arguments],
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


@pytest.fixture
def top(tmp_path: Path) -> Iterator[TerminalProcess]:
    arguments = ("--simulate", "h100x8", "--lock-dir", str(tmp_path), "--interval", "3600")
    process = TerminalProcess(24, 100, *arguments)
    yield process
    process.close()


def test_the_key_q_ends_the_program_and_restores_the_terminal(top: TerminalProcess) -> None:
    top.until_written(ENTER)
    top.until_written("GPU 7")
    top.press("q")
    assert top.end() == 0
    assert top.written.endswith(LEAVE)


@pytest.mark.parametrize(("number", "status"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_a_signal_restores_the_terminal(top: TerminalProcess, number: int, status: int) -> None:
    top.until_written("GPU 7")
    top.process.send_signal(number)
    assert top.end() == status
    assert top.written.endswith(LEAVE)


def test_a_smaller_terminal_shows_fewer_columns_at_once(top: TerminalProcess) -> None:
    top.until_written("NVIDIA H100")
    top.until_written("GPU 7")
    top.resize(24, 40)
    top.process.send_signal(signal.SIGWINCH)
    top.until_written("GPU 0    0 %    0.0/79.6 GiB   -\x1b")


def test_a_frame_replaces_the_last_one_without_clearing_it_first() -> None:
    frame = render_frame(["a", "b"], 10)
    assert frame == f"{HOME}a{END_OF_LINE}\r\nb{END_OF_LINE}\x1b[J"
    assert "\x1b[2J" not in frame


def test_a_low_terminal_states_how_many_lines_are_missing() -> None:
    frame = render_frame([str(number) for number in range(10)], 4)
    assert frame.count("\r\n") == 3
    assert "7 more lines" in frame
