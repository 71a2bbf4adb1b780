"""Tells when a config file says something else than it did when it was read."""

import hashlib
import threading
from collections.abc import Callable, Mapping
from pathlib import Path

from node_core.host.inotify import DirectoryWatch

SETTLE = 0.2
"""Seconds from a file's first change until it is read: editors and ConfigMaps replace files in several steps."""
_LIMIT = 1 << 21

Fingerprints = Mapping[Path, str]


def fingerprint(path: Path) -> str:
    """Equal for equal content; empty where there is nothing to read."""
    try:
        if not path.is_file():
            return ""
        with path.open("rb") as file:
            return hashlib.sha256(file.read(_LIMIT)).hexdigest()
    except OSError:
        return ""


class ConfigWatch:
    """Calls `changed`, in a thread of its own, for each new content of some of these files.

    It watches their folders, so a ConfigMap's swap of `..data` counts, and a file that comes later. files: with the fingerprints that
    they had when they were read.
    """

    def __init__(self, files: Fingerprints, changed: Callable[[], None], *, settle: float = SETTLE) -> None:
        self._known = dict(files)
        self._changed = changed
        self._settle = settle
        self._ended = threading.Event()
        self._looking = threading.Lock()
        folders = sorted({path.absolute().parent for path in files})
        self._watches = [DirectoryWatch(folder, self._look, contents=True) for folder in folders]

    def start(self) -> None:
        for watch in self._watches:
            watch.start()

    def stop(self) -> None:
        self._ended.set()
        for watch in self._watches:
            watch.stop()

    def _look(self) -> None:
        if self._ended.wait(self._settle):
            return
        with self._looking:
            now = {path: fingerprint(path) for path in self._known}
            if now == self._known:
                return
            self._known = now
        self._changed()
