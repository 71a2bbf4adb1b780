"""The MIG profiles of real GPUs. PURE.

Source: `nvidia-smi mig -lgip` of each board and the profile tables of NVIDIA's MIG user guide. Memory differs by a few hundred
MiB between driver versions; each table is of one driver version. For GH200, B200, GB200, B300 and GB300 no complete output is public.
Their profile names are NVIDIA's. Memory that no source states is a share of the whole GPU, and so are the multiprocessors of 3g and larger
profiles. The memory of a whole GH200, B300 and GB300 is an estimate that fits the names.
"""

from collections.abc import Mapping
from dataclasses import dataclass, fields

from gpu_core.domain.inventory import MigAttributes
from gpu_core.domain.mig import COMPUTE_INSTANCE_SLICES, GPU_INSTANCE_SLICES
from gpu_core.mig.compute import COMPUTE_NUMBERS, COMPUTE_SLICES


@dataclass(frozen=True, slots=True, kw_only=True)
class InstanceProfile:
    """number: NVML_GPU_INSTANCE_PROFILE_*. memory_slices: of the slices of the board."""

    number: int
    memory_slices: int
    memory_mib: int
    multiprocessors: int
    copy_engines: int
    decoders: int
    encoders: int
    jpeg_engines: int
    ofa_engines: int

    @property
    def slices(self) -> int:
        """The used compute slices."""
        return GPU_INSTANCE_SLICES[self.number][0]


@dataclass(frozen=True, slots=True, kw_only=True)
class Board:
    """A GPU that supports MIG. memory_mib: of the whole GPU; 0 for a GPU without its own memory. profiles: name -> profile.

    max_devices: nvmlDeviceGetMaxMigDeviceCount.
    """

    memory_mib: int
    max_devices: int
    profiles: Mapping[str, InstanceProfile]

    @property
    def whole(self) -> InstanceProfile:
        """The profile that uses everything that a GPU can divide."""
        return max(self.profiles.values(), key=lambda profile: (profile.slices, profile.memory_slices))

    def profile_id(self, profile: InstanceProfile) -> int:
        """The id of a profile on this board, as `nvidia-smi mig -lgip` prints it."""
        known = _SEVEN_SLICE_IDS if self.whole.slices == _SEVEN_SLICES else _FOUR_SLICE_IDS
        return known.get(profile.number, _OTHER_IDS + profile.number)


@dataclass(frozen=True, slots=True, kw_only=True)
class Instance:
    """A GPU instance with one compute instance. compute_profile: NVML_COMPUTE_INSTANCE_PROFILE_*."""

    name: str
    profile: InstanceProfile
    compute_profile: int

    @property
    def attributes(self) -> MigAttributes:
        """The attributes of nvmlDeviceGetAttributes. A smaller compute instance has a share of the multiprocessors."""
        compute_slices = COMPUTE_INSTANCE_SLICES[self.compute_profile]
        return MigAttributes(
            memory_mib=self.profile.memory_mib,
            multiprocessors=self.profile.multiprocessors * compute_slices // self.profile.slices,
            gpu_instance_slices=self.profile.slices,
            compute_instance_slices=compute_slices,
            copy_engines=self.profile.copy_engines,
            decoders=self.profile.decoders,
            encoders=self.profile.encoders,
            jpeg_engines=self.profile.jpeg_engines,
            ofa_engines=self.profile.ofa_engines,
        )


_SEVEN_SLICES = 7
_SEVEN_SLICE_IDS: Mapping[int, int] = {0: 19, 7: 20, 9: 15, 1: 14, 2: 9, 3: 5, 4: 0}
_FOUR_SLICE_IDS: Mapping[int, int] = {0: 14, 7: 21, 1: 5, 8: 6, 3: 0}
"""NVML_GPU_INSTANCE_PROFILE_* -> the id on the board, of boards with seven and with four compute slices."""
_OTHER_IDS = 40
"""The id of any other profile is an invented number: this and NVML_GPU_INSTANCE_PROFILE_*."""

_FIELDS = [field.name for field in fields(InstanceProfile)]


def _board(memory_mib: int, max_devices: int, *rows: tuple[str, int, int, int, int, int, int, int, int, int]) -> Board:
    """rows: the name of the profile, and its fields in the order of InstanceProfile."""
    profiles = {name: InstanceProfile(**dict(zip(_FIELDS, values, strict=True))) for name, *values in rows}
    return Board(memory_mib=memory_mib, max_devices=max_devices, profiles=profiles)


