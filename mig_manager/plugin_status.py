"""Publishes to gpu-device-plugin what it must know about the layouts; see `gpu_core.host.mig_status`."""

import threading

from gpu_core.host.mig_status import MigStatus, MigStatusFile
from node_core.values import replace


class PluginStatus:
    """Each method is callable from any thread."""

    def __init__(self, file: MigStatusFile) -> None:
        self._file = file
        self._lock = threading.Lock()
        self._status = MigStatus()

    def settle(self) -> None:
        """Publishes that the layouts of this boot are made, or cannot be made."""
        with self._lock:
            self._status = replace(self._status, is_settled=True)
            self._file.write(self._status)

    def set_leaving(self, uuids: frozenset[str]) -> None:
        """Publishes the devices that are about to be destroyed."""
        with self._lock:
            self._status = replace(self._status, leaving=uuids)
            self._file.write(self._status)
