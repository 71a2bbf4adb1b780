"""The claims of the node on disk. A claim is recorded before its first change, so that a killed driver continues where it ended.

A damaged file is renamed and the claims are recovered from the CDI specifications. After a reboot no claim is prepared any more: MIG
instances are gone, and the kubelet prepares the claims of its pods again.

A newer driver may add fields: an older one retains them in the claims that it does not change. Any other change of the format needs a new
VERSION, and a driver refuses the file of another VERSION without a change.
"""

import fcntl
import os
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

import msgspec
import structlog

from dra_driver.claims.holding import Claim, Claims
from gpu_core.domain.inventory import GpuUuid
from node_core.decode import describe_os_error
from node_core.errors import ClaimError
from node_core.host.atomic_write import write_bytes_atomically
from node_core.host.flock import try_lock

log = structlog.get_logger(__name__)

VERSION = 1
LIMIT = 16 << 20
LOCK_SECONDS = 30.0
"""How long a claim waits for another one: less than the kubelet waits for a response (45 s)."""
_POLL = 0.02


class ClaimsFile(msgspec.Struct, frozen=True, kw_only=True):
    """The content of the file. boot_id: of the boot in which the claims were prepared; empty if unknown."""

    version: int
    boot_id: str
    claims: dict[str, Claim]


class _Raw(msgspec.Struct, frozen=True, kw_only=True):
    version: int
    boot_id: str
    claims: Mapping[str, msgspec.Raw]


class _Version(msgspec.Struct, frozen=True, kw_only=True):
    version: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Stored:
    """problem: why the claims must be recovered, or None. is_new_boot: the claims of the file belong to another boot."""

    claims: Claims
    problem: str | None = None
    is_new_boot: bool = False


def parse_claims(content: bytes, path: Path) -> ClaimsFile:
    """Parses the file. Raises ClaimError for another version, and ValueError for a damaged file. path: for the message. PURE."""
    if msgspec.json.decode(content, type=_Version).version != VERSION:
        raise ClaimError(
            f"the claims {path} are of another version than {VERSION}",
            hint="run the program that wrote the file, or drain the node and remove the file",
        )
    return msgspec.json.decode(content, type=ClaimsFile)


def damaged_path(path: Path) -> Path:
    """Returns where a damaged file is. path: of the file."""
    return path.with_suffix(".damaged")


class ClaimStore:
    """path: the file. boot_id: of this boot; empty if unknown, and then every boot is this one."""

    def __init__(self, path: Path, boot_id: str, *, sleep: Callable[[float], None] = time.sleep) -> None:
        self._path, self._boot_id, self._sleep = path, boot_id, sleep
        self._thread_lock = threading.Lock()

    @contextmanager
    def lock(self) -> Iterator[None]:
        """Excludes other threads, and the other driver during an update. Raises ClaimError after LOCK_SECONDS."""
        ends_at = time.monotonic() + LOCK_SECONDS
        if not self._thread_lock.acquire(timeout=LOCK_SECONDS):
            raise ClaimError(f"another claim has been in preparation for {LOCK_SECONDS:.0f} s")
        try:
            descriptor = self._open_lock()
            try:
                while not try_lock(descriptor, fcntl.LOCK_EX):
                    if time.monotonic() >= ends_at:
                        raise ClaimError(f"another driver has {self._path} locked for {LOCK_SECONDS:.0f} s")
                    self._sleep(_POLL)
                yield
            finally:
                os.close(descriptor)
        finally:
            self._thread_lock.release()

    def _open_lock(self) -> int:
        path = self._path.with_suffix(".lock")
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            return os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        except OSError as error:
            raise ClaimError(f"the lock {path} {describe_os_error(error)}") from error

    def read(self) -> Stored:
        """Reads the claims. Renames a damaged file. Raises ClaimError if the file cannot be read, or is of a newer version."""
        try:
            return self._load()
        except (msgspec.DecodeError, UnicodeDecodeError) as error:
            return self._quarantine(str(error))

    def held_gpus(self) -> frozenset[GpuUuid] | None:
        """Returns the GPUs of the claims, without waiting for the lock. Returns None if the file cannot be read."""
        try:
            claims = self._load().claims
        except (msgspec.DecodeError, UnicodeDecodeError, ClaimError):
            return None
        return frozenset(GpuUuid(held.gpu) for claim in claims.values() for held in claim.holdings)

    def _load(self) -> Stored:
        """Raises ClaimError, and DecodeError or UnicodeDecodeError if the file is damaged."""
        try:
            with self._path.open("rb") as file:
                content = file.read(LIMIT)
        except FileNotFoundError:
            return Stored(claims={}, problem="the file does not exist")
        except OSError as error:
            raise ClaimError(f"the claims {self._path} {describe_os_error(error)}") from error
        stored = parse_claims(content, self._path)
        if self._boot_id and stored.boot_id and stored.boot_id != self._boot_id:
            return Stored(claims={}, is_new_boot=True)
        return Stored(claims=stored.claims)

    def _quarantine(self, why: str) -> Stored:
        damaged = damaged_path(self._path)
        log.warning("claims_file_damaged", path=str(self._path), why=why, renamed_to=str(damaged))
        try:
            self._path.replace(damaged)
        except OSError as error:
            raise ClaimError(f"the damaged file {self._path} cannot be renamed: {error.strerror}") from error
        return Stored(claims={}, problem=why)

    def write(self, claims: Claims) -> None:
        """Records these claims on the disk, and no others. Raises ClaimError if that is not possible: nothing may be changed then."""
        present = self._read_raw()
        rendered = {uid: _render(claim, present.get(uid)) for uid, claim in claims.items()}
        content = msgspec.json.encode(_Raw(version=VERSION, boot_id=self._boot_id, claims=rendered))
        try:
            write_bytes_atomically(self._path, content, mode=0o600)
        except OSError as error:
            raise ClaimError(f"the claims {self._path} cannot be written: {error.strerror}") from error

    def _read_raw(self) -> Mapping[str, msgspec.Raw]:
        """Returns the JSON of the recorded claims; empty if there is none."""
        try:
            return msgspec.json.decode(self._path.read_bytes(), type=_Raw).claims
        except (OSError, msgspec.DecodeError, UnicodeDecodeError):
            return {}


def _render(claim: Claim, present: msgspec.Raw | None) -> msgspec.Raw:
    """Returns the present JSON of a claim that stays the same, with the fields of a newer driver."""
    if present is not None:
        with suppress(msgspec.DecodeError, UnicodeDecodeError):
            if msgspec.json.decode(present, type=Claim) == claim:
                return present
    return msgspec.Raw(msgspec.json.encode(claim))