_SEVEN_NUMBERS = (0, 7, 9, 1, 2, 3, 4)
_SEVEN_MEMORY_SLICES = (1, 1, 2, 2, 4, 4, 8)
_AMPERE = ((14, 14, 14, 28, 42, 56, 98), (1, 1, 1, 2, 3, 4, 7), (0, 1, 1, 1, 2, 2, 5), (0, 1, 0, 0, 0, 0, 1))
_HOPPER = ((16, 16, 26, 32, 60, 64, 132), (1, 1, 1, 2, 3, 4, 8), (1, 1, 1, 2, 3, 4, 7), (1, 1, 1, 2, 3, 4, 7))
_HOPPER_PCIE = ((14, 14, 14, 30, 46, 62, 114), *_HOPPER[1:])
_B200 = ((18, 18, 30, 36, 70, 72, 148), (2, 2, 2, 4, 6, 8, 16), (1, 1, 1, 2, 3, 4, 7), (1, 1, 1, 2, 3, 4, 7))
_GB200 = ((18, 18, 32, 38, 70, 76, 152), *_B200[1:])
"""Multiprocessors, copy engines, decoders and JPEG engines of the seven profiles."""


def _seven_slices(
    memory_mib: int, names: str, memories: tuple[int, int, int, int], engines: tuple[tuple[int, ...], ...]
) -> Board:
    """A board with seven compute slices and eight memory slices. names: 1g, 1g+me, 1g with double memory, 2g, 3g, 4g, 7g.

    memories: MiB of 1g, 2g, 3g and 7g.
    """
    one, two, three, seven = memories
    multiprocessors, copy_engines, decoders, jpeg_engines = engines
    columns = (
        names.split(),
        _SEVEN_NUMBERS,
        _SEVEN_MEMORY_SLICES,
        (one, one, two, two, three, three, seven),
        multiprocessors,
        copy_engines,
        decoders,
        (0,) * 7,
        jpeg_engines,
        (0, 1, 0, 0, 0, 0, 1),
    )
    return _board(memory_mib, 7, *zip(*columns, strict=True))


_A100_40 = _seven_slices(
    40960, "1g.5gb 1g.5gb+me 1g.10gb 2g.10gb 3g.20gb 4g.20gb 7g.40gb", (4864, 9856, 19968, 40192), _AMPERE
)
_A100_80 = _seven_slices(
    81920, "1g.10gb 1g.10gb+me 1g.20gb 2g.20gb 3g.40gb 4g.40gb 7g.80gb", (9728, 19968, 40192, 80896), _AMPERE
)
_H100_80 = (81559, "1g.10gb 1g.10gb+me 1g.20gb 2g.20gb 3g.40gb 4g.40gb 7g.80gb", (9856, 19968, 40448, 81152))
_H200 = _seven_slices(
    143771, "1g.18gb 1g.18gb+me 1g.35gb 2g.35gb 3g.71gb 4g.71gb 7g.141gb", (16384, 33024, 71168, 143104), _HOPPER
)
_RTX_PRO_6000 = _board(
    97887,
    4,
    ("1g.24gb", 0, 1, 24192, 46, 1, 1, 1, 1, 0),
    ("1g.24gb+me", 7, 1, 24192, 46, 1, 1, 1, 1, 1),
    ("1g.24gb+gfx", 10, 1, 24192, 46, 1, 1, 1, 1, 0),
    ("1g.24gb+me.all", 15, 1, 24192, 46, 1, 4, 4, 4, 1),
    ("1g.24gb-me", 13, 1, 24192, 46, 1, 0, 0, 0, 0),
    ("2g.48gb", 1, 2, 48512, 94, 2, 2, 2, 2, 0),
    ("2g.48gb+gfx", 11, 2, 48512, 94, 2, 2, 2, 2, 0),
    ("2g.48gb+me.all", 16, 2, 48512, 94, 2, 4, 4, 4, 1),
    ("2g.48gb-me", 14, 2, 48512, 94, 2, 0, 0, 0, 0),
    ("4g.96gb", 3, 4, 97280, 188, 4, 4, 4, 4, 1),
    ("4g.96gb+gfx", 12, 4, 97280, 188, 4, 4, 4, 4, 1),
)

