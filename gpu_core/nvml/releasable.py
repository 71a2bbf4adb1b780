"""NVML sessions that a release request closes."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager

from gpu_core.nvml.api import Nvml, OpenNvml
from gpu_core.nvml.source import RELEASED
from node_core.errors import NvmlError


class ReleasableNvml:
    """Satisfies release.NvmlUser, and opens sessions while NVML is not released."""

    def __init__(self, open_nvml: OpenNvml) -> None:
        self._open_nvml = open_nvml
        self._lock = threading.Lock()
        self._sessions = 0
        self._is_released = False

    @contextmanager
    def open(self) -> Iterator[Nvml]:
        """Raises NvmlError RELEASED during a release."""
        with self._lock:
            if self._is_released:
                raise NvmlError("NVML", RELEASED, hint="a release request keeps NVML closed")
            self._sessions += 1
        try:
            with self._open_nvml() as nvml:
                yield nvml
        finally:
            with self._lock:
                self._sessions -= 1

    def release(self) -> bool:
        with self._lock:
            self._is_released = True
            return self._sessions == 0

    def acquire(self) -> None:
        self._is_released = False
