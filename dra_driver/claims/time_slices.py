"""The time slices of GPUs: how long the kernels of one process run before those of another, by `nvidia-smi compute-policy`.

A time slice belongs to a whole GPU and lasts until the driver is unloaded. The file is written before each change, so that a killed
driver restores what it has changed. Source: `nvidia-smi compute-policy --help`.
"""

from collections.abc import Callable, Collection, Mapping
from pathlib import Path

import msgspec

from dra_driver.claims.config import Interval
from gpu_core.host.nvidia_smi import NvidiaSmi, SmiTimeoutError
from node_core.decode import describe_os_error
from node_core.errors import ClaimError, NodeError
from node_core.host.atomic_write import write_bytes_atomically

DEFAULT = "Default"
NUMBERS: Mapping[str, int] = {DEFAULT: 0, "Short": 1, "Medium": 2, "Long": 3}
"""Interval -> the value of --set-timeslice."""
UNKNOWN = ""
"""The interval of a GPU between the record and the end of a change."""
SECONDS = 20.0
"""Less than the kubelet waits for a response (45 s)."""


class _File(msgspec.Struct, frozen=True, kw_only=True):
    boot_id: str
    intervals: dict[str, str]


class TimeSlices:
    """path: records the GPUs whose time slice is not the default. boot_id: of this boot; empty if unknown. find: returns nvidia-smi."""

    def __init__(self, path: Path, boot_id: str, find: Callable[[], NvidiaSmi]) -> None:
        self._path, self._boot_id, self._find = path, boot_id, find

    def set(self, wanted: Mapping[str, Interval], gpus: Collection[str] | None = None) -> Mapping[str, str]:
        """Sets the time slices of GPUs, and restores those that nobody wants any more. Returns the errors by UUID. Raises ClaimError.

        wanted: UUID -> interval. gpus: the GPUs that may be changed; None for all.
        """
        known, failed, smi = self._read(), dict[str, str](), None
        for gpu in sorted({*known, *wanted}):
            interval = wanted.get(gpu, DEFAULT)
            if known.get(gpu, DEFAULT) == interval or not (gpus is None or gpu in gpus):
                continue
            before, known = known, self._write({**known, gpu: UNKNOWN})
            try:
                smi = smi or self._find()
                smi.run("compute-policy", "-i", gpu, "--set-timeslice", str(NUMBERS[interval]), seconds=SECONDS)
            except SmiTimeoutError as error:  # the other GPUs may need as long, and the kubelet waits
                return {**failed, gpu: str(error)}
            except NodeError as error:  # nothing has changed
                known, failed[gpu] = self._write(before), str(error)
                continue
            rest = {other: each for other, each in known.items() if other != gpu}
            known = self._write(rest if interval == DEFAULT else {**rest, gpu: interval})
        return failed

    def _read(self) -> dict[str, str]:
        try:
            stored = msgspec.json.decode(self._path.read_bytes(), type=_File)
        except FileNotFoundError:
            return {}
        except OSError as error:
            raise ClaimError(f"the time slices {self._path} {describe_os_error(error)}") from error
        except (msgspec.DecodeError, UnicodeDecodeError):
            return {}
        is_other_boot = bool(self._boot_id and stored.boot_id and stored.boot_id != self._boot_id)
        return {} if is_other_boot else stored.intervals

    def _write(self, intervals: dict[str, str]) -> dict[str, str]:
        content = msgspec.json.encode(_File(boot_id=self._boot_id, intervals=intervals))
        try:
            write_bytes_atomically(self._path, content, mode=0o600)
        except OSError as error:
            raise ClaimError(f"the time slices {self._path} cannot be written: {error.strerror}") from error
        return intervals
