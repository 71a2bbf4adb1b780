"""What Xids have done to GPUs, for the next process of this boot: a restart of ours heals nothing. A reboot does, so it forgets.

Times are those of the monotonic clock, which goes on from process to process until the machine boots.
"""

import os
from collections.abc import Mapping
from pathlib import Path

import msgspec
import structlog

from node_core.domain.health import Health, Phase, Wound
from node_core.domain.inventory import GpuUuid
from node_core.domain.xid import XidClass

log = structlog.get_logger(__name__)

BOOT_ID = Path("/proc/sys/kernel/random/boot_id")
LIMIT = 1 << 20
GRAIN = 10.0
"""Seconds to which times are kept, so that a storm of Xids is no storm of writes."""

Part = tuple[GpuUuid, int | None]


class _Wound(msgspec.Struct, frozen=True, kw_only=True):
    xid: int
    kind: XidClass
    at: float


class _Gpu(msgspec.Struct, frozen=True, kw_only=True):
    gpu: str
    gpu_instance: int | None = None
    wounds: list[_Wound] = []
    returns: list[float] = []


class _File(msgspec.Struct, frozen=True, kw_only=True):
    version: int = 1
    boot_id: str
    gpus: list[_Gpu] = []


def read_boot_id(path: Path = BOOT_ID) -> str:
    """Empty where the kernel does not say."""
    try:
        return path.read_text().strip()
    except OSError:
        return ""


class StateFile:
    """path: None where nothing is kept. Nothing is raised: without the file only a restart of ours may heal too early."""

    def __init__(self, path: Path | None, boot_id: str) -> None:
        self._path = path
        self._boot_id = boot_id
        self._written: bytes | None = None
        self._is_failing = False

    def read(self, now: float) -> dict[Part, Health]:
        """Nothing where there is no file, or one of another boot, or one that we did not write."""
        if self._path is None or not self._boot_id:
            return {}
        try:
            with self._path.open("rb") as file:
                found = msgspec.json.decode(file.read(LIMIT), type=_File)
        except FileNotFoundError:
            return {}
        except (OSError, msgspec.DecodeError) as error:
            log.warning("health_file_unreadable", path=str(self._path), why=str(error), effect="it is written anew")
            return {}
        if found.boot_id != self._boot_id or found.version != 1:
            return {}
        return {(GpuUuid(each.gpu), each.gpu_instance): _restore(each, now) for each in found.gpus}

    def write(self, healths: Mapping[Part, Health]) -> None:
        """As one step, and only what differs from the last time. No file where there is nothing to remember."""
        kept = [_keep(part, health) for part, health in sorted(healths.items(), key=str) if _has_past(health)]
        content = msgspec.json.encode(_File(boot_id=self._boot_id, gpus=kept)) if kept else b""
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
        new = path.with_name(f".{path.name}.new")
        try:
            with new.open("wb") as file:
                file.write(content)
                file.flush()
                os.fsync(file.fileno())
            new.replace(path)
        except OSError:
            new.unlink(missing_ok=True)  # what is half there takes room that is needed
            raise


def _has_past(health: Health) -> bool:
    return bool(health.wounds or health.returns)


def _keep(part: Part, health: Health) -> _Gpu:
    wounds = [_Wound(xid=each.xid, kind=each.kind, at=each.at // GRAIN * GRAIN) for each in health.wounds]
    return _Gpu(gpu=part[0], gpu_instance=part[1], wounds=wounds, returns=list(health.returns))


def _restore(kept: _Gpu, now: float) -> Health:
    """Times that are not over yet are of no clock of this boot; they count as now."""
    wounds = tuple(Wound(xid=each.xid, kind=each.kind, at=min(each.at, now)) for each in kept.wounds)
    phase = Phase.UNHEALTHY if wounds else Phase.HEALTHY
    return Health(phase=phase, wounds=wounds, returns=tuple(min(at, now) for at in kept.returns))
