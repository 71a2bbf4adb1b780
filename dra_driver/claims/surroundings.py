"""What the preparation of claims reads and changes. Tests replace each part."""

import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Protocol

from dra_driver.claims.holding import Claim, Claims, NodeDevices
from dra_driver.claims.specs import ClaimSpecs
from dra_driver.claims.store import ClaimStore
from dra_driver.claims.time_slices import TimeSlices
from gpu_core.cdi.plan import CdiPlan
from gpu_core.domain.cdi import Edits
from gpu_core.domain.inventory import GpuUuid, Inventory
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


class Daemons(Protocol):
    """The MPS daemons of claims, see ClaimDaemons. Each method may raise ClaimError or MpsError."""

    def check(self, uid: str, gpus: Iterable[GpuUuid], *, has_mps: bool) -> None: ...

    def edits(self, uid: str) -> Edits: ...

    def reconcile(self, claims: Claims) -> None: ...

    def await_ready(self, uid: str, claim: Claim) -> None: ...

    def stop(self, uid: str, rest: Claims) -> None: ...

    def close(self, *, is_final: bool) -> None: ...


@dataclass(frozen=True, kw_only=True)
class Surroundings:
    """pool: of this node. on_change: called when the MIG layout of a GPU has changed. clock: monotonic seconds. sleep: takes seconds."""

    pool: str
    hardware: Hardware
    claims: ClaimReader
    store: ClaimStore
    specs: ClaimSpecs
    daemons: Daemons
    time_slices: TimeSlices
    on_change: Callable[[], None] = lambda: None
    clock: Callable[[], float] = time.monotonic
    sleep: Callable[[float], object] = time.sleep
