"""What mig-manager tells gpu-device-plugin on the same node, in a file in the folder of the agents' locks.

The file belongs to one boot: the layouts of the previous boot are gone.
"""

from pathlib import Path

import msgspec
import structlog

from node_core.host.atomic_write import write_atomically

log = structlog.get_logger(__name__)

FOLDER = "mig.d"
"""Below the folder of the agents' locks."""
LIMIT = 1 << 20


class MigStatus(msgspec.Struct, frozen=True, kw_only=True):
    """is_settled: mig-manager has made the layouts of this boot, or cannot make them. leaving: UUIDs of devices that are about to be
    destroyed, and must not get new pods.
    """

    is_settled: bool = False
    leaving: frozenset[str] = frozenset()


class _File(msgspec.Struct, frozen=True, kw_only=True):
    version: int = 1
    boot_id: str
    is_settled: bool
    leaving: list[str]


def mig_status_path(lock_dir: Path, node_name: str) -> Path:
    return lock_dir / FOLDER / f"{node_name}.json"


def read_mig_status(path: Path, boot_id: str) -> MigStatus:
    """Reads the file. A file that is missing, damaged or from another boot contains nothing."""
    try:
        with path.open("rb") as file:
            stored = msgspec.json.decode(file.read(LIMIT), type=_File)
    except (OSError, msgspec.DecodeError, UnicodeDecodeError):
        return MigStatus()
    if stored.version != 1 or stored.boot_id != boot_id:
        return MigStatus()
    return MigStatus(is_settled=stored.is_settled, leaving=frozenset(stored.leaving))


class MigStatusFile:
    """Writes the file if its content changes. path: None to write nothing. Errors are logged, because the plugin waits only for a time."""

    def __init__(self, path: Path | None, boot_id: str) -> None:
        self._path, self._boot_id = path, boot_id
        self._written: MigStatus | None = None
        self._is_failing = False

    def write(self, status: MigStatus) -> None:
        if self._path is None or status == self._written:
            return
        file = _File(boot_id=self._boot_id, is_settled=status.is_settled, leaving=sorted(status.leaving))
        try:
            self._path.parent.mkdir(parents=True, exist_ok=True)
            write_atomically(self._path, msgspec.json.encode(file).decode())
        except OSError as error:
            if not self._is_failing:
                log.warning("mig_status_not_written", path=str(self._path), why=error.strerror)
            self._is_failing = True
        else:
            self._written, self._is_failing = status, False
