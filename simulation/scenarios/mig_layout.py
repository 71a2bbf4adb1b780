"""The MIG mode and the GPU instances of a simulated GPU. PURE."""

import uuid
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass

from gpu_core.domain.inventory import MigUuid
from gpu_core.mig.model import Placement
from simulation.scenarios.mig_placements import Placed, place
from simulation.scenarios.mig_profiles import BOARDS, Instance, InstanceProfile, parse_instance

_FIRST_ID = {7: 0, 4: 1, 3: 1, 2: 3, 1: 7}
"""Compute slices -> the lowest id that the driver assigns to such a GPU instance."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SimulatedMig:
    """A compute instance, which is a MIG device. slot, gpu_instance, compute_instance, start: see gpu_core.domain.inventory.MigDevice.

    compute_start: the first compute slice within the GPU instance.
    """

    uuid: MigUuid
    slot: int
    gpu_instance: int
    compute_instance: int
    start: int
    instance: Instance
    compute_start: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class SimulatedInstance:
    """A GPU instance. profile_name: without a compute instance, `3g.40gb`. compute: sorted by id."""

    id: int
    profile_name: str
    profile: InstanceProfile
    start: int
    compute: tuple[SimulatedMig, ...] = ()

    @property
    def placement(self) -> Placement:
        return Placement(start=self.start, size=self.profile.memory_slices)


@dataclass(frozen=True, slots=True, kw_only=True)
class MigState:
    """is_pending: the MIG mode after the next reset. instances: sorted by id. changes: the number of changes by NVML calls."""

    is_enabled: bool
    is_pending: bool
    instances: tuple[SimulatedInstance, ...] = ()
    changes: int = 0

    @property
    def devices(self) -> tuple[SimulatedMig, ...]:
        return list_devices(self.instances)

    @property
    def placed(self) -> tuple[Placed, ...]:
        return tuple((each.profile, each.placement) for each in self.instances)


def list_devices(instances: Iterable[SimulatedInstance]) -> tuple[SimulatedMig, ...]:
    """All MIG devices, sorted by slot."""
    return tuple(sorted((mig for each in instances for mig in each.compute), key=lambda mig: mig.slot))


def make_uuid(seed: str) -> str:
    return str(uuid.uuid5(uuid.NAMESPACE_OID, f"gpunode/{seed}"))


def next_instance_id(profile: InstanceProfile, used: Collection[int]) -> int:
    """The id of a new GPU instance."""
    number = _FIRST_ID[profile.slices]
    while number in used:
        number += 1
    return number


def build_instances(seed: str, model: str, names: Sequence[str]) -> tuple[SimulatedInstance, ...]:
    """GPU instances with one compute instance each. names: of MIG devices that fit together, in the order of their slots."""
    instances = [parse_instance(model, name) for name in names]
    placements = (place(BOARDS[model], [each.profile for each in instances]) or ()) if instances else ()
    used: set[int] = set()
    built = []
    for slot, (instance, placement) in enumerate(zip(instances, placements, strict=True)):
        number = next_instance_id(instance.profile, used)
        used.add(number)
        built.append(_build_instance(f"{seed}/{slot}/{instance.name}", instance, placement, number, slot))
    return tuple(sorted(built, key=lambda each: each.id))


def _build_instance(seed: str, instance: Instance, placement: Placement, number: int, slot: int) -> SimulatedInstance:
    device = SimulatedMig(
        uuid=MigUuid(f"MIG-{make_uuid(seed)}"),
        slot=slot,
        gpu_instance=number,
        compute_instance=0,
        start=placement.start,
        instance=instance,
    )
    return SimulatedInstance(
        id=number,
        profile_name=instance.name.rpartition("c.")[2],
        profile=instance.profile,
        start=placement.start,
        compute=(device,),
    )
