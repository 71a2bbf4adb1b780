"""Reads a whole node through NVML. One bad GPU, or one bad MIG device, never hides the others.

What a board may lack is asked with `optional`: NOT_SUPPORTED and a function that the library does not have are absent facts, any other
error makes the GPU a Fault. Only the handle, the UUID and the name are what a GPU must have to be one, and an integrated one no UUID.
"""

import itertools
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from typing import TypeVar

from node_core.domain.inventory import (
    ComputeCapability,
    CudaVersion,
    Driver,
    Fault,
    Gpu,
    GpuUuid,
    Inventory,
    MigDevice,
    MigFault,
    MigUuid,
    NvLinkPeer,
    PciAddress,
    PciPath,
    PciPeer,
)
from node_core.domain.mig import profile_name
from node_core.errors import NvmlError
from node_core.host.discovery.platform import choose_platform, is_integrated, tegra_id
from node_core.host.nvml.api import ABSENT, GPU_IS_LOST, NOT_FOUND, Handle, NvLinks, Nvml, OpenNvml
from node_core.host.nvml.state import read_states
from node_core.host.pci import NumaNode, known_numa

Answer = TypeVar("Answer")

DISPLAY_ONLY = frozenset({"DGX Display", "NVIDIA DGX Display"})
"""Names of the display boards of DGX stations, which no workload can use."""


PCI_PATHS = {
    0: PciPath.BOARD,
    10: PciPath.SWITCH,
    20: PciPath.SWITCHES,
    30: PciPath.HOST_BRIDGE,
    40: PciPath.NODE,
    50: PciPath.SYSTEM,
}
"""By nvmlGpuTopologyLevel_t."""


@dataclass(frozen=True, slots=True, kw_only=True)
class _Read:
    """A GPU, its NVLinks wherever they lead, and NVML's handle of it."""

    gpu: Gpu
    links: NvLinks
    device: Handle


def read_inventory(
    open_nvml: OpenNvml, numa_node: NumaNode, *, wsl: bool = False, simulated: bool = False
) -> Inventory:
    """One look. Raises NvmlError when NVML itself gives nothing: LIBRARY_NOT_FOUND, DRIVER_NOT_LOADED, no count."""
    with open_nvml() as nvml:
        driver = read_driver(nvml)
        found = [read_gpu(nvml, index, numa_node) for index in range(nvml.device_get_count())]
        reads = [one for one in found if isinstance(one, _Read)]
        near = read_pci_peers(nvml, reads)
        states = read_states(nvml)
    nvlinks = {read.gpu.uuid: read.links.count for read in reads if not read.gpu.mig_enabled}
    faults = tuple(one for one in found if isinstance(one, Fault))
    why_empty = None if reads or faults else _why_empty(len(found))
    gpus = tuple(replace(gpu, pci_peers=tuple(near[gpu.uuid])) for gpu in link(reads))
    return Inventory(
        driver=driver,
        gpus=gpus,
        faults=faults,
        why_empty=why_empty,
        platform=choose_platform((gpu.model for gpu in gpus), wsl=wsl),
        simulated=simulated,
        states=tuple(replace(state, nvlinks=nvlinks.get(state.gpu)) for state in states),
    )


def read_driver(nvml: Nvml) -> Driver:
    """Its versions."""
    cuda = optional(nvml.system_get_cuda_driver_version)
    return Driver(version=optional(nvml.system_get_driver_version) or "", cuda=parse_cuda_version(cuda))


