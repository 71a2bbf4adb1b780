"""Keeps the folder from which container runtimes read specs as a plan says.

A reader sees a file as it was or as it becomes, whatever happens in between (rename(2)).
"""

import errno
import fcntl
import json
import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path

from device_plugin.cdi.kinds import FILE_NAMES
from device_plugin.cdi.plan import CdiPlan
from node_core.domain.cdi import Spec, render_spec

CDI_FOLDER = Path("/var/run/cdi")
_WHAT_TO_DO = {
    errno.ENOSPC: "make room there",
    errno.EROFS: "mount the folder so that this agent can write to it",
    errno.EACCES: "let this agent write to the folder",
    errno.EPERM: "let this agent write to the folder",
    errno.EWOULDBLOCK: "another process is writing CDI specs there, and only one may",
}


class SpecWriter:
    """Touches nothing in the folder but the files that bear our specs' names. Used by one thread."""

    def __init__(self, folder: Path = CDI_FOLDER) -> None:
        self._folder = folder

    def write(self, plan: CdiPlan) -> tuple[str, ...]:
        """Writes specs that differ from their files and removes files of ours without a spec; a sentence for each that it cannot.

        A folder that is missing is made when there is something to write.
        """
        try:
            if not plan.specs and not self._folder.is_dir():
                return ()
            _make(self._folder)
            with _alone(self._folder):
                return tuple(self._update(plan.specs))
        except OSError as error:
            return (_sentence(self._folder, error),)

    def _update(self, specs: Mapping[str, Spec]) -> Iterator[str]:
        present = {path.name for path in self._folder.iterdir()}
        stale = present & {name for file in FILE_NAMES - specs.keys() for name in (file, _temporary(file))}
        for name in sorted(specs.keys() | stale):
            path = self._folder / name
            try:
                if name in specs:
                    _keep(path, render_json(specs[name]))
                else:
                    path.unlink(missing_ok=True)
            except OSError as error:
                yield _sentence(path, error)


def render_json(spec: Spec) -> bytes:
    return json.dumps(render_spec(spec), separators=(",", ":")).encode()


def _make(folder: Path) -> None:
    if not folder.is_dir():
        folder.mkdir(parents=True)
        folder.chmod(0o755)


@contextmanager
def _alone(folder: Path) -> Iterator[None]:
    """While no other process of ours writes there. Raises BlockingIOError where one does."""
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        yield
    finally:
        os.close(descriptor)


def _keep(path: Path, content: bytes) -> None:
    with suppress(FileNotFoundError):
        if path.read_bytes() == content:
            return
    temporary = path.with_name(_temporary(path.name))
    temporary.unlink(missing_ok=True)
    try:
        _write(temporary, content)
        temporary.replace(path)
    except OSError:
        temporary.unlink(missing_ok=True)
        raise
    _sync(path.parent)


def _temporary(name: str) -> str:
    """Runtimes pass over this name. It is always the same, so that a file which was left behind is found."""
    return f"{name}.tmp"


def _write(path: Path, content: bytes) -> None:
    with path.open("xb") as file:
        os.fchmod(file.fileno(), 0o644)
        file.write(content)
        file.flush()
        os.fsync(file.fileno())


def _sync(folder: Path) -> None:
    """Makes a rename last. A file system that cannot do so for a folder has renamed all the same."""
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    with suppress(OSError):
        os.fsync(descriptor)
    os.close(descriptor)


def _sentence(path: Path, error: OSError) -> str:
    todo = _WHAT_TO_DO.get(error.errno or 0)
    return f"Cannot update {path}: {error.strerror}{f'; {todo}' if todo else ''}."
