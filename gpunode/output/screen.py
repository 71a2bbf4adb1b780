"""A screen of a terminal that is drawn again and again without flicker: each line replaces the line before, and nothing is cleared first.

Source: ECMA-48; xterm control sequences (alternate screen buffer).
"""

import os
import select
import signal
import socket
import sys
import termios
import tty
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from typing import TextIO

ENTER = "\x1b[?1049h\x1b[?25l\x1b[?7l"
"""The alternate screen, without a cursor. The terminal cuts lines that are too long, because a second line would scroll the screen."""
LEAVE = "\x1b[?7h\x1b[?25h\x1b[?1049l"
HOME, END_OF_LINE, END_OF_SCREEN = "\x1b[H", "\x1b[K", "\x1b[J"
QUIT = ("q", "Q")


def render_frame(lines: Sequence[str], height: int, hint: str) -> str:
    """Returns the text that draws the lines over the last frame. The last line states how many lines the screen has no room for. PURE.

    hint: what to do to see all lines, for example `use --once`.
    """
    shown = list(lines)
    if len(shown) > height > 0:
        hidden = len(shown) - height + 1
        shown = [*shown[: height - 1], f"{hidden} more lines: enlarge the terminal, or {hint}"]
    return HOME + "\r\n".join(f"{line}{END_OF_LINE}" for line in shown) + END_OF_SCREEN


class Screen:
    """draw: returns the lines for the current size. hint: see `render_frame`. Used by one thread."""

    def __init__(self, draw: Callable[[], Sequence[str]], hint: str, output: TextIO = sys.stdout) -> None:
        self._draw, self._hint, self._output = draw, hint, output

    def run(self, seconds: float, wake: socket.socket) -> None:
        """Draws at once, each `seconds`, after a change of the size, and when `wake` is readable. Returns when the person presses q."""
        with _cbreak() as keys, self._alternate():
            while True:
                height = os.get_terminal_size(self._output.fileno()).lines
                self._write(render_frame(self._draw(), height, self._hint))
                ready, _, _ = select.select([wake.fileno(), *keys], [], [], seconds)
                if wake.fileno() in ready:
                    wake.recv(4096)
                if any(_is_quit(key) for key in keys if key in ready):
                    return

    @contextmanager
    def _alternate(self) -> Iterator[None]:
        self._write(ENTER)
        try:
            yield
        finally:
            self._write(LEAVE)

    def _write(self, text: str) -> None:
        self._output.write(text)
        self._output.flush()


def _is_quit(key: int) -> bool:
    return os.read(key, 1024).decode(errors="replace").startswith(QUIT)


@contextmanager
def _cbreak() -> Iterator[list[int]]:
    """Yields the descriptor of standard input, which then delivers each key at once; nothing if it is not a terminal."""
    if not sys.stdin.isatty():
        yield []
        return
    before = termios.tcgetattr(sys.stdin)
    tty.setcbreak(sys.stdin)
    try:
        yield [sys.stdin.fileno()]
    finally:
        termios.tcsetattr(sys.stdin, termios.TCSADRAIN, before)


@contextmanager
def wake_on_resize(wake: socket.socket) -> Iterator[None]:
    """Sends a byte to `wake` when the size of the terminal changes, and ends the program in order at SIGTERM."""

    def send(*_: object) -> None:
        with suppress(BlockingIOError):
            wake.send(b"r")

    def end(*_: object) -> None:
        sys.exit(128 + signal.SIGTERM)

    before = {
        number: signal.signal(number, handle) for number, handle in ((signal.SIGWINCH, send), (signal.SIGTERM, end))
    }
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
