"""The terminal: colours only in a terminal without NO_COLOR, no limit of width in a pipe, no control characters of others.

rich is not used here: structlog imports rich where rich is installed, so the image of the agents would need more memory on every node.
"""

import os
import shutil
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from threading import Lock, Timer
from typing import TextIO

import click

from node_core.domain.text import to_printable

UNLIMITED = 100_000
"""The width of a pipe or file."""
PROGRESS_SECONDS = 1.0
"""Work that takes longer shows progress."""


@dataclass(frozen=True, slots=True)
class Styled:
    """A text with a style: `bold`, or a colour of click, for example `red` or `bright_black`."""

    text: str
    style: str


Cell = str | Styled


@dataclass(frozen=True, slots=True, kw_only=True)
class Terminal:
    """width: in characters. is_interactive: a person reads the output while it is written."""

    width: int = UNLIMITED
    is_interactive: bool = False
    has_colors: bool = False

    def render(self, cell: Cell) -> str:
        """Returns the printable text, with the codes of its style if the terminal has colours."""
        text = text_of(cell)
        if not self.has_colors or not isinstance(cell, Styled):
            return text
        return click.style(text, bold=True) if cell.style == "bold" else click.style(text, fg=cell.style)


def open_terminal(stream: TextIO | None = None, environment: Mapping[str, str] = os.environ) -> Terminal:
    """Returns the properties of standard output, or of another stream. Source: no-color.org, force-color.org."""
    stream = stream or sys.stdout
    is_forced = bool(environment.get("FORCE_COLOR"))
    if not stream.isatty() and not is_forced:
        return Terminal()
    has_colors = not environment.get("NO_COLOR") and (is_forced or environment.get("TERM") != "dumb")
    return Terminal(width=shutil.get_terminal_size().columns, is_interactive=True, has_colors=has_colors)


def text_of(cell: Cell) -> str:
    """Returns the text of a cell without control characters."""
    return to_printable(cell.text if isinstance(cell, Styled) else cell)


class Progress:
    """A line on standard error that states what a verb waits for. Callable from any thread."""

    def __init__(self, text: str) -> None:
        self._text = to_printable(text)
        self._is_shown = False
        self._is_ended = False
        self._lock = Lock()

    def update(self, text: str) -> None:
        with self._lock:
            self._text = to_printable(text)
            if self._is_shown:
                self._write()

    def show(self) -> None:
        with self._lock:
            if not self._is_ended:
                self._is_shown = True
                self._write()

    def end(self) -> None:
        """Removes the line."""
        with self._lock:
            self._is_ended = True
            if self._is_shown:
                click.echo("\r\x1b[K", nl=False, err=True)
                self._is_shown = False

    def _write(self) -> None:
        width = shutil.get_terminal_size().columns - 1
        click.echo(f"\r\x1b[K{self._text[:width]}", nl=False, err=True)


@contextmanager
def show_progress(text: str) -> Iterator[Progress]:
    """Shows the text after PROGRESS_SECONDS, until the block ends or `end` is called. Shows nothing if standard error is not a terminal."""
    progress = Progress(text)
    timer = Timer(PROGRESS_SECONDS, progress.show)
    timer.daemon = True
    if sys.stderr.isatty():
        timer.start()
    try:
        yield progress
    finally:
        timer.cancel()
        progress.end()
