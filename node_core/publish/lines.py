"""`key=value` lines, sorted: on standard output for people, or as a feature file for Node Feature Discovery's local source."""

import os
import sys
import tempfile
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

    def observe(self, view: NodeView) -> None: ...

    def refresh(self) -> None: ...


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
        stream.write(render_lines(labels))
        stream.flush()
        self._published = dict(labels)
        return True


class FilePublisher(_NotTheNode):
    """Replaces a file atomically: a reader sees the old labels or the new ones. The file survives our exit."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def known(self) -> Labels:
        try:
            return parse_lines(self._path.read_text(errors="replace"))
        except FileNotFoundError:
            return {}
        except OSError as error:
            raise PublishError(f"cannot read {self._path}: {error.strerror}") from error

    def publish(self, labels: Labels) -> bool:
        text = render_lines(labels)
        try:
            if self._path.is_file() and self._path.read_text(errors="replace") == text:
                return False
            replace_file(self._path, text)
        except OSError as error:
            hint = "create the directory, or name another file with --output-file"
            raise PublishError(f"cannot write {self._path}: {error.strerror}", hint=hint) from error
        return True


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
