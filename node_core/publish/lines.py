"""`key=value` lines, sorted: on standard output for people, or as a feature file for Node Feature Discovery's local source."""

import contextlib
import os
import sys
import tempfile
from errno import ENOENT
from pathlib import Path
from typing import TextIO

from node_core.domain.labels import Labels
from node_core.domain.node import NodeView
from node_core.errors import PublishError


def render_lines(labels: Labels) -> str:
    """One `key=value` line per label, sorted by key."""
    return "".join(f"{key}={value}\n" for key, value in sorted(labels.items()))


def parse_lines(text: str) -> dict[str, str]:
    """The labels of a file that `render_lines` wrote; comments and blank lines are passed over."""
    lines = (line for line in text.splitlines() if line.strip() and not line.startswith("#"))
    return {key: value for key, _, value in (line.partition("=") for line in lines)}


class _NotTheNode:
    """What concerns the Node does not concern these destinations."""

    def is_current(self, labels: Labels) -> bool:  # noqa: ARG002
        return True

    def observe(self, view: NodeView) -> None: ...

    def refresh(self) -> None: ...


class NoPublisher(_NotTheNode):
    """For a look of which nothing is to be written."""

    def known(self) -> Labels:
        return {}

    def publish(self, labels: Labels) -> bool:  # noqa: ARG002
        return False


class StreamPublisher(_NotTheNode):
    """Prints the labels whenever they changed."""

    def __init__(self, stream: TextIO | None = None) -> None:
        self._stream = stream
        self._published: Labels | None = None

    def known(self) -> Labels:
        return self._published or {}

    def publish(self, labels: Labels) -> bool:
        if labels == self._published:
            return False
        stream = self._stream or sys.stdout
        if stream is None:  # Python's way to say that it was closed before the start
            raise PublishError("standard output is closed")
        try:
            stream.write(render_lines(labels))
            stream.flush()
        except OSError as error:
            with contextlib.suppress(OSError, ValueError):  # what is left in the buffer must not fail again when we end
                os.dup2(os.open(os.devnull, os.O_WRONLY), stream.fileno())
            raise PublishError(f"cannot write the labels: {error.strerror}") from error
        self._published = dict(labels)
        return True


class FilePublisher(_NotTheNode):
    """Replaces a file atomically: a reader sees the old labels or the new ones. The file survives our exit."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def known(self) -> Labels:
        self._refuse_odd()
        try:
            return parse_lines(self._path.read_text(errors="replace"))
        except FileNotFoundError:
            return {}
        except OSError as error:
            raise PublishError(f"cannot read {self._path}: {error.strerror}") from error

    def publish(self, labels: Labels) -> bool:
        self._refuse_odd()
        text = render_lines(labels)
        try:
            if self._path.is_file() and self._path.read_text(errors="replace") == text:
                return False
            replace_file(self._path, text)
        except OSError as error:
            hint = "create the directory, or name another file with --output-file" if error.errno == ENOENT else None
            raise PublishError(f"cannot write {self._path}: {error.strerror}", hint=hint) from error
        return True

    def _refuse_odd(self) -> None:
        """A device, a pipe or a folder is nothing to replace; a link would be cut off from what it names."""
        if self._path.is_symlink() or (self._path.exists() and not self._path.is_file()):
            raise PublishError(f"{self._path} is no regular file", hint="name another file with --output-file")


def replace_file(path: Path, text: str) -> None:
    """Writes beside the file, syncs, and renames over it; mode 0644. A dot file, so Node Feature Discovery ignores it meanwhile."""
    descriptor, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    temporary = Path(name)
    try:
        with os.fdopen(descriptor, "w") as file:
            file.write(text)
            file.flush()
            os.fsync(file.fileno())
        temporary.chmod(0o644)
        temporary.replace(path)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise
