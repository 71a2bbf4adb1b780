"""Records a change before it begins: what each file contained. So a change that is interrupted is undone, and a completed one can be.

The folder is on a disk of the host. Only one process at a time changes the runtime.
"""

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import msgspec

from node_core.decode import describe_os_error
from node_core.errors import RuntimeConfigError
from node_core.host.atomic_write import write_atomically
from node_core.host.flock import open_locked

LIMIT = 16 << 20
VERSION = 1
FILE, LOCK = "toolkit.json", "toolkit.lock"


class ChangedTable(msgspec.Struct, frozen=True, kw_only=True):
    """The values that a change has set in a table."""

    path: tuple[str, ...]
    values: dict[str, bool | str | tuple[str, ...]]


class ChangedFile(msgspec.Struct, frozen=True, kw_only=True):
    """before: None for a new file."""

    path: str
    before: bytes | None
    after: bytes
    tables: list[ChangedTable]


class Change(msgspec.Struct, frozen=True, kw_only=True):
    """socket: of the runtime. identity: of its process before the change; None if it was not known. folders: that the change made.

    installed: the folder on the host in which the change installed NVIDIA's runtime, or None. undone_under: the identity of the process
    that ran when the old files were back: every later process runs with the old files. None while they are not back, or if not known.
    """

    describe: str
    socket: str
    identity: str | None
    files: list[ChangedFile]
    folders: list[str]
    installed: str | None = None
    undone_under: str | None = None


class Refusal(msgspec.Struct, frozen=True, kw_only=True):
    """A change that failed. key: of the runtime and its config at that time."""

    key: str
    why: str


class Record(msgspec.Struct, frozen=True, kw_only=True):
    """change: the change of this node; is_complete: False while it is made, or undone. interruptions: the processes that ended before."""

    version: int = VERSION
    change: Change | None = None
    is_complete: bool = False
    refusal: Refusal | None = None
    interruptions: int = 0


class Journal:
    def __init__(self, folder: Path) -> None:
        self._folder, self._path = folder, folder / FILE

    @contextmanager
    def lock(self) -> Iterator[None]:
        """Raises RuntimeConfigError if another process changes the runtime, or the folder is not writable."""
        try:
            descriptor = open_locked(self._folder / LOCK, fcntl.LOCK_EX)
        except OSError as error:
            why = f"{self._folder} {describe_os_error(error)}"
            raise RuntimeConfigError(why, hint="run the command as root, and make --state-dir writable") from error
        if descriptor is None:
            raise RuntimeConfigError("another process changes the runtime of this node", hint="try again later")
        try:
            yield
        finally:
            os.close(descriptor)

    @property
    def is_absent(self) -> bool:
        """Whether there is neither a record nor the lock."""
        return not any((self._folder / name).exists() for name in (FILE, LOCK))

    def read(self) -> Record:
        """Raises RuntimeConfigError if the file is damaged: it may contain what must be restored."""
        try:
            with self._path.open("rb") as file:
                record = msgspec.json.decode(file.read(LIMIT), type=Record)
        except (FileNotFoundError, NotADirectoryError):
            return Record()
        except (OSError, msgspec.DecodeError, UnicodeDecodeError) as error:
            why = describe_os_error(error) if isinstance(error, OSError) else f"is damaged: {error}"
            hint = "compare the files of the runtime with a backup, and remove this file"
            raise RuntimeConfigError(f"the record {self._path} {why}", hint=hint) from error
        if record.version != VERSION:
            raise RuntimeConfigError(
                f"the record {self._path} has version {record.version}, and this program reads version {VERSION}",
                hint="run the program that wrote the file",
            )
        return record

    def write(self, record: Record) -> None:
        """Raises RuntimeConfigError if the record is not on the disk: then nothing may be changed."""
        try:
            if record == Record():
                self._path.unlink(missing_ok=True)
                return
            self._folder.mkdir(parents=True, exist_ok=True)
            write_atomically(self._path, msgspec.json.encode(record).decode(), 0o600)
        except OSError as error:
            raise RuntimeConfigError(f"the record {self._path} {describe_os_error(error)}") from error

    def remove(self) -> None:
        """Removes the files, and the folder if it is empty. Called with the lock held, when nothing is left to undo."""
        with suppress(OSError):
            self._path.unlink(missing_ok=True)
            (self._folder / LOCK).unlink()
            self._folder.rmdir()
