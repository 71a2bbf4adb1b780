"""The node's GPU inventory for agents: with a deadline, because a hung driver hangs every call into it."""

import threading
import time
from collections.abc import Callable
from concurrent.futures import Future
from concurrent.futures import TimeoutError as FutureTimeout

from node_core.domain.inventory import Inventory
from node_core.errors import NvmlError
from node_core.host.nvml.api import DRIVER_NOT_LOADED, LIBRARY_NOT_FOUND, TIMEOUT

DEADLINE = 30.0
"""Seconds for one whole look. Initialising NVML on eight GPUs without the persistence daemon takes most of that."""

FRESH = 1.0
"""Seconds for which one look serves all agents of a process, so that a pass of three agents opens NVML once."""

RELEASED = "RELEASED"
"""Ours, none of NVML's codes: NVML is not asked, because somebody wants the GPUs to be free."""

_NO_DRIVER = frozenset({LIBRARY_NOT_FOUND, DRIVER_NOT_LOADED})


def is_released(error: object) -> bool:
    """Whether a look was refused because of a request that we hold nothing open; that says nothing of the GPUs."""
    return isinstance(error, NvmlError) and error.code == RELEASED


class InventorySource:
    """Looks at the GPUs, one look at a time, for all agents of a process.

    A look also serves who asks within the next second, unless `forget` says that something has changed meanwhile.

    read: one look without a deadline; raises NvmlError. gpus_on_pci: whether the PCI bus has an NVIDIA GPU. A node without driver
    and without GPU has an empty inventory; one with a GPU and no driver has a problem, and raises, so that its labels stay.
    """

    def __init__(
        self,
        read: Callable[[], Inventory],
        *,
        gpus_on_pci: Callable[[], bool],
        deadline: float = DEADLINE,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._read = read
        self._gpus_on_pci = gpus_on_pci
        self._deadline = deadline
        self._lock = threading.Lock()
        self._clock = clock
        self._hung: Future[Inventory] | None = None
        self._last: tuple[float, Inventory] | None = None
        self._changes = 0
        self._is_released = False

    def release(self) -> bool:
        """No look opens NVML until `take`; each raises RELEASED. Whether none is open now: one that hangs cannot be ended."""
        self._is_released = True
        with self._lock:
            return self._hung is None or self._hung.done()

    def take(self) -> None:
        self._is_released = False

    def forget(self) -> None:
        """The next to ask gets a look of its own."""
        self._last = None
        self._changes += 1

    def look(self) -> Inventory:
        """The inventory now. Raises NvmlError; its code is TIMEOUT while the driver hangs."""
        try:
            return self._within_deadline()
        except NvmlError as error:
            if error.code in _NO_DRIVER and not self._gpus_on_pci():
                return Inventory(driver=None, why_empty="no NVIDIA driver, and no NVIDIA GPU on the PCI bus")
            raise

    def _within_deadline(self) -> Inventory:
        with self._lock:
            if self._hung is not None and not self._hung.done():
                raise _timeout()
            if self._is_released:
                raise NvmlError(
                    "NVML", RELEASED, hint="its handles were given up on request, until they are taken again"
                )
            self._hung = None
            if (last := self._last) is not None and self._clock() - last[0] < FRESH:
                return last[1]
            asked, changes = self._clock(), self._changes
            look = self._start()
            try:
                inventory = look.result(self._deadline)
            except FutureTimeout:
                self._hung = look
                raise _timeout() from None
            if changes == self._changes:  # else it may have seen the GPUs as they were before
                self._last = (asked, inventory)
            return inventory

    def _start(self) -> "Future[Inventory]":
        """A look in a daemon thread: one that hangs must not keep the process from ending."""
        look: Future[Inventory] = Future()

        def run() -> None:
            try:
                look.set_result(self._read())
            except BaseException as error:  # noqa: BLE001 - it is raised again in the thread that waits
                look.set_exception(error)

        threading.Thread(target=run, name="nvml", daemon=True).start()
        return look


def _timeout() -> NvmlError:
    return NvmlError("NVML", TIMEOUT, hint="the NVIDIA driver hangs: look for NVRM lines in the kernel log")
