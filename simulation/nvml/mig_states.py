"""The MIG modes and layouts that NVML calls have made on a simulated node. They replace those of the scenario.

`MigStates` are those of one process. `SharedMigStates` are in a file, for all processes of a simulated node, and survive a process.
"""

import errno
import fcntl
import os
import threading
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

import msgspec

from gpu_core.nvml.mig_api import NO_PERMISSION
from node_core.errors import NvmlError
from node_core.host.atomic_write import write_atomically
from node_core.host.flock import open_locked
from node_core.values import replace
from simulation.scenarios.mig_layout import MigState
from simulation.scenarios.scenario import SimulatedGpu

STATE = "the MIG state of the simulated node"


@dataclass(frozen=True, slots=True, kw_only=True)
class ChangedMig:
    """before: what the scenario had before the first change. A later fault of the kind `mig` replaces the change while it is active."""

    before: MigState
    now: MigState


class MigStates:
    """Thread-safe."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._changed: Mapping[int, ChangedMig] = {}
        self._sessions = 0

    def apply(self, gpu: SimulatedGpu) -> SimulatedGpu:
        """The GPU with its present MIG mode and layout. gpu: as in the scenario. Raises NvmlError if the state cannot be read."""
        changed = self._read().get(gpu.index)
        return replace(gpu, mig=changed.now) if changed and changed.before == gpu.mig else gpu

    def count_changes(self, gpu: int) -> int:
        """The number of changes of a GPU by NVML calls. gpu: the index."""
        changed = self._read().get(gpu)
        return changed.now.changes if changed else 0

    @contextmanager
    def lock(self) -> Iterator[None]:
        """Excludes other changes, from `apply` to `write`."""
        with self._lock:
            yield

    def write(self, gpu: SimulatedGpu, mig: MigState) -> None:
        """Replaces the state of a GPU. gpu: as in the scenario. Raises NvmlError if the state cannot be written."""
        if gpu.mig is not None:
            now = replace(mig, changes=mig.changes + 1)
            self._write({**self._read(), gpu.index: ChangedMig(before=gpu.mig, now=now)})

    @contextmanager
    def session(self) -> Iterator[None]:
        """An open session of NVML."""
        with self._lock:
            self._sessions += 1
        try:
            yield
        finally:
            with self._lock:
                self._sessions -= 1

    def has_sessions(self) -> bool:
        return self._sessions > 0

    def _read(self) -> Mapping[int, ChangedMig]:
        return self._changed

    def _write(self, changed: Mapping[int, ChangedMig]) -> None:
        self._changed = changed


class SharedMigStates(MigStates):
    """path: of the file. Without the file, all GPUs are as in the scenario. Each change replaces the file.

    The locks are files beside it. The kernel releases a lock when the process ends. Source: flock(2).
    """

    def __init__(self, path: Path) -> None:
        super().__init__()
        self._path = path
        self._version: tuple[int, ...] = ()
        self._lock_path, self._session_path = (path.with_name(f"{path.name}.{end}") for end in ("lock", "sessions"))

    @contextmanager
    def lock(self) -> Iterator[None]:
        with _locked(self._lock_path, fcntl.LOCK_EX):
            yield

    @contextmanager
    def session(self) -> Iterator[None]:
        """A process that may not write the folder is not counted if no other process has created the file."""
        with ExitStack() as stack:
            with suppress(_NotPermittedError):
                stack.enter_context(_locked(self._session_path, fcntl.LOCK_SH))
            yield

    def has_sessions(self) -> bool:
        try:
            descriptor = open_locked(self._session_path, fcntl.LOCK_EX)
        except OSError as error:
            raise _failed(error) from error
        if descriptor is not None:
            os.close(descriptor)
        return descriptor is None

    def _read(self) -> Mapping[int, ChangedMig]:
        try:
            found = self._path.stat()
            version = found.st_ino, found.st_mtime_ns, found.st_size
            with self._lock:
                if version != self._version:
                    self._changed = msgspec.json.decode(self._path.read_bytes(), type=dict[int, ChangedMig])
                    self._version = version
                return self._changed
        except FileNotFoundError:
            return {}
        except OSError as error:
            raise _failed(error) from error
        except (msgspec.MsgspecError, UnicodeDecodeError) as error:
            raise NvmlError(STATE, "UNKNOWN", hint=f"{self._path}: {error}. Remove the file.") from error

    def _write(self, changed: Mapping[int, ChangedMig]) -> None:
        try:
            write_atomically(self._path, msgspec.json.encode(changed).decode())
        except OSError as error:
            raise _failed(error) from error


class _NotPermittedError(NvmlError):
    """The process may not create or open a file."""


@contextmanager
def _locked(path: Path, kind: int) -> Iterator[None]:
    """Waits for the lock. Creates the file and its folder if they are missing. Raises _NotPermittedError or another NvmlError."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        descriptor = os.open(path, os.O_RDONLY | os.O_CREAT | os.O_CLOEXEC, 0o644)
    except OSError as error:
        raise _failed(error) from error
    try:
        fcntl.flock(descriptor, kind)
        yield
    finally:
        os.close(descriptor)


def _failed(error: OSError) -> NvmlError:
    kind = _NotPermittedError if error.errno in (errno.EACCES, errno.EROFS) else NvmlError
    return kind(STATE, NO_PERMISSION, hint=f"{error.filename}: {error.strerror}")
