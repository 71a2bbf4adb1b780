"""Discovers the node's GPUs for the agents, with a deadline, because every call into a hanging driver hangs."""

import threading
import time
from collections.abc import Callable
from typing import Any

import structlog

from gpu_core.domain.inventory import Gpu, Inventory
from gpu_core.nvml.api import DRIVER_NOT_LOADED, LIBRARY_NOT_FOUND
from gpu_core.nvml.bounded_call import BoundedCall
from node_core.errors import NvmlError

log = structlog.get_logger(__name__)

DEADLINE = 30.0
"""Maximum seconds of a discovery. Initialising NVML on eight GPUs without the persistence daemon takes most of that."""

CACHE_SECONDS = 1.0
"""All agents of a process share a discovery within this time, so that a pass of three agents opens NVML once."""

RELEASED = "RELEASED"
"""A code of this project, not of NVML: a release request keeps NVML closed."""

_NO_DRIVER = frozenset({LIBRARY_NOT_FOUND, DRIVER_NOT_LOADED})


def is_released(error: object) -> bool:
    """Whether a discovery failed only because of a release request."""
    return isinstance(error, NvmlError) and error.code == RELEASED


class InventorySource:
    """Runs discoveries, one at a time, for all agents of a process. Caches a result for CACHE_SECONDS, or until `invalidate`.

    read: runs a discovery without a deadline; raises NvmlError. has_gpus: whether the node may have NVIDIA GPUs. A node with neither
    driver nor GPU has an empty inventory. A node with a GPU but no driver raises NvmlError, so that its labels are retained.
    """

    def __init__(
        self,
        read: Callable[[], Inventory],
        *,
        has_gpus: Callable[[], bool],
        deadline: float = DEADLINE,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._read = BoundedCall(read, deadline)
        self._has_gpus = has_gpus
        self._lock = threading.Lock()
        self._clock = clock
        self._last: tuple[float, Inventory] | None = None
        self._changes = 0
        self._is_released = False
        self._logged: dict[str, Any] = {}

    def release(self) -> bool:
        """Makes discoveries raise RELEASED until `acquire`. Returns False while a hanging discovery has NVML open."""
        self._is_released = True
        with self._lock:
            return not self._read.is_hanging

    def acquire(self) -> None:
        self._is_released = False

    def invalidate(self) -> None:
        """Drops the cached result."""
        self._last = None
        self._changes += 1

    def discover(self) -> Inventory:
        """Returns the inventory. Raises NvmlError, with the code TIMEOUT while the driver hangs."""
        try:
            inventory = self._within_deadline()
        except NvmlError as error:
            if error.code not in _NO_DRIVER or self._has_gpus():
                raise
            why_empty = "the node has no NVIDIA driver and no NVIDIA GPU on the PCI bus"
            inventory = Inventory(driver=None, why_empty=why_empty)
        self._log_changes(inventory)
        return inventory

    def _log_changes(self, inventory: Inventory) -> None:
        """Logs the GPUs once, and again when they change. The line connects the index of each GPU with its UUID."""
        found = {
            "driver": inventory.driver.version if inventory.driver else None,
            "gpus": [_describe(gpu) for gpu in inventory.gpus],
            "unreadable": [f"{fault.name}: {fault.reason}" for fault in inventory.faults],
            "simulated": inventory.simulated,
        }
        if found != self._logged:
            self._logged = found
            log.info(
                "gpus_discovered", **{key: value for key, value in found.items() if value}, count=len(inventory.gpus)
            )

    def _within_deadline(self) -> Inventory:
        with self._lock:
            if self._is_released and not self._read.is_hanging:
                raise NvmlError("NVML", RELEASED, hint="a release request keeps NVML closed")
            if (last := self._last) is not None and self._clock() - last[0] < CACHE_SECONDS:
                return last[1]
            started, changes = self._clock(), self._changes
            self._read.start()
            inventory = self._read.result()
            log.debug("gpus_read", seconds=round(self._clock() - started, 4))
            if changes == self._changes:  # otherwise the result may be outdated
                self._last = (started, inventory)
            return inventory


def _describe(gpu: Gpu) -> str:
    mig = f" with {len(gpu.mig_devices)} MIG devices" if gpu.mig_enabled else ""
    return f"{gpu.name}: {gpu.model}{mig}"