BOARDS: Mapping[str, Board] = {
    "NVIDIA A30": _board(
        24576,
        4,
        ("1g.6gb", 0, 1, 5952, 14, 1, 1, 0, 0, 0),
        ("1g.6gb+me", 7, 1, 5952, 14, 1, 1, 0, 1, 1),
        ("2g.12gb", 1, 2, 11968, 28, 2, 2, 0, 0, 0),
        ("2g.12gb+me", 8, 2, 11968, 28, 2, 2, 0, 1, 1),
        ("4g.24gb", 3, 4, 24000, 56, 4, 4, 0, 1, 1),
    ),
    "NVIDIA A100-SXM4-40GB": _A100_40,
    "NVIDIA A100-PCIE-40GB": _A100_40,
    "NVIDIA A100-SXM4-80GB": _A100_80,
    "NVIDIA A100 80GB PCIe": _A100_80,
    "NVIDIA H100 80GB HBM3": _seven_slices(*_H100_80, _HOPPER),
    "NVIDIA H100 PCIe": _seven_slices(*_H100_80, _HOPPER_PCIE),
    "NVIDIA H100 NVL": _seven_slices(
        95830, "1g.12gb 1g.12gb+me 1g.24gb 2g.24gb 3g.47gb 4g.47gb 7g.94gb", (10880, 22016, 47232, 94848), _HOPPER
    ),
    "NVIDIA GH200 480GB": _seven_slices(
        97871, "1g.12gb 1g.12gb+me 1g.24gb 2g.24gb 3g.48gb 4g.48gb 7g.96gb", (11264, 22528, 48384, 97280), _HOPPER
    ),
    "NVIDIA GH200 144G HBM3e": _seven_slices(
        146831, "1g.18gb 1g.18gb+me 1g.36gb 2g.36gb 3g.72gb 4g.72gb 7g.144gb", (17920, 36096, 72704, 146432), _HOPPER
    ),
    "NVIDIA H200": _H200,
    "NVIDIA H200 NVL": _H200,
    "NVIDIA B200": _seven_slices(
        183359, "1g.23gb 1g.23gb+me 1g.45gb 2g.45gb 3g.90gb 4g.90gb 7g.180gb", (22528, 45312, 91136, 182784), _B200
    ),
    "NVIDIA GB200": _seven_slices(
        189471, "1g.23gb 1g.23gb+me 1g.47gb 2g.47gb 3g.93gb 4g.93gb 7g.186gb", (22528, 46592, 94208, 188928), _GB200
    ),
    "NVIDIA B300 SXM6 AC": _seven_slices(
        275040, "1g.34gb 1g.34gb+me 1g.67gb 2g.67gb 3g.135gb 4g.135gb 7g.269gb", (33792, 68096, 136704, 274432), _B200
    ),
    "NVIDIA GB300": _seven_slices(
        284208, "1g.35gb 1g.35gb+me 1g.70gb 2g.70gb 3g.139gb 4g.139gb 7g.278gb", (35072, 70656, 141312, 283648), _GB200
    ),
    "NVIDIA RTX PRO 6000 Blackwell Server Edition": _RTX_PRO_6000,
    "NVIDIA RTX PRO 6000 Blackwell Workstation Edition": _RTX_PRO_6000,
    "NVIDIA RTX PRO 6000 Blackwell Max-Q Workstation Edition": _RTX_PRO_6000,
    "NVIDIA Thor": _board(
        0,
        2,
        ("1g.0gb", 0, 1, 0, 8, 1, 1, 1, 1, 0),
        ("1g.0gb+me", 7, 1, 0, 8, 1, 1, 1, 1, 1),
        ("1g.0gb+gfx", 10, 1, 0, 8, 1, 1, 1, 1, 0),
        ("2g.0gb", 1, 2, 0, 12, 1, 1, 1, 1, 0),
        ("2g.0gb+gfx", 11, 2, 0, 12, 1, 1, 1, 1, 0),
        ("3g.0gb", 2, 3, 0, 20, 1, 2, 2, 2, 1),
        ("3g.0gb+gfx", 17, 3, 0, 20, 1, 2, 2, 2, 1),
    ),
}
"""The model in NVML -> the board."""

_MAX_DEVICES = 7


def max_mig_devices(model: str) -> int:
    """Returns nvmlDeviceGetMaxMigDeviceCount of a model in MIG mode."""
    return BOARDS[model].max_devices if model in BOARDS else _MAX_DEVICES


def parse_instance(model: str, name: str) -> Instance:
    """Parses `3g.40gb`, or `1c.3g.40gb` with a smaller compute instance. Raises ValueError with the reason."""
    compute, _, profile_name = name.partition(".") if "c." in name else ("", "", name)
    known = BOARDS[model].profiles if model in BOARDS else {}
    if profile_name not in known:
        raise ValueError(
            f"{model} has no MIG profile {profile_name!r}. The profiles are: {', '.join(known) or 'none'}."
        )
    profile = known[profile_name]
    compute_slices = profile.slices if not compute else int(compute[:-1]) if compute[:-1].isdecimal() else 0
    if compute_slices not in COMPUTE_SLICES[profile.slices] or (compute and compute_slices == profile.slices):
        raise ValueError(f"{name!r} is not a compute instance of {profile_name}")
    return Instance(name=name, profile=profile, compute_profile=COMPUTE_NUMBERS[compute_slices])


CAPACITIES = (
    ("slices", "compute slices"),
    ("memory_slices", "memory slices"),
    ("decoders", "decoders"),
    ("encoders", "encoders"),
    ("jpeg_engines", "JPEG engines"),
    ("ofa_engines", "OFA engines"),
)
"""What the GPU instances of a GPU divide: a field of InstanceProfile and its name. Copy engines are not divided on all boards."""
