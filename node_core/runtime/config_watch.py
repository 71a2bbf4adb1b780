"""Detects changes of config files."""

import threading
from collections.abc import Callable, Mapping
from pathlib import Path

from node_core.decode import read_document
from node_core.errors import SettingsError
from node_core.host.inotify import DirectoryWatch

SETTLE = 0.2
"""Seconds for which new content must stay the same: editors and ConfigMaps replace files in several steps."""

Fingerprints = Mapping[Path, str]


def fingerprint(path: Path) -> str:
    """Returns the SHA-256 hash of a file, or an empty text if the file cannot be read."""
    try:
        return read_document(path).fingerprint
    except (SettingsError, OSError):
        return ""


class ConfigWatch:
    """Calls `changed` in a separate thread after the content of a file has changed.

    The watch covers the folders of the files. Therefore the watch detects the swap of `..data` in a ConfigMap volume, and files that are
    created later. A change is reported only when two reads, `settle` seconds apart, return the same content: an editor may truncate a
    file before the editor writes the content.

    files: path -> fingerprint at the time when the settings were read. read: returns the fingerprint of a file.
    """

    def __init__(
        self,
        files: Fingerprints,
        changed: Callable[[], None],
        *,
        settle: float = SETTLE,
        read: Callable[[Path], str] = fingerprint,
    ) -> None:
        self._known = dict(files)
        self._changed = changed
        self._settle = settle
        self._read = read
        self._ended = threading.Event()
        self._checking = threading.Lock()
        folders = sorted({path.absolute().parent for path in files})
        self._watches = [DirectoryWatch(folder, self._check, contents=True) for folder in folders]

    def start(self) -> None:
        for watch in self._watches:
            watch.start()

    def stop(self) -> None:
        self._ended.set()
        for watch in self._watches:
            watch.stop()

    def liveness_problem(self) -> str | None:
        """See StoppableThread."""
        return next(filter(None, (watch.liveness_problem() for watch in self._watches)), None)

    def _check(self) -> None:
        with self._checking:
            before, now = None, self._read_all()
            while now not in (self._known, before):
                if self._ended.wait(self._settle):
                    return
                before, now = now, self._read_all()
            if now == self._known:
                return
            self._known = now
        self._changed()

    def _read_all(self) -> dict[Path, str]:
        return {path: self._read(path) for path in self._known}
