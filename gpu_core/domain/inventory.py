"""The GPUs of a node, as frozen values. An absent value is None. A GPU that could not be read is a Fault."""

from enum import StrEnum
from typing import TYPE_CHECKING, NewType

import msgspec

from node_core.domain.pci import PciAddress

if TYPE_CHECKING:
    from gpu_core.domain.evidence import GpuState

GpuUuid = NewType("GpuUuid", str)
"""NVML's identifier, `GPU-` and a UUID. For a GPU without a UUID: a stable name, `tegra-0` or `vfio-0000:17:00.0`."""
MigUuid = NewType("MigUuid", str)
"""NVML's identifier of a MIG device, `MIG-` and a UUID."""


def gpu_name(uuid: GpuUuid | None, index: int | None) -> str:
    """Returns the name of a GPU in logs and messages: `GPU 3 (GPU-9ad2…)`, or the known part."""
    known = uuid if index is None else f"GPU {index}" if uuid is None else f"GPU {index} ({uuid})"
    return known or "a GPU"


class Platform(StrEnum):
    """The kind of machine, which determines how containers access GPUs. TEGRA: an SoC with an integrated GPU. NVML: any other machine."""

    NVML = "nvml"
    TEGRA = "tegra"
    WSL = "wsl"


class CudaVersion(msgspec.Struct, frozen=True, kw_only=True):
    """The newest CUDA version that the driver supports (nvmlSystemGetCudaDriverVersion)."""

    major: int
    minor: int


UNKNOWN_VERSION = "unknown.unknown.unknown"
"""The version of a driver that was not discovered through NVML, as GPU Feature Discovery writes it."""


class Driver(msgspec.Struct, frozen=True, kw_only=True):
    """version: of nvmlSystemGetDriverVersion, `550.54.15`; empty if not supported. cuda: None if not supported."""

    version: str
    cuda: CudaVersion | None


class ComputeCapability(msgspec.Struct, frozen=True, kw_only=True, order=True):
    """nvmlDeviceGetCudaComputeCapability."""

    major: int
    minor: int


class MigAttributes(msgspec.Struct, frozen=True, kw_only=True):
    """nvmlDeviceGetAttributes_v2 of a MIG device."""

    memory_mib: int
    multiprocessors: int
    gpu_instance_slices: int
    compute_instance_slices: int
    copy_engines: int
    decoders: int
    encoders: int
    jpeg_engines: int
    ofa_engines: int


class MigDevice(msgspec.Struct, frozen=True, kw_only=True):
    """One compute instance of a MIG-enabled GPU.

    slot: NVML's index among the parent's MIG devices; gaps are possible. profile: the name from `domain.mig.profile_name`, `1g.10gb+me`;
    None for a profile without a known name. start: the first memory slice of the GPU instance; None if the profile is unknown.
    """

    uuid: MigUuid
    slot: int
    gpu_instance: int
    compute_instance: int
    profile: str | None
    attributes: MigAttributes
    start: int | None = None


class MigFault(msgspec.Struct, frozen=True, kw_only=True):
    """A MIG device that the GPU lists but that could not be read. slot: see MigDevice. reason: call and code."""

    slot: int
    reason: str


class NvLinkPeer(msgspec.Struct, frozen=True, kw_only=True):
    """links: the number of active NVLinks directly to the GPU at `address`. `Gpu.switch_links` counts NVLinks to an NVSwitch."""

    address: PciAddress
    links: int


class PciPath(StrEnum):
    """The common ancestor of two GPUs in the PCI topology, the nearest first (nvmlGpuTopologyLevel_t). SWITCHES: several in between."""

    BOARD = "board"
    SWITCH = "switch"
    SWITCHES = "switches"
    HOST_BRIDGE = "host-bridge"
    NODE = "node"
    SYSTEM = "system"


class PciPeer(msgspec.Struct, frozen=True, kw_only=True):
    """Another GPU of the node, and the PCI path to that GPU."""

    gpu: GpuUuid
    path: PciPath


class Fabric(msgspec.Struct, frozen=True, kw_only=True):
    """nvmlDeviceGetGpuFabricInfo of an attached GPU: state completed, status success, with a cluster UUID."""

    cluster_uuid: str
    clique: int


class Gpu(msgspec.Struct, frozen=True, kw_only=True):
    """One physical GPU.

    minor: N of /dev/nvidiaN. memory_bytes: the total of nvmlDeviceGetMemoryInfo; None for a board without its own memory.
    numa_node: from sysfs; None if the kernel reports -1 or no node, or if the node could not be read, see numa_fault.
    mig_capable: nvmlDeviceGetMigMode is supported. switch_links: the number of active NVLinks to an NVSwitch. pci_peers: the other GPUs
    whose PCI path the driver reports. brand, addressing_mode: see gpu_core.nvml.names; None if NVML does not report a known one.
    """

    index: int
    uuid: GpuUuid
    minor: int | None
    model: str
    memory_bytes: int | None
    compute: ComputeCapability | None
    address: PciAddress | None
    numa_node: int | None = None
    numa_fault: str | None = None
    mig_capable: bool = False
    mig_enabled: bool = False
    mig_devices: tuple[MigDevice, ...] = ()
    mig_faults: tuple[MigFault, ...] = ()
    peers: tuple[NvLinkPeer, ...] = ()
    switch_links: int = 0
    pci_peers: tuple[PciPeer, ...] = ()
    fabric: Fabric | None = None
    brand: str | None = None
    addressing_mode: str | None = None

    @property
    def name(self) -> str:
        return gpu_name(self.uuid, self.index)


class Fault(msgspec.Struct, frozen=True, kw_only=True):
    """A GPU that NVML counts but that could not be read. uuid: None if unknown. reason: call and code."""

    index: int
    uuid: GpuUuid | None
    reason: str

    @property
    def name(self) -> str:
        return gpu_name(self.uuid, self.index)


class Inventory(msgspec.Struct, frozen=True, kw_only=True):
    """The result of one discovery.

    driver: None for a node without an NVIDIA driver and without GPUs. gpus, faults: in NVML index order. why_empty: a sentence, if there
    are neither GPUs nor faults. simulated: from a scenario. states: the health of each GPU that could be queried.
    """

    driver: Driver | None
    gpus: tuple[Gpu, ...] = ()
    faults: tuple[Fault, ...] = ()
    why_empty: str | None = None
    platform: Platform = Platform.NVML
    simulated: bool = False
    states: "tuple[GpuState, ...]" = ()
