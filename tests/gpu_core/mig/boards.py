"""GPUs with MIG profiles for tests. Source of slices and placements: NVIDIA MIG user guide, supported profiles."""

from collections.abc import Mapping

from gpu_core.domain.inventory import GpuUuid, MigUuid
from gpu_core.mig.model import (
    ComputeInstance,
    ComputeProfile,
    Engines,
    GpuInstance,
    InstanceProfile,
    MigGpu,
    Placement,
)

_COMPUTE_NUMBERS = {1: 0, 2: 1, 3: 2, 4: 3, 7: 4}
_PARTS = {1: (1,), 2: (1, 2), 3: (1, 2, 3), 4: (1, 2, 4), 7: (1, 2, 3, 4, 7)}
"""Slices -> the slices of the compute instances."""


def profile(
    number: int, name: str, starts: tuple[int, ...], size: int, max_count: int, decoders: int, ofa: int
) -> InstanceProfile:
    slices = int(name[0])
    return InstanceProfile(
        number=number,
        board_id=100 - number,
        name=name,
        slices=slices,
        memory_mib=size * 1000,
        engines=Engines(decoders=decoders, jpeg=decoders, ofa=ofa),
        max_count=max_count,
        placements=tuple(Placement(start=start, size=size) for start in starts),
        compute=tuple(
            ComputeProfile(
                number=_COMPUTE_NUMBERS[part],
                name=name if part == slices else f"{part}c.{name}",
                slices=part,
                max_count=slices // part,
            )
            for part in _PARTS[slices]
        ),
    )


_ANY = (0, 1, 2, 3, 4, 5, 6)
_SEVEN_ROWS: tuple[tuple[int, tuple[int, ...], int, int, int, int], ...] = (
    (0, _ANY, 1, 7, 1, 0),
    (7, _ANY, 1, 1, 1, 1),
    (9, (0, 2, 4, 6), 2, 4, 1, 0),
    (1, (0, 2, 4), 2, 3, 2, 0),
    (2, (0, 4), 4, 2, 3, 0),
    (3, (0,), 4, 1, 4, 0),
    (4, (0,), 8, 1, 7, 1),
)


def seven_slices(names: str) -> tuple[InstanceProfile, ...]:
    """names: of 1g, 1g+me, 1g with double memory, 2g, 3g, 4g and 7g."""
    return tuple(
        profile(number, name, starts, size, max_count, decoders, ofa)
        for name, (number, starts, size, max_count, decoders, ofa) in zip(names.split(), _SEVEN_ROWS, strict=True)
    )


PROFILES: Mapping[str, tuple[InstanceProfile, ...]] = {
    "NVIDIA A100-SXM4-40GB": seven_slices("1g.5gb 1g.5gb+me 1g.10gb 2g.10gb 3g.20gb 4g.20gb 7g.40gb"),
    "NVIDIA H100 80GB HBM3": seven_slices("1g.10gb 1g.10gb+me 1g.20gb 2g.20gb 3g.40gb 4g.40gb 7g.80gb"),
    "NVIDIA A30": (
        profile(0, "1g.6gb", (0, 1, 2, 3), 1, 4, 1, 0),
        profile(7, "1g.6gb+me", (0, 1, 2, 3), 1, 1, 1, 1),
        profile(1, "2g.12gb", (0, 2), 2, 2, 2, 0),
        profile(8, "2g.12gb+me", (0, 2), 2, 1, 2, 1),
        profile(3, "4g.24gb", (0,), 4, 1, 4, 1),
    ),
    "NVIDIA RTX PRO 6000 Blackwell Server Edition": (
        profile(0, "1g.24gb", (0, 1, 2, 3), 1, 4, 1, 0),
        profile(7, "1g.24gb+me", (0, 1, 2, 3), 1, 1, 1, 1),
        profile(13, "1g.24gb-me", (0, 1, 2, 3), 1, 4, 0, 0),
        profile(15, "1g.24gb+me.all", (0, 1, 2, 3), 1, 1, 4, 1),
        profile(1, "2g.48gb", (0, 2), 2, 2, 2, 0),
        profile(14, "2g.48gb-me", (0, 2), 2, 2, 0, 0),
        profile(3, "4g.96gb", (0,), 4, 1, 4, 1),
    ),
    "NVIDIA Thor": (
        profile(0, "1g.0gb", (0, 1), 1, 2, 1, 0),
        profile(1, "2g.0gb", (0,), 2, 1, 1, 0),
        profile(2, "3g.0gb", (0,), 3, 1, 2, 1),
    ),
}
"""Model -> profiles, sorted by slices and memory."""

H100 = "NVIDIA H100 80GB HBM3"
RTX_PRO_6000 = "NVIDIA RTX PRO 6000 Blackwell Server Edition"
THOR = "NVIDIA Thor"
_PCI_IDS = {H100: "0x233010DE", "NVIDIA A100-SXM4-40GB": "0x20B010DE", "NVIDIA A30": "0x20B710DE"}


def mig_gpu(model: str = H100, *instances: GpuInstance, index: int = 0, enabled: bool = True) -> MigGpu:
    return MigGpu(
        index=index,
        uuid=GpuUuid(f"GPU-{index}"),
        model=model,
        address=None,
        pci_id=_PCI_IDS.get(model, "0x2BB510DE"),
        pci_subsystem="0x16C110DE",
        is_enabled=enabled,
        is_pending=enabled,
        total_memory=80 << 30,
        profiles=PROFILES[model],
        instances=instances,
    )


def instance(gpu_instance: int, name: str, start: int, *parts: str, model: str = H100) -> GpuInstance:
    """A GPU instance of the profile `name` with the compute instances `parts`, by default with one of the whole GPU instance."""
    found = next(each for each in PROFILES[model] if each.name == name)
    numbers = {compute.name: compute.number for compute in found.compute}
    return GpuInstance(
        id=gpu_instance,
        profile=found.number,
        placement=Placement(start=start, size=found.placements[0].size),
        compute=tuple(
            ComputeInstance(id=index, profile=numbers[part], uuid=MigUuid(f"MIG-{gpu_instance}-{index}"))
            for index, part in enumerate(parts or (name,))
        ),
    )
