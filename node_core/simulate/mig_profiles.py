"""What MIG instances of real boards are made of. Pure.

Source: `nvidia-smi mig -lgip` of each board and the profile tables of NVIDIA's MIG user guide. Memory differs by a few hundred MiB
between driver versions; these are of one driver each.
"""

from collections.abc import Mapping
from dataclasses import dataclass

from node_core.domain.inventory import MigAttributes
from node_core.domain.mig import COMPUTE_INSTANCE_SLICES, GPU_INSTANCE_SLICES

MAX_INSTANCES = 7
"""nvmlDeviceGetMaxMigDeviceCount of every board below."""
MAX_SLICES = 7
MAX_EIGHTHS = 8


@dataclass(frozen=True, slots=True, kw_only=True)
class InstanceProfile:
    """number: NVML_GPU_INSTANCE_PROFILE_*. eighths: memory slices that it takes of the board's eight."""

    number: int
    eighths: int
    memory_mib: int
    multiprocessors: int
    copy_engines: int
    decoders: int
    jpeg_engines: int
    ofa_engines: int

    @property
    def slices(self) -> int:
        """Compute slices that it takes of the board's seven."""
        return GPU_INSTANCE_SLICES[self.number][0]


@dataclass(frozen=True, slots=True, kw_only=True)
class Instance:
    """A GPU instance with one compute instance in it. compute_profile: NVML_COMPUTE_INSTANCE_PROFILE_*."""

    name: str
    profile: InstanceProfile
    compute_profile: int

    @property
    def attributes(self) -> MigAttributes:
        """As nvmlDeviceGetAttributes gives them; a smaller compute instance has its share of the multiprocessors."""
        compute_slices = COMPUTE_INSTANCE_SLICES[self.compute_profile]
        return MigAttributes(
            memory_mib=self.profile.memory_mib,
            multiprocessors=self.profile.multiprocessors * compute_slices // self.profile.slices,
            gpu_instance_slices=self.profile.slices,
            compute_instance_slices=compute_slices,
            copy_engines=self.profile.copy_engines,
            decoders=self.profile.decoders,
            encoders=0,  # no board with MIG tables here has video encoders
            jpeg_engines=self.profile.jpeg_engines,
            ofa_engines=self.profile.ofa_engines,
        )


def _profiles(*rows: tuple[str, int, int, int, int, int, int, int, int]) -> Mapping[str, InstanceProfile]:
    """Rows: name, number, eighths, MiB, multiprocessors, copy engines, decoders, JPEG engines, OFA engines."""
    return {
        name: InstanceProfile(
            number=number,
            eighths=eighths,
            memory_mib=memory,
            multiprocessors=processors,
            copy_engines=copy,
            decoders=decoders,
            jpeg_engines=jpeg,
            ofa_engines=ofa,
        )
        for name, number, eighths, memory, processors, copy, decoders, jpeg, ofa in rows
    }


PROFILES: Mapping[str, Mapping[str, InstanceProfile]] = {
    "NVIDIA A100-SXM4-40GB": _profiles(
        ("1g.5gb", 0, 1, 4864, 14, 1, 0, 0, 0),
        ("1g.5gb+me", 7, 1, 4864, 14, 1, 1, 1, 1),
        ("1g.10gb", 9, 2, 9856, 14, 1, 1, 0, 0),
        ("2g.10gb", 1, 2, 9856, 28, 2, 1, 0, 0),
        ("3g.20gb", 2, 4, 19968, 42, 3, 2, 0, 0),
        ("4g.20gb", 3, 4, 19968, 56, 4, 2, 0, 0),
        ("7g.40gb", 4, 8, 40192, 98, 7, 5, 1, 1),
    ),
    "NVIDIA A100-SXM4-80GB": _profiles(
        ("1g.10gb", 0, 1, 9728, 14, 1, 0, 0, 0),
        ("1g.10gb+me", 7, 1, 9728, 14, 1, 1, 1, 1),
        ("1g.20gb", 9, 2, 19968, 14, 1, 1, 0, 0),
        ("2g.20gb", 1, 2, 19968, 28, 2, 1, 0, 0),
        ("3g.40gb", 2, 4, 40192, 42, 3, 2, 0, 0),
        ("4g.40gb", 3, 4, 40192, 56, 4, 2, 0, 0),
        ("7g.80gb", 4, 8, 80896, 98, 7, 5, 1, 1),
    ),
    "NVIDIA H100 80GB HBM3": _profiles(
        ("1g.10gb", 0, 1, 9856, 16, 1, 1, 1, 0),
        ("1g.10gb+me", 7, 1, 9856, 16, 1, 1, 1, 1),
        ("1g.20gb", 9, 2, 19968, 26, 1, 1, 1, 0),
        ("2g.20gb", 1, 2, 19968, 32, 2, 2, 2, 0),
        ("3g.40gb", 2, 4, 40448, 60, 3, 3, 3, 0),
        ("4g.40gb", 3, 4, 40448, 64, 4, 4, 4, 0),
        ("7g.80gb", 4, 8, 81152, 132, 8, 7, 7, 1),
    ),
}
"""Model as NVML names it -> profile name -> what such an instance has."""


def parse_instance(model: str, name: str) -> Instance:
    """`3g.40gb`, or `1c.3g.40gb` for a smaller compute instance in it. Raises ValueError with the reason."""
    compute, _, whole = name.partition(".") if "c." in name else ("", "", name)
    known = PROFILES.get(model, {})
    if whole not in known:
        raise ValueError(f"{model} has no MIG profile {whole!r}: use one of {', '.join(known) or 'none'}")
    profile = known[whole]
    wanted = profile.slices if not compute else int(compute[:-1]) if compute[:-1].isdecimal() else 0
    number = next((number for number, slices in COMPUTE_INSTANCE_SLICES.items() if slices == wanted), None)
    if number is None or wanted > profile.slices or (compute and wanted == profile.slices):
        raise ValueError(f"{name!r} is no compute instance of {whole}")
    return Instance(name=name, profile=profile, compute_profile=number)


def capacity_problem(instances: tuple[Instance, ...]) -> str | None:
    """Why a board cannot hold these instances at once, or None."""
    slices = sum(instance.profile.slices for instance in instances)
    eighths = sum(instance.profile.eighths for instance in instances)
    with_media = [instance.name for instance in instances if instance.name.endswith("+me")]
    if slices > MAX_SLICES or eighths > MAX_EIGHTHS:
        return f"they take {slices} of {MAX_SLICES} compute slices and {eighths} of {MAX_EIGHTHS} memory slices"
    if len(with_media) > 1:
        return f"a board can hold one profile with +me, not {len(with_media)}"
    return None
