"""Discovers the GPUs while the driver hangs for some of them: each GPU in its own thread and session, so that the others have metrics."""

import threading
from collections.abc import Callable
from functools import partial

import structlog

from gpu_core.domain.inventory import Fault, Inventory
from gpu_core.host.platform import choose_platform
from gpu_core.nvml.api import TIMEOUT, OpenNvml
from gpu_core.nvml.bounded_call import DRIVER_HANGS, BoundedCall
from gpu_core.nvml.inventory import read_inventory
from gpu_core.nvml.source import RELEASED
from node_core.errors import NvmlError

log = structlog.get_logger(__name__)

DEADLINE = 10.0
"""Maximum seconds of the discovery of one GPU."""


class EachGpu:
    """Discovers each GPU alone, if the discovery of all GPUs hangs. A NvmlUser.

    discover_all: may raise NvmlError, with the code TIMEOUT while the driver hangs. simulated: see Inventory.
    """

    def __init__(
        self,
        discover_all: Callable[[], Inventory],
        open_nvml: OpenNvml,
        *,
        simulated: bool = False,
        deadline: float = DEADLINE,
    ) -> None:
        self._discover_all, self._open, self._simulated, self._deadline = discover_all, open_nvml, simulated, deadline
        self._count = BoundedCall(self._read_count, deadline)
        self._gpus: dict[int, BoundedCall[Inventory]] = {}
        self._lock = threading.Lock()
        self._is_released = False
        self._hanging: list[str] = []

    def discover(self) -> Inventory:
        """Returns the inventory. A GPU whose driver hangs is a Fault without UUID. Raises NvmlError."""
        try:
            inventory = self._discover_all()
        except NvmlError as error:
            if error.code != TIMEOUT:
                raise
            with self._lock:
                inventory = self._discover_each()
        self._report([fault.name for fault in inventory.faults if fault.reason == DRIVER_HANGS])
        return inventory

    def release(self) -> bool:
        """Returns False while a call that hangs has NVML open."""
        self._is_released = True
        with self._lock:
            return not self._count.is_hanging and not any(call.is_hanging for call in self._gpus.values())

    def acquire(self) -> None:
        self._is_released = False

    def _discover_each(self) -> Inventory:
        if self._is_released:
            raise NvmlError("NVML", RELEASED)
        self._count.start()
        calls = {index: self._call(index) for index in range(self._count.result())}
        for call in calls.values():
            call.start()
        found = [_result(index, call) for index, call in calls.items()]
        return Inventory(
            driver=next((each.driver for each in found if each.driver is not None), None),
            gpus=tuple(gpu for each in found for gpu in each.gpus),
            faults=tuple(fault for each in found for fault in each.faults),
            platform=choose_platform((gpu.model for each in found for gpu in each.gpus), wsl=False),
            simulated=self._simulated,
            states=tuple(state for each in found for state in each.states),
        )

    def _read_count(self) -> int:
        with self._open() as nvml:
            return nvml.device_get_count()

    def _call(self, index: int) -> BoundedCall[Inventory]:
        read = partial(read_inventory, self._open, lambda _: None, indexes=(index,))
        return self._gpus.setdefault(index, BoundedCall(read, self._deadline))

    def _report(self, hanging: list[str]) -> None:
        """Logs one line when the GPUs that hang change."""
        if hanging and hanging != self._hanging:
            log.warning("gpus_hang", gpus=hanging, why=DRIVER_HANGS, effect="they have no metrics")
        elif self._hanging and not hanging:
            log.info("gpus_respond_again", gpus=self._hanging)
        self._hanging = hanging


def _result(index: int, call: BoundedCall[Inventory]) -> Inventory:
    try:
        return call.result()
    except NvmlError as error:
        reason = DRIVER_HANGS if call.is_hanging else str(error)
        return Inventory(driver=None, faults=(Fault(index=index, uuid=None, reason=reason),))
