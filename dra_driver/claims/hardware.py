"""The GPUs of the node for claims: reads devices and MIG layouts, changes layouts, and reads what containers need."""

import threading
from collections.abc import Callable
from contextlib import AbstractContextManager
from typing import Any, TypeVar

from dra_driver.claims.holding import NodeDevices
from dra_driver.devices.collect import devices_of
from gpu_core.cdi.plan import CdiPlan
from gpu_core.domain.inventory import Inventory
from gpu_core.mig.model import MigGpu
from gpu_core.mig.plan import GpuPlan, read_layout
from gpu_core.nvml.api import Nvml
from gpu_core.nvml.bounded_call import BoundedCall
from gpu_core.nvml.mig_apply import apply_plan, restore_layout
from gpu_core.nvml.mig_reader import read_mig_gpus
from node_core.domain.pci import PciAddress
from node_core.errors import ClaimError

DEADLINE = 25.0
"""Seconds for the calls of NVML of one step: less than the kubelet waits for a response (45 s)."""

T = TypeVar("T")


class NodeHardware:
    """open_nvml: opens a session. discover: reads the inventory anew. plan_cdi: plans the CDI specifications of an inventory.

    pcie_root: returns the PCIe root complex of an address; None if unknown. has_dynamic_mig: whether MIG devices are created on demand.
    """

    def __init__(
        self,
        open_nvml: Callable[[], AbstractContextManager[Nvml]],
        discover: Callable[[], Inventory],
        plan_cdi: Callable[[Inventory], CdiPlan],
        *,
        pcie_root: Callable[[PciAddress], str | None] = lambda _: None,
        has_dynamic_mig: bool = False,
    ) -> None:
        self._open_nvml, self._discover, self.plan_cdi = open_nvml, discover, plan_cdi
        self._pcie_root, self.has_dynamic_mig = pcie_root, has_dynamic_mig
        self._lock = threading.Lock()
        self._hanging: tuple[BoundedCall[Any], ...] = ()

    def read(self) -> NodeDevices:
        inventory = self._discover()
        mig_gpus = self.read_mig_gpus() if any(gpu.mig_capable for gpu in inventory.gpus) else ()
        addresses = [gpu.address for gpu in inventory.gpus if gpu.address is not None]
        roots = {address: root for address in addresses if (root := self._pcie_root(address)) is not None}
        devices = devices_of(inventory, mig_gpus, has_dynamic_mig=self.has_dynamic_mig, pcie_roots=roots)
        return NodeDevices(devices={each.name: each for each in devices}, mig_gpus=mig_gpus, inventory=inventory)

    def read_mig_gpus(self) -> tuple[MigGpu, ...]:
        """The GPUs that support MIG and can be read. Raises NvmlError."""
        return self._bounded(lambda nvml: read_mig_gpus(nvml)[0])

    def apply(self, plan: GpuPlan) -> None:
        if not self._bounded(lambda nvml: _change(nvml, plan)):
            raise ClaimError(
                f"{plan.gpu.name} does not change its MIG mode now: the GPU is in use, or needs a reset",
                hint="end the processes on the GPU, or set the MIG mode with mig-manager or nvidia-smi",
            )

    def _bounded(self, use: Callable[[Nvml], T]) -> T:
        """Raises NvmlError TIMEOUT, at once while any earlier call hangs: a change that continues later must not meet another change."""
        self._raise_if_hanging()

        def run() -> T:
            with self._open_nvml() as nvml:
                return use(nvml)

        call = BoundedCall(run, DEADLINE)
        call.start()
        try:
            return call.result()
        finally:
            if call.is_hanging:
                with self._lock:
                    self._hanging = (*self._hanging, call)

    def _raise_if_hanging(self) -> None:
        with self._lock:
            self._hanging = tuple(each for each in self._hanging if each.is_hanging)
            for each in self._hanging:
                each.result()


def _change(nvml: Nvml, plan: GpuPlan) -> bool:
    """Returns False if the GPU does not change its MIG mode now. The mode is not pending then, so that a later reset does not change it."""
    if apply_plan(nvml, plan):
        return True
    restore_layout(nvml, plan.gpu.uuid, read_layout(plan.gpu))
    return False