def parse_cuda_version(number: int | None) -> CudaVersion | None:
    """12040 is 12.4."""
    return None if number is None else CudaVersion(major=number // 1000, minor=number % 1000 // 10)


def parse_bus_id(bus_id: str) -> PciAddress:
    """NVML's `00000000:17:00.0` as sysfs writes it: lower case, and only as many domain digits above four as are needed."""
    domain, colon, rest = bus_id.lower().partition(":")
    return PciAddress(f"{domain.lstrip('0'):0>4}{colon}{rest}")


def optional(ask: Callable[[], Answer]) -> Answer | None:
    """The answer, or None where the board or the library has no such thing."""
    try:
        return ask()
    except NvmlError as error:
        if error.code in ABSENT:
            return None
        raise


def read_gpu(nvml: Nvml, index: int, numa_node: NumaNode) -> _Read | Fault | None:
    """None for a display board."""
    uuid: GpuUuid | None = None
    try:
        device = nvml.device_get_handle_by_index(index)
        uuid = optional(lambda: GpuUuid(nvml.device_get_uuid(device)))
        model = nvml.device_get_name(device)
        if uuid is None:  # asked again, its error says why
            uuid = tegra_id(index) if is_integrated(model) else GpuUuid(nvml.device_get_uuid(device))
        return None if model in DISPLAY_ONLY else _read_facts(nvml, device, numa_node, index, uuid, model)
    except NvmlError as error:
        return Fault(index=index, uuid=uuid, reason=str(error))


def _read_facts(nvml: Nvml, device: Handle, numa_node: NumaNode, index: int, uuid: GpuUuid, model: str) -> _Read:
    bus_id = optional(lambda: nvml.device_get_bus_id(device))
    address = None if bus_id is None else parse_bus_id(bus_id)
    compute = optional(lambda: nvml.device_get_cuda_compute_capability(device))
    mig_mode = optional(lambda: nvml.device_get_mig_mode(device))
    numa, numa_fault = (None, None) if address is None else known_numa(numa_node, address)
    gpu = Gpu(
        index=index,
        uuid=uuid,
        minor=optional(lambda: nvml.device_get_minor_number(device)),
        model=model,
        # A board without memory of its own says NOT_SUPPORTED or 0.
        memory_bytes=optional(lambda: nvml.device_get_memory_total(device)) or None,
        compute=None if compute is None else ComputeCapability(major=compute[0], minor=compute[1]),
        address=address,
        numa_node=numa,
        numa_fault=numa_fault,
        mig_capable=mig_mode is not None,
        mig_enabled=bool(mig_mode),
        fabric=optional(lambda: nvml.device_get_fabric(device)),
    )
    links = optional(lambda: nvml.device_get_nvlinks(device)) or NvLinks()
    return _Read(gpu=_with_mig(nvml, device, gpu) if gpu.mig_enabled else gpu, links=links, device=device)


def _with_mig(nvml: Nvml, device: Handle, gpu: Gpu) -> Gpu:
    slots = range(optional(lambda: nvml.device_get_max_mig_device_count(device)) or 0)
    found = [read_mig_device(nvml, device, slot, gpu.memory_bytes or 0) for slot in slots]
    return replace(
        gpu,
        mig_devices=tuple(one for one in found if isinstance(one, MigDevice)),
        mig_faults=tuple(one for one in found if isinstance(one, MigFault)),
    )


def read_mig_device(nvml: Nvml, device: Handle, slot: int, total_memory_bytes: int) -> MigDevice | MigFault | None:
    """None for an empty slot. A lost GPU is no fault of one MIG device and is raised as NvmlError."""
    try:
        handle = nvml.device_get_mig_device_handle_by_index(device, slot)
    except NvmlError as error:
        return None if error.code in ABSENT or error.code == NOT_FOUND else _mig_fault(slot, error)
    try:
        attributes = nvml.device_get_attributes(handle)
        return MigDevice(
            uuid=MigUuid(nvml.device_get_uuid(handle)),
            slot=slot,
            gpu_instance=nvml.device_get_gpu_instance_id(handle),
            compute_instance=nvml.device_get_compute_instance_id(handle),
            profile=_read_profile(nvml, device, handle, attributes.memory_mib, total_memory_bytes),
            attributes=attributes,
        )
    except NvmlError as error:
        return _mig_fault(slot, error)


def _mig_fault(slot: int, error: NvmlError) -> MigFault:
    if error.code == GPU_IS_LOST:
        raise error
    return MigFault(slot=slot, reason=str(error))


def _read_profile(
    nvml: Nvml, device: Handle, mig_device: Handle, memory_mib: int, total_memory_bytes: int
) -> str | None:
    try:
        numbers = optional(lambda: nvml.device_get_mig_profile(device, mig_device))
    except NvmlError as error:
        if error.code != NOT_FOUND:  # an instance of a profile that is newer than our NVML binding has no name
            raise
        numbers = None
    if numbers is None:
        return None
    return profile_name(numbers.gpu_instance_profile, numbers.compute_instance_profile, memory_mib, total_memory_bytes)


def read_pci_peers(nvml: Nvml, reads: Sequence[_Read]) -> Mapping[GpuUuid, Sequence[PciPeer]]:
    """Of each GPU, in their order. What goes wrong between two GPUs is the fault of neither: then how near they are is not known."""
    near: dict[GpuUuid, list[PciPeer]] = {read.gpu.uuid: [] for read in reads}
    for one, other in itertools.combinations(reads, 2):
        with suppress(NvmlError):
            path = PCI_PATHS.get(nvml.device_get_topology_common_ancestor(one.device, other.device))
            if path is not None:
                near[one.gpu.uuid].append(PciPeer(gpu=other.gpu.uuid, path=path))
                near[other.gpu.uuid].append(PciPeer(gpu=one.gpu.uuid, path=path))
    return near


def link(reads: list[_Read]) -> tuple[Gpu, ...]:
    """The GPUs, each with its NVLinks counted by the GPU of this node that they lead to, or as leading to switches."""
    known = frozenset(read.gpu.address for read in reads)
    return tuple(
        replace(read.gpu, peers=_peers(read.links.remotes, known), switch_links=read.links.switched) for read in reads
    )


def _peers(remotes: tuple[str, ...], known: frozenset[PciAddress | None]) -> tuple[NvLinkPeer, ...]:
    counts = Counter(address for address in map(parse_bus_id, remotes) if address in known)
    return tuple(NvLinkPeer(address=address, links=links) for address, links in sorted(counts.items()))


def _why_empty(display_boards: int) -> str:
    if display_boards:
        return "the NVIDIA driver knows only boards for displays"
    return "the NVIDIA driver is loaded and counts no GPU"
