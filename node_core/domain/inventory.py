"""What NVML says of a node's GPUs, as frozen values. Absent is None; what could not be read at all is a Fault."""

from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING, NewType

if TYPE_CHECKING:
    from node_core.domain.evidence import GpuState

GpuUuid = NewType("GpuUuid", str)
"""NVML's identifier, `GPU-` and a UUID. Of a GPU that has none, a name that is the same at every look: `tegra-0`, `vfio-0000:17:00.0`."""
MigUuid = NewType("MigUuid", str)
"""NVML's identifier of a MIG device, `MIG-` and a UUID."""
PciAddress = NewType("PciAddress", str)
"""domain:bus:device.function as in /sys/bus/pci/devices, lower case: `0000:17:00.0`."""


class Platform(StrEnum):
    """The kind of machine, by which containers reach GPUs in different ways. TEGRA: an SoC with its own GPU. NVML: any other machine."""

    NVML = "nvml"
    TEGRA = "tegra"
    WSL = "wsl"


@dataclass(frozen=True, slots=True, kw_only=True)
class CudaVersion:
    """The newest CUDA version that the driver supports (nvmlSystemGetCudaDriverVersion)."""

    major: int
    minor: int


UNKNOWN_VERSION = "unknown.unknown.unknown"
"""Of a driver that NVML is not asked about, as GPU Feature Discovery writes it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Driver:
    """version: as nvmlSystemGetDriverVersion gives it, `550.54.15`; empty when NVML does not say. cuda: None when it does not."""

    version: str
    cuda: CudaVersion | None


@dataclass(frozen=True, slots=True, kw_only=True, order=True)
class ComputeCapability:
    """nvmlDeviceGetCudaComputeCapability."""

    major: int
    minor: int


@dataclass(frozen=True, slots=True, kw_only=True)
class MigAttributes:
    """nvmlDeviceGetAttributes_v2 of a MIG device. Memory in MiB, as NVML gives it."""

    memory_mib: int
    multiprocessors: int
    gpu_instance_slices: int
    compute_instance_slices: int
    copy_engines: int
    decoders: int
    encoders: int
    jpeg_engines: int
    ofa_engines: int


@dataclass(frozen=True, slots=True, kw_only=True)
class MigDevice:
    """One compute instance of a MIG-enabled GPU.

    slot: NVML's index among the parent's MIG devices; gaps are possible. profile: NVIDIA's name, `1g.10gb+me`, made by
    `domain.mig.profile_name`; None when NVML gives a profile that the name table does not know.
    """

    uuid: MigUuid
    slot: int
    gpu_instance: int
    compute_instance: int
    profile: str | None
    attributes: MigAttributes


@dataclass(frozen=True, slots=True, kw_only=True)
class MigFault:
    """A MIG device that its GPU lists but that could not be read. slot: as of MigDevice. reason: call and code."""

    slot: int
    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class NvLinkPeer:
    """links: how many active NVLinks lead straight to the GPU at `address`; those to an NVSwitch are `Gpu.switch_links`."""

    address: PciAddress
    links: int


class PciPath(StrEnum):
    """What two GPUs have in common on the way of PCI, the nearest first (nvmlGpuTopologyLevel_t). SWITCHES: more than one between them."""

    BOARD = "board"
    SWITCH = "switch"
    SWITCHES = "switches"
    HOST_BRIDGE = "host-bridge"
    NODE = "node"
    SYSTEM = "system"


@dataclass(frozen=True, slots=True, kw_only=True)
class PciPeer:
    """Another GPU of the node, and how near PCI has it."""

    gpu: GpuUuid
    path: PciPath


@dataclass(frozen=True, slots=True, kw_only=True)
class Fabric:
    """nvmlDeviceGetGpuFabricInfo of a GPU that is attached: completed, successful, with a cluster UUID."""

    cluster_uuid: str
    clique: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Gpu:
    """One physical GPU.

    minor: N of /dev/nvidiaN. memory_bytes: the total of nvmlDeviceGetMemoryInfo; None where the board has none of its own.
    numa_node: from sysfs; None where the kernel says -1 or nothing, and where it could not be read: numa_fault then says why.
    mig_capable: nvmlDeviceGetMigMode is supported. switch_links: how many active NVLinks lead to an NVSwitch. pci_peers: those of the
    other GPUs of which the driver says how near they are.
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


@dataclass(frozen=True, slots=True, kw_only=True)
class Fault:
    """A GPU that NVML counts but could not be read. uuid: what the handle still said, or None. reason: call and code."""

    index: int
    uuid: GpuUuid | None
    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Inventory:
    """One look at the node's GPUs.

    driver: None when there is no NVIDIA driver, which is a successful look that found nothing; `why_empty` then says
    in a sentence what is missing. gpus and faults are in NVML index order. simulated: from a scenario, not from NVML.
    states: what those GPUs say of their health that could be asked for it.
    """

    driver: Driver | None
    gpus: tuple[Gpu, ...] = ()
    faults: tuple[Fault, ...] = ()
    why_empty: str | None = None
    platform: Platform = Platform.NVML
    simulated: bool = False
    states: "tuple[GpuState, ...]" = ()
