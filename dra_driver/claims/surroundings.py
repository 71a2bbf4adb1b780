"""What the preparation of claims reads and changes. Tests replace each part."""

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Protocol

from dra_driver.claims.holding import NodeDevices
from dra_driver.claims.specs import ClaimSpecs
from dra_driver.claims.store import ClaimStore
from gpu_core.cdi.plan import CdiPlan
from gpu_core.domain.inventory import Inventory
from gpu_core.mig.plan import GpuPlan

Obj = Mapping[str, Any]


class Hardware(Protocol):
    """The GPUs of the node. Each method may raise NvmlError or MigError.

    has_dynamic_mig: whether the driver makes and destroys MIG devices. If not, it changes none, and has no right to: those that it made
    before are existing MIG devices.
    """

    has_dynamic_mig: bool

    def read(self) -> NodeDevices: ...

    def apply(self, plan: GpuPlan) -> None: ...

    def plan_cdi(self, inventory: Inventory) -> CdiPlan:
        """Reads the files of the driver, and plans the CDI specifications of an inventory."""
        ...


class ClaimReader(Protocol):
    """Both methods raise KubeError."""

    def get(self, namespace: str, name: str) -> Obj | None:
        """Returns a claim; None if it does not exist."""
        ...

    def list_all(self) -> tuple[Obj, ...]: ...


@dataclass(frozen=True, kw_only=True)
class Surroundings:
    """pool: of this node. on_change: called when the MIG layout of a GPU has changed. clock: monotonic seconds. sleep: takes seconds."""

    pool: str
    hardware: Hardware
    claims: ClaimReader
    store: ClaimStore
    specs: ClaimSpecs
    on_change: Callable[[], None] = lambda: None
    clock: Callable[[], float] = time.monotonic
    sleep: Callable[[float], object] = time.sleep
