"""Tracks the health of a node's GPUs. Not thread-safe: the agent's thread calls it with Xids, inventories and the time."""

from collections.abc import Iterable, Iterator, Mapping

import msgspec

from gpu_core.domain.evidence import GpuState, RecoveryAction, XidEvent
from gpu_core.domain.health import (
    Health,
    HealthPolicy,
    Phase,
    add_incidents,
    advice,
    next_discovery_at,
    observe,
    record_xid,
    return_condition,
    suspect_reasons,
    unusable_reason,
)
from gpu_core.domain.inventory import GpuUuid, Inventory
from gpu_core.domain.xid import XidClass
from gpu_core.health.assessment import GpuAssessment, GpuPart
from gpu_core.nvml.api import RESET_REQUIRED
from node_core.domain.pci import PciAddress
from node_core.values import replace


class AttributedXid(msgspec.Struct, frozen=True, kw_only=True):
    """An Xid, its GPU, and its class by the policy of this node. index: of the GPU; None if unknown."""

    event: XidEvent
    gpu: GpuUuid
    index: int | None = None
    kind: XidClass


class HealthTracker:
    """healths: the health of each known part; an unknown GPU counts as healthy."""

    def __init__(self, policy: HealthPolicy, healths: Mapping[GpuPart, Health] | None = None) -> None:
        self.policy = policy
        self.healths: dict[GpuPart, Health] = dict(healths or {})
        self._inventory = Inventory(driver=None)
        self._indexes: dict[GpuUuid, int] = {}

    def record_xids(self, events: Iterable[XidEvent]) -> tuple[AttributedXid, ...]:
        """Records Xids. Returns the Xids that belong to a GPU of this node."""
        attributed = []
        for event in events:
            gpu = event.gpu or (self.uuid_of(event.address) if event.address else None)
            if gpu is not None:
                kind = self.policy.xids.classify(event.xid)
                attributed.append(AttributedXid(event=event, gpu=gpu, index=self._indexes.get(gpu), kind=kind))
                self._record(attributed[-1])
        return tuple(attributed)

    def record_inventory(self, inventory: Inventory, at: float) -> None:
        """Records an inventory. at: a time before the discovery started.

        If a fault has no UUID, the fault may belong to any missing GPU, so missing GPUs count as lost and not as removed.
        """
        self._inventory = inventory
        self._indexes |= {fault.uuid: fault.index for fault in inventory.faults if fault.uuid}
        self._indexes |= {gpu.uuid: gpu.index for gpu in inventory.gpus}
        states = dict(_states(inventory))
        is_complete = all(fault.uuid is not None for fault in inventory.faults)
        for gpu in states:
            self.healths.setdefault((gpu, None), Health())
        for part, health in list(self.healths.items()):
            missing = None if is_complete else GpuState(gpu=part[0], lost=True)
            self.healths[part] = observe(health, states.get(part[0], missing), at, self.policy)
        self.healths = {
            part: each
            for part, each in self.healths.items()
            if each.incidents or each.returns or not each.phase.is_usable or (part[1] is None and not each.was_missing)
        }

    def restore(self, stored: Mapping[GpuPart, Health]) -> None:
        """Adds what another process of this node recorded: its Xids may have come while this process did not receive Xids yet."""
        for part, other in stored.items():
            self.healths[part] = add_incidents(self.healths.get(part, Health()), other)

    def restart_hold_down(self) -> None:
        """Restarts the hold-down of recovering GPUs, because events of the GPUs are not available."""
        self.healths = {part: replace(health, healthy_since=None) for part, health in self.healths.items()}

    def record_driver_unloaded(self) -> None:
        """Records that the driver is unloaded. A reloaded driver clears the same errors as a GPU reset."""
        self.healths = {part: observe(health, None, 0.0, self.policy) for part, health in self.healths.items()}

    def assess_gpus(self) -> tuple[GpuAssessment, ...]:
        """Returns the assessment of every part, in order."""
        return tuple(self._assess(part, self.healths[part]) for part in sorted(self.healths, key=_order))

    def next_discovery_at(self) -> float | None:
        """Returns the time at which a discovery can change the health of a GPU; None if only an event can."""
        due = [at for health in self.healths.values() if (at := next_discovery_at(health, self.policy)) is not None]
        return min(due, default=None)

    def uuid_of(self, address: PciAddress) -> GpuUuid | None:
        """Returns the GPU at a PCI address. Callable from any thread."""
        return next((gpu.uuid for gpu in self._inventory.gpus if gpu.address == address), None)

    def _record(self, attributed: AttributedXid) -> None:
        """An Xid that requires a reboot or a replacement concerns the whole GPU, even if the Xid names a GPU instance."""
        is_whole = attributed.kind in (XidClass.REBOOT, XidClass.REPLACE)
        part = (attributed.gpu, None if is_whole else attributed.event.gpu_instance)
        whole = self.healths.get((attributed.gpu, None), Health())
        health = self.healths.get(part, Health(state=whole.state, state_at=whole.state_at))
        if (now := record_xid(health, attributed.event, self.policy)) != health:
            self.healths[part] = now

    def _assess(self, part: GpuPart, health: Health) -> GpuAssessment:
        why = unusable_reason(health, self.policy)
        if health.phase is Phase.SUSPECT:
            why = "; ".join(suspect_reasons(health))
        return GpuAssessment(
            gpu=part[0],
            index=self._indexes.get(part[0]),
            gpu_instance=part[1],
            phase=health.phase,
            why=why,
            todo=advice(health, self.policy),
            outlook=return_condition(health, self.policy),
        )


def _states(inventory: Inventory) -> Iterator[tuple[GpuUuid, GpuState]]:
    """Yields the state of each GPU in an inventory. A GPU that cannot be read counts as lost."""
    states = {state.gpu: state for state in inventory.states}
    for gpu in inventory.gpus:
        yield gpu.uuid, states.get(gpu.uuid, GpuState(gpu=gpu.uuid))
    for fault in inventory.faults:
        if fault.uuid is not None:
            state = replace(states.get(fault.uuid, GpuState(gpu=fault.uuid)), lost=True, fault=fault.reason)
            needs_reset = RESET_REQUIRED in fault.reason
            yield fault.uuid, replace(state, recovery_action=RecoveryAction.RESET) if needs_reset else state


def _order(part: GpuPart) -> tuple[str, int]:
    return part[0], -1 if part[1] is None else part[1]
