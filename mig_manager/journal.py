"""Records a change of layouts before the change begins, so that an interrupted change can be completed or reverted after a restart.

The file also survives a reboot, after which all instances are gone.
"""

import fcntl
import os
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path

import msgspec
import structlog

from gpu_core.domain.inventory import GpuUuid
from gpu_core.mig.model import Placement
from gpu_core.mig.plan import GpuPlan, Layout, NewInstance, plan_result, read_layout
from node_core.decode import describe_os_error
from node_core.errors import MigError
from node_core.host.atomic_write import write_atomically
from node_core.host.flock import open_locked
from node_core.values import replace

log = structlog.get_logger(__name__)

LIMIT = 1 << 20
VERSION = 1


class Change(msgspec.Struct, frozen=True, kw_only=True):
    """The change of one GPU: its layouts before and after."""

    gpu: GpuUuid
    before: Layout
    after: Layout


class _Instance(msgspec.Struct, frozen=True, kw_only=True):
    profile: int
    start: int
    size: int
    compute: list[int]


class _Layout(msgspec.Struct, frozen=True, kw_only=True):
    is_enabled: bool
    instances: list[_Instance]


class _Change(msgspec.Struct, frozen=True, kw_only=True):
    gpu: str
    before: _Layout
    after: _Layout


class _File(msgspec.Struct, frozen=True, kw_only=True):
    version: int = VERSION
    changes: list[_Change]


def record_change(plan: GpuPlan) -> Change:
    """Returns the change that a plan makes. PURE."""
    return Change(gpu=plan.gpu.uuid, before=read_layout(plan.gpu), after=plan_result(plan))


def journal_path(folder: Path | None, *, is_simulated: bool) -> Path | None:
    """Returns the path that all programs use which change layouts of this machine. folder: --state-dir; None for no file."""
    return None if folder is None else folder / f"mig{'.simulated' * is_simulated}.json"


class Journal:
    """path: None to record nothing, and to exclude no other process."""

    def __init__(self, path: Path | None) -> None:
        self._path = path

    @contextmanager
    def lock(self) -> Iterator[None]:
        """Excludes the attempts of other processes on this machine. Raises MigError if another process runs one.

        Without the right to create the file, no other process is excluded: `write` reports the reason before a change begins.
        """
        descriptor = None if self._path is None else self._acquire(self._path.with_suffix(".lock"))
        try:
            yield
        finally:
            if descriptor is not None:
                os.close(descriptor)

    def _acquire(self, path: Path) -> int | None:
        try:
            descriptor = open_locked(path, fcntl.LOCK_EX)
        except OSError:
            return None
        if descriptor is None:
            raise MigError(f"another process changes MIG layouts of this machine, and has {path} locked")
        return descriptor

    def read(self) -> tuple[Change, ...]:
        """Returns the changes that were not completed. A damaged file is logged, and contains no changes.

        Raises MigError if the file cannot be read, or has another version: it may record a change that must be completed first.
        """
        if self._path is None:
            return ()
        try:
            with self._path.open("rb") as file:
                stored = msgspec.json.decode(file.read(LIMIT), type=_File)
        except (FileNotFoundError, NotADirectoryError):
            return ()
        except OSError as error:
            why = f"the journal {self._path} {describe_os_error(error)}"
            raise MigError(why, hint="let the agent read the file, or remove it") from error
        except (msgspec.DecodeError, UnicodeDecodeError) as error:
            log.warning("mig_journal_unreadable", path=str(self._path), why=str(error), effect="the file is ignored")
            return ()
        if stored.version != VERSION:
            why = f"the journal {self._path} has version {stored.version}, and this program reads version {VERSION}"
            raise MigError(why, hint="run the program that wrote the file, or remove the file")
        return tuple(map(_decode, stored.changes))

    def add(self, changes: Iterable[Change]) -> tuple[Change, ...]:
        """Records changes in addition to those that could not be recovered. Returns the recorded changes of other GPUs.

        For a GPU that is recorded already, the layout before is the recorded one: the present one may be a part of a change.
        """
        recorded = {each.gpu: each for each in self.read()}
        new = [replace(each, before=recorded[each.gpu].before) if each.gpu in recorded else each for each in changes]
        others = tuple(each for each in recorded.values() if each.gpu not in {one.gpu for one in new})
        self.write((*others, *new))
        return others

    def write(self, changes: Iterable[Change]) -> None:
        """Records these changes on the disk, and no others. Raises MigError if that is not possible: a change must not begin then."""
        encoded = [_encode(each) for each in changes]
        if self._path is None or not encoded:
            self.clear()
            return
        content = msgspec.json.encode(_File(changes=encoded))
        try:
            self._path.parent.mkdir(parents=True, exist_ok=True)
            write_atomically(self._path, content.decode())
        except OSError as error:
            why = f"the journal {self._path} {describe_os_error(error)}"
            raise MigError(why, hint="make --state-dir writable, or set it to an empty text") from error

    def clear(self) -> None:
        """Removes the file. A failure is logged: the next start then compares the layouts again."""
        if self._path is None:
            return
        try:
            self._path.unlink(missing_ok=True)
        except OSError as error:
            log.warning("mig_journal_not_removed", path=str(self._path), why=error.strerror)


def _encode(change: Change) -> _Change:
    return _Change(gpu=change.gpu, before=_encode_layout(change.before), after=_encode_layout(change.after))


def _encode_layout(layout: Layout) -> _Layout:
    instances = [
        _Instance(profile=each.profile, start=each.placement.start, size=each.placement.size, compute=[*each.compute])
        for each in layout.instances
    ]
    return _Layout(is_enabled=layout.is_enabled, instances=instances)


def _decode(change: _Change) -> Change:
    return Change(gpu=GpuUuid(change.gpu), before=_decode_layout(change.before), after=_decode_layout(change.after))


def _decode_layout(layout: _Layout) -> Layout:
    instances = (
        NewInstance(
            profile=each.profile, placement=Placement(start=each.start, size=each.size), compute=tuple(each.compute)
        )
        for each in layout.instances
    )
    return Layout(is_enabled=layout.is_enabled, instances=tuple(instances))
