"""The MIG layout of a GPU and the profiles that NVML reports for the GPU. PURE.

A GPU instance occupies memory slices; compute instances divide the GPU instance. One compute instance is one MIG device.
Source: NVML API reference, MIG management; NVIDIA MIG user guide, partitioning.
"""

import msgspec

from gpu_core.domain.inventory import GpuUuid, MigUuid, gpu_name
from node_core.domain.pci import PciAddress


class Placement(msgspec.Struct, frozen=True, kw_only=True, order=True):
    """nvmlGpuInstancePlacement_t: the first memory slice of a GPU instance, and their number."""

    start: int
    size: int

    @property
    def slices(self) -> frozenset[int]:
        return frozenset(range(self.start, self.start + self.size))


class Engines(msgspec.Struct, frozen=True, kw_only=True):
    """What the GPU instances of one GPU divide, besides memory slices. The sum of all GPU instances cannot exceed the whole GPU.

    copy: on some boards GPU instances share copy engines, so this sum alone can exceed the whole GPU.
    """

    multiprocessors: int = 0
    copy: int = 0
    decoders: int = 0
    encoders: int = 0
    jpeg: int = 0
    ofa: int = 0


class ComputeProfile(msgspec.Struct, frozen=True, kw_only=True):
    """A compute instance profile within a GPU instance profile.

    number: NVML_COMPUTE_INSTANCE_PROFILE_*. name: of the MIG device, `1c.3g.40gb`, or `3g.40gb` for the whole GPU instance.
    max_count: compute instances of this profile in one empty GPU instance.
    """

    number: int
    name: str
    slices: int
    max_count: int


class InstanceProfile(msgspec.Struct, frozen=True, kw_only=True):
    """A GPU instance profile that the GPU supports.

    number: NVML_GPU_INSTANCE_PROFILE_*. board_id: the id of the profile on this board, as `nvidia-smi mig -lgip` prints it.
    name: `3g.40gb`, `1g.10gb+me`. slices: compute slices. placements: all possible placements on an empty GPU, sorted.
    max_count: GPU instances of this profile on an empty GPU. compute: without profiles that this GPU instance does not support.
    """

    number: int
    board_id: int
    name: str
    slices: int
    memory_mib: int
    engines: Engines
    max_count: int
    placements: tuple[Placement, ...]
    compute: tuple[ComputeProfile, ...]


class ComputeInstance(msgspec.Struct, frozen=True, kw_only=True):
    """id: within the GPU instance. profile: NVML_COMPUTE_INSTANCE_PROFILE_*. uuid: of the MIG device; None while NVML lists no device."""

    id: int
    profile: int
    uuid: MigUuid | None = None


class GpuInstance(msgspec.Struct, frozen=True, kw_only=True):
    """id: within the GPU. profile: NVML_GPU_INSTANCE_PROFILE_*. compute: sorted by id."""

    id: int
    profile: int
    placement: Placement
    compute: tuple[ComputeInstance, ...] = ()


class MigGpu(msgspec.Struct, frozen=True, kw_only=True):
    """A GPU that supports MIG, its present layout and its profiles.

    pci_id: device and vendor as `0x233010DE`, the form of a `device-filter`. pci_subsystem: the same for the subsystem. Both are None if
    the GPU is not on a PCI bus.
    is_enabled: the current MIG mode. is_pending: the MIG mode after the next reset. profiles: sorted by slices, memory and name; empty if
    the driver lists no profiles while MIG mode is off (drivers before 550). total_memory: bytes. instances: sorted by id.
    needs_reset: whether a change of the MIG mode needs a reset of the GPU: before the Hopper generation.
    """

    index: int
    uuid: GpuUuid
    model: str
    address: PciAddress | None
    pci_id: str | None
    pci_subsystem: str | None
    is_enabled: bool
    is_pending: bool
    total_memory: int
    profiles: tuple[InstanceProfile, ...] = ()
    instances: tuple[GpuInstance, ...] = ()
    needs_reset: bool = False

    @property
    def name(self) -> str:
        return gpu_name(self.uuid, self.index)

    def profile(self, number: int) -> InstanceProfile | None:
        return next((profile for profile in self.profiles if profile.number == number), None)
