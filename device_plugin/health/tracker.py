"""The state machines of a node's GPUs. Owned by the agent's thread, which brings what happened, what looks found, and the time."""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace

from device_plugin.health.mark import Verdict
from node_core.domain.evidence import GpuState, XidEvent
from node_core.domain.health import (
    Health,
    HealthPolicy,
    Phase,
    advice,
    look,
    next_look,
    strike,
    why_suspect,
    why_unusable,
)
from node_core.domain.inventory import GpuUuid, Inventory, PciAddress
from node_core.domain.xid import XidClass

Part = tuple[GpuUuid, int | None]
"""A GPU, or one of its GPU instances."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Struck:
    """An Xid and whose it is, as it counts on this node."""

    event: XidEvent
    gpu: GpuUuid
    kind: XidClass


class HealthTracker:
    """healths: of parts with a past; a GPU that nothing was seen of is healthy."""

    def __init__(self, policy: HealthPolicy, healths: Mapping[Part, Health] | None = None) -> None:
        self.policy = policy
        self.healths: dict[Part, Health] = dict(healths or {})
        self._inventory = Inventory(driver=None)

    def happened(self, events: Iterable[XidEvent]) -> tuple[Struck, ...]:
        """Those of our GPUs."""
        struck = tuple(each for event in events if (each := self._struck(event)) is not None)
        for each in struck:
            self._strike(each)
        return struck

    def looked(self, inventory: Inventory, at: float) -> None:
        """at: a time before the look began."""
        self._inventory = inventory
        states = dict(_states(inventory))
        is_sound = all(fault.uuid is not None for fault in inventory.faults)
        for gpu in states:
            self.healths.setdefault((gpu, None), Health())
        for part, health in list(self.healths.items()):
            state = states.get(part[0])
            if state is not None or is_sound:
                self.healths[part] = look(health, state, at, self.policy)
            else:
                self.healths[part] = look(health, GpuState(gpu=part[0], lost=True), at, self.policy)
        self.healths = {part: each for part, each in self.healths.items() if part[1] is None or _has_past(each)}

    def unwatched(self) -> None:
        """Nobody tells what happens to the GPUs: those that are recovering have to be sound anew for the whole hold-down."""
        self.healths = {part: replace(health, sound_since=None) for part, health in self.healths.items()}

    def without_driver(self) -> None:
        """There is no driver, so no GPU keeps what its driver knew."""
        self.healths = {part: look(health, None, 0.0, self.policy) for part, health in self.healths.items()}

    def verdicts(self) -> tuple[Verdict, ...]:
        """On every part, in order."""
        return tuple(self._verdict(part, self.healths[part]) for part in sorted(self.healths, key=_order))

    def next_look(self) -> float | None:
        """When a look can change something."""
        due = [at for health in self.healths.values() if (at := next_look(health, self.policy)) is not None]
        return min(due, default=None)

    def uuid_of(self, address: PciAddress) -> GpuUuid | None:
        """In any thread."""
        return next((gpu.uuid for gpu in self._inventory.gpus if gpu.address == address), None)

    def _struck(self, event: XidEvent) -> Struck | None:
        gpu = self._gpu(event)
        return None if gpu is None else Struck(event=event, gpu=gpu, kind=self.policy.xids.kind(event.xid))

    def _gpu(self, event: XidEvent) -> GpuUuid | None:
        """Whose it is; None where no GPU of the node is meant."""
        if event.gpu is not None:
            return event.gpu
        return None if event.address is None else self.uuid_of(event.address)

    def _strike(self, struck: Struck) -> None:
        """What only a reboot or a person helps against concerns the whole GPU, whatever instance is named."""
        is_whole = struck.kind in (XidClass.REBOOT, XidClass.REPLACE)
        part = (struck.gpu, None if is_whole else struck.event.gpu_instance)
        whole = self.healths.get((struck.gpu, None), Health())
        health = self.healths.get(part, _fresh(whole))
        if (now := strike(health, struck.event, self.policy)) != health:
            self.healths[part] = now

    def _verdict(self, part: Part, health: Health) -> Verdict:
        why = why_unusable(health, self.policy)
        if health.phase is Phase.SUSPECT:
            why = "; ".join(why_suspect(health))
        return Verdict(
            gpu=part[0],
            gpu_instance=part[1],
            phase=health.phase,
            why=why,
            todo=None if health.phase.is_usable else advice(health),
        )


def _states(inventory: Inventory) -> Iterator[tuple[GpuUuid, GpuState]]:
    """What a look says of each GPU. One that could not be read is lost."""
    said = {state.gpu: state for state in inventory.states}
    for gpu in inventory.gpus:
        yield gpu.uuid, said.get(gpu.uuid, GpuState(gpu=gpu.uuid))
    for fault in inventory.faults:
        if fault.uuid is not None:
            yield fault.uuid, replace(said.get(fault.uuid, GpuState(gpu=fault.uuid)), lost=True)


def _has_past(health: Health) -> bool:
    return bool(health.wounds or health.returns or not health.phase.is_usable)


def _fresh(health: Health) -> Health:
    """One without a past, as far as looks have found it."""
    return Health(state=health.state, state_at=health.state_at)


def _order(part: Part) -> tuple[str, int]:
    return part[0], -1 if part[1] is None else part[1]
