"""Stores the incidents of GPUs for the next process, so that a restart of an agent does not make a GPU healthy.

The file is valid until the next boot, because a reboot resets all GPUs. Times are monotonic seconds, which all processes of a boot share.
"""

from collections.abc import Mapping
from pathlib import Path

import msgspec
import structlog

from gpu_core.domain.health import Health, Incident, Phase
from gpu_core.domain.inventory import GpuUuid
from gpu_core.domain.xid import XidClass
from gpu_core.health.assessment import GpuPart
from node_core.host.atomic_write import write_atomically

log = structlog.get_logger(__name__)

LIMIT = 1 << 20
TIME_RESOLUTION = 10.0
"""Times are rounded down to this number of seconds, so that a storm of Xids does not cause a storm of writes."""


class _Incident(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """renewed: when the GPU was reset after the Xid; None if it was not. Earlier versions do not write this key."""

    xid: int
    kind: XidClass
    at: float
    renewed: float | None = None


class _Gpu(msgspec.Struct, frozen=True, kw_only=True, rename={"incidents": "wounds"}):
    gpu: str
    gpu_instance: int | None = None
    incidents: list[_Incident] = []
    returns: list[float] = []


class _File(msgspec.Struct, frozen=True, kw_only=True):
    version: int = 1
    boot_id: str
    gpus: list[_Gpu] = []


class StateFile:
    """path: None to store nothing. Errors are logged and not raised: without the file, a restart may make a GPU healthy too early."""

    def __init__(self, path: Path | None, boot_id: str) -> None:
        self._path = path
        self._boot_id = boot_id
        self._written: bytes | None = None
        self._is_failing = False

    def read(self, now: float) -> dict[GpuPart, Health]:
        """Reads the incidents. Returns an empty dict if the file is missing, damaged, or from another boot or version."""
        if self._path is None or not self._boot_id:
            return {}
        try:
            with self._path.open("rb") as file:
                stored = msgspec.json.decode(file.read(LIMIT), type=_File)
        except FileNotFoundError:
            return {}
        except (OSError, msgspec.DecodeError, UnicodeDecodeError) as error:
            log.warning("health_file_unreadable", path=str(self._path), why=str(error), effect="a new file is written")
            return {}
        if stored.boot_id != self._boot_id or stored.version != 1:
            return {}
        return {(GpuUuid(each.gpu), each.gpu_instance): _decode(each, now) for each in stored.gpus}

    def write(self, healths: Mapping[GpuPart, Health]) -> None:
        """Writes the file atomically if its content has changed. Removes the file if there are no incidents."""
        gpus = [
            _encode(part, health)
            for part, health in sorted(healths.items(), key=str)
            if health.incidents or health.returns
        ]
        content = msgspec.json.encode(_File(boot_id=self._boot_id, gpus=gpus)) if gpus else b""
        if self._path is None or not self._boot_id or content == self._written:
            return
        try:
            self._replace(self._path, content)
        except OSError as error:
            if not self._is_failing:
                log.warning("health_file_not_written", path=str(self._path), why=error.strerror)
            self._is_failing = True
        else:
            self._written, self._is_failing = content, False

    def _replace(self, path: Path, content: bytes) -> None:
        if not content:
            path.unlink(missing_ok=True)
            return
        path.parent.mkdir(parents=True, exist_ok=True)
        write_atomically(path, content.decode())


def _encode(part: GpuPart, health: Health) -> _Gpu:
    incidents = [
        _Incident(xid=each.xid, kind=each.kind, at=each.at // TIME_RESOLUTION * TIME_RESOLUTION, renewed=each.reset_at)
        for each in health.incidents
    ]
    return _Gpu(gpu=part[0], gpu_instance=part[1], incidents=incidents, returns=list(health.returns))


def _decode(gpu: _Gpu, now: float) -> Health:
    """Times in the future are not from the clock of this boot, so they count as `now`."""
    incidents = tuple(
        Incident(
            xid=each.xid,
            kind=each.kind,
            at=min(each.at, now),
            reset_at=None if each.renewed is None else min(each.renewed, now),
        )
        for each in gpu.incidents
    )
    phase = Phase.UNHEALTHY if incidents else Phase.HEALTHY
    return Health(phase=phase, incidents=incidents, returns=tuple(min(at, now) for at in gpu.returns))
