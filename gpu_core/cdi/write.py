"""Writes the CDI specifications of a plan to the folder that container runtimes read.

A reader gets either the old or the new content of a file, never a part of it (rename(2)).
"""

import errno
import fcntl
import json
import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path

from gpu_core.cdi.kinds import FILE_NAMES
from gpu_core.cdi.plan import CdiPlan
from gpu_core.domain.cdi import Spec, render_spec
from node_core.host.atomic_write import write_atomically

CDI_FOLDER = Path("/var/run/cdi")
_UNFINISHED = tuple(f".{name}." for name in FILE_NAMES)
"""The name prefixes of temporary files, which remain if a process is killed during a write."""
_WHAT_TO_DO = {
    errno.ENOSPC: "free disk space there",
    errno.EROFS: "mount the folder with write access",
    errno.EACCES: "give this agent write access to the folder",
    errno.EPERM: "give this agent write access to the folder",
    errno.EWOULDBLOCK: "another process writes CDI specifications there; stop one of the two",
}


class SpecWriter:
    """Writes and removes only the files with the plugin's own names. Not thread-safe."""

    def __init__(self, folder: Path = CDI_FOLDER) -> None:
        self._folder = folder

    def write(self, plan: CdiPlan) -> tuple[str, ...]:
        """Writes the specifications that differ and removes the plugin's other files. Returns a sentence for each failure.

        Creates the folder if it is missing and there is a specification to write.
        """
        try:
            if not plan.specs and not self._folder.is_dir():
                return ()
            if not self._folder.is_dir():
                self._folder.mkdir(parents=True)
                self._folder.chmod(0o755)
            with _exclusive_lock(self._folder):
                return tuple(self._update(plan.specs))
        except OSError as error:
            return (_sentence(self._folder, error),)

    def provides(self, spec: Spec) -> bool:
        """Whether the present file provides each device of the specification. Call this if `write` has failed."""
        try:
            text = (self._folder / spec.file_name).read_text()
        except (OSError, ValueError):
            return False
        return has_devices(text, spec)

    def _update(self, specs: Mapping[str, Spec]) -> Iterator[str]:
        present = {path.name for path in self._folder.iterdir()}
        stale = (present & FILE_NAMES - specs.keys()) | {name for name in present if name.startswith(_UNFINISHED)}
        for name in sorted(specs.keys() | stale):
            path = self._folder / name
            try:
                if name in specs:
                    write_changed(path, specs[name])
                else:
                    path.unlink(missing_ok=True)
            except OSError as error:
                yield _sentence(path, error)


def render_json(spec: Spec) -> str:
    return json.dumps(render_spec(spec), separators=(",", ":"))


def has_devices(text: str, spec: Spec) -> bool:
    """Whether the text is a valid specification with each device of `spec`, with exactly the same edits. It can have other devices."""
    from gpu_core.domain.cdi_schema import problems_of  # noqa: PLC0415 - only after a failed write

    try:
        found = json.loads(text)
    except (ValueError, RecursionError):
        return False
    if problems_of(found):
        return False
    planned, devices = render_spec(spec), found["devices"]
    return found == {**planned, "devices": devices} and all(device in devices for device in planned["devices"])


@contextmanager
def _exclusive_lock(folder: Path) -> Iterator[None]:
    """Acquires the lock of the folder. Raises BlockingIOError if another process holds the lock."""
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        yield
    finally:
        os.close(descriptor)


def write_changed(path: Path, spec: Spec) -> bool:
    """Writes a specification atomically if the file has another content. Returns whether it wrote. Raises OSError."""
    content = render_json(spec)
    with suppress(FileNotFoundError):
        if path.read_bytes() == content.encode():
            return False
    write_atomically(path, content)
    return True


def _sentence(path: Path, error: OSError) -> str:
    todo = _WHAT_TO_DO.get(error.errno or 0)
    return f"Cannot update {path}: {error.strerror}{f'; {todo}' if todo else ''}."
