"""Attributes and capacities of devices, with the names of NVIDIA's DRA driver.

Source: Kubernetes documentation, standard attributes of devices; KEP-4381, limits of attributes; KEP-6072, numaNode.
"""

import re
from collections.abc import Mapping

from dra_driver.devices.model import Attribute, DeviceKind, Version
from gpu_core.domain.family import family
from gpu_core.domain.inventory import UNKNOWN_VERSION, Driver, Gpu, MigDevice
from gpu_core.domain.mig import MIB
from gpu_core.mig.model import Engines, InstanceProfile, MigGpu
from node_core.domain.pci import PciAddress

MAX_STRING = 64
"""Maximum characters of an attribute of the type string."""

Attributes = Mapping[str, Attribute]


def common_attributes(
    gpu: Gpu, driver: Driver | None, pcie_roots: Mapping[PciAddress, str], nvlink_group: str | None
) -> Attributes:
    """Returns the attributes of a full GPU and of each of its MIG devices. Values that are unknown are absent.

    pcie_roots: PCI address -> PCIe root complex, `pci0000:00`. nvlink_group: equal for GPUs that reach each other by NVLink.
    """
    values: dict[str, Attribute | None] = {
        "productName": gpu.model[:MAX_STRING] or None,
        "brand": gpu.brand,
        "addressingMode": gpu.addressing_mode,
        "architecture": family(gpu.compute).replace("-", " ").title() if gpu.compute else None,
        "cudaComputeCapability": _two_parts(gpu.compute.major, gpu.compute.minor) if gpu.compute else None,
        "driverVersion": parse_version(driver.version) if driver else None,
        "cudaDriverVersion": _two_parts(driver.cuda.major, driver.cuda.minor) if driver and driver.cuda else None,
        "nvlinkGroup": nvlink_group,
        "resource.kubernetes.io/pciBusID": gpu.address,
        "resource.kubernetes.io/pcieRoot": pcie_roots.get(gpu.address) if gpu.address else None,
        "resource.kubernetes.io/numaNode": gpu.numa_node,
    }
    return {name: value for name, value in values.items() if value is not None}


def gpu_attributes(gpu: Gpu, common: Attributes) -> Attributes:
    """Returns the attributes of a full GPU."""
    return {"type": DeviceKind.GPU.value, "uuid": gpu.uuid, **common}


def mig_attributes(gpu: Gpu, profile: str, common: Attributes, mig: MigDevice | None = None) -> Attributes:
    """Returns the attributes of a MIG device. mig: None before the device is created, so it has no UUID yet."""
    uuid = {"uuid": mig.uuid} if mig else {}
    return {"type": DeviceKind.MIG.value, "parentUUID": gpu.uuid, "profile": profile, **uuid, **common}


def gpu_capacity(gpu: Gpu, mig: MigGpu | None) -> Mapping[str, int]:
    """Returns the memory in bytes, and the engines of the largest MIG profile. NVML reports engines of profiles alone."""
    memory = {} if gpu.memory_bytes is None else {"memory": gpu.memory_bytes}
    largest = max(mig.profiles, key=lambda profile: (profile.slices, profile.memory_mib), default=None) if mig else None
    return memory if largest is None else {**memory, **_engines(largest.engines)}


def profile_capacity(profile: InstanceProfile) -> Mapping[str, int]:
    """Returns the capacity of a MIG device that is created on demand."""
    return {"memory": profile.memory_mib * MIB, **_engines(profile.engines)}


def mig_capacity(mig: MigDevice, size: int) -> Mapping[str, int]:
    """Returns the capacity of a MIG device that exists, with one capacity for each memory slice. size: memory slices."""
    has = mig.attributes
    engines = Engines(
        multiprocessors=has.multiprocessors,
        copy=has.copy_engines,
        decoders=has.decoders,
        encoders=has.encoders,
        jpeg=has.jpeg_engines,
        ofa=has.ofa_engines,
    )
    slices = {} if mig.start is None else {f"memorySlice{mig.start + number}": 1 for number in range(size)}
    return {"memory": has.memory_mib * MIB, **_engines(engines), **slices}


def parse_version(text: str) -> Version | None:
    """Parses a driver version as a semantic version of three numbers, `470.5.1` for `470.05.01`; None if the text is another one."""
    match = re.fullmatch(r"(\d{1,9})\.(\d{1,9})(?:\.(\d{1,9}))?", text, re.ASCII) if text != UNKNOWN_VERSION else None
    return Version(text=".".join(str(int(part or 0)) for part in match.groups())) if match else None


def _two_parts(major: int, minor: int) -> Version:
    return Version(text=f"{major}.{minor}.0")


def _engines(engines: Engines) -> Mapping[str, int]:
    return {
        "multiprocessors": engines.multiprocessors,
        "copyEngines": engines.copy,
        "decoders": engines.decoders,
        "encoders": engines.encoders,
        "jpegEngines": engines.jpeg,
        "ofaEngines": engines.ofa,
    }
