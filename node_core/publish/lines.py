"""Writes labels as sorted `key=value` lines: to standard output, or to a feature file for Node Feature Discovery's local source."""

import contextlib
import os
import sys
from abc import ABC, abstractmethod
from errno import ENOENT
from pathlib import Path
from typing import TextIO

from node_core.domain.desired import Outputs
from node_core.domain.labels import Labels
from node_core.domain.node import NodeView
from node_core.domain.node_feature import NodeFeatureView
from node_core.domain.reconcile import BlockedOutput, Write, WriteText
from node_core.errors import PublishError
from node_core.host.atomic_write import write_atomically


def render_lines(labels: Labels) -> str:
    """Returns one `key=value` line per label, sorted by key."""
    return "".join(f"{key}={value}\n" for key, value in sorted(labels.items()))


def parse_lines(text: str) -> dict[str, str]:
    """Returns the labels in a text that `render_lines` wrote. Ignores comments and blank lines."""
    lines = (line for line in text.splitlines() if line.strip() and not line.startswith("#"))
    return {key: value for key, _, value in (line.partition("=") for line in lines)}


class _TextWriter(ABC):
    """Implements Writer for destinations that accept only labels and do not use the Node object."""

    def observe(self, node: NodeView) -> None: ...  # noqa: B027 - the Node is not used

    def observe_object(self, node_feature: NodeFeatureView | None) -> None: ...  # noqa: B027

    def refresh(self) -> None:  # noqa: B027
        """Does nothing: the destination is not in the API server."""

    def blocked_outputs(self, desired: Outputs) -> tuple[BlockedOutput, ...]:  # noqa: ARG002
        return ()

    def published(self) -> Outputs:
        return Outputs(labels=parse_lines(self._read() or ""))

    def reconcile(self, desired: Outputs) -> tuple[Write, ...]:
        text = render_lines(desired.labels)
        return () if text == self._read() else (WriteText(text=text),)

    def apply(self, write: Write) -> None:
        if not isinstance(write, WriteText):
            raise TypeError(f"{type(write).__name__} is not a write of text")
        self._write(write.text)

    @abstractmethod
    def _read(self) -> str | None:
        """Returns the published text, or None if no text is published yet."""

    @abstractmethod
    def _write(self, text: str) -> None: ...


class NoWriter(_TextWriter):
    """Writes nothing."""

    def reconcile(self, desired: Outputs) -> tuple[Write, ...]:  # noqa: ARG002
        return ()

    def _read(self) -> None: ...

    def _write(self, text: str) -> None: ...


class StreamWriter(_TextWriter):
    """Prints the labels if they differ from the last printed labels."""

    def __init__(self, stream: TextIO | None = None) -> None:
        self._stream = stream
        self._printed: str | None = None

    def _read(self) -> str | None:
        return self._printed

    def _write(self, text: str) -> None:
        stream = self._stream or sys.stdout
        if stream is None:  # Python sets sys.stdout to None if it is closed at the start of the process
            raise PublishError("standard output is closed")
        try:
            stream.write(text)
            stream.flush()
        except OSError as error:
            with contextlib.suppress(OSError, ValueError):  # flushing the buffer at exit must not fail again
                os.dup2(os.open(os.devnull, os.O_WRONLY), stream.fileno())
            raise PublishError(f"cannot write the labels: {error.strerror}") from error
        self._printed = text


class FileWriter(_TextWriter):
    """Replaces a file atomically: a reader sees the old or the new labels. The file remains after the process exits."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def _read(self) -> str | None:
        self._refuse_odd()
        try:
            return self._path.read_text(errors="replace")
        except FileNotFoundError:
            return None
        except OSError as error:
            raise PublishError(f"cannot read {self._path}: {error.strerror}") from error

    def _write(self, text: str) -> None:
        try:
            write_atomically(self._path, text)
        except OSError as error:
            hint = "create the directory, or set another file with --output-file" if error.errno == ENOENT else None
            raise PublishError(f"cannot write {self._path}: {error.strerror}", hint=hint) from error

    def _refuse_odd(self) -> None:
        """Raises PublishError if the path is not a regular file. A rename over a symbolic link would replace the link."""
        if self._path.is_symlink() or (self._path.exists() and not self._path.is_file()):
            raise PublishError(f"{self._path} is not a regular file", hint="set another file with --output-file")
