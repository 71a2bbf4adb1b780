"""Reads and watches the host folders where users write feature files and rules."""

from collections.abc import Callable

from node_core.host.inotify import DirectoryWatch
from node_core.host.root import HostRoot, NotReadable

MIN_INTERVAL = 0.2
"""Minimum seconds between two calls of `changed`, also while a program writes all the time."""


def watch_folder(root: HostRoot, folder: str, changed: Callable[[], None]) -> DirectoryWatch:
    """Returns a service that calls `changed` after its start and whenever a file is added, removed or modified in the host folder."""
    return DirectoryWatch(root.path(folder), changed, contents=True, min_interval=MIN_INTERVAL)


def read_text(root: HostRoot, folder: str, name: str, *, limit: int) -> str | NotReadable | None:
    """Reads a text file of a user. Returns None for a missing file. Raises HostReadError."""
    return decode_text(root.read_regular(folder, name, limit=limit + 1), limit)


def decode_text(content: bytes | NotReadable | None, limit: int) -> str | NotReadable | None:
    """Decodes a file; returns why the file is not usable if it is not a text file or has more than `limit` bytes."""
    if content is None or isinstance(content, NotReadable):
        return content
    if len(content) > limit:
        return NotReadable(f"is larger than {limit} bytes")
    try:
        text = content.decode()
    except UnicodeDecodeError:
        return NotReadable("is not a UTF-8 text file")
    return NotReadable("is a binary file") if "\0" in text else text
