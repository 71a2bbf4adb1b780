"""Discovers the GPUs of a node through NVML. A broken GPU or MIG device does not affect the others.

`query_optional` reads optional values: NOT_SUPPORTED and a missing function give None, any other error makes the GPU a Fault. Every GPU
must have a handle, a UUID and a name; an integrated GPU may lack the UUID.
"""

import itertools
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from typing import TypeVar

import msgspec

from gpu_core.domain.inventory import (
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
    PciPath,
    PciPeer,
)
from gpu_core.domain.mig import profile_name
from gpu_core.host.platform import choose_platform, is_integrated, tegra_id
from gpu_core.nvml.api import ABSENT, GPU_IS_LOST, NOT_FOUND, GpuInstanceProfile, Handle, NvLinks, Nvml, OpenNvml
from gpu_core.nvml.names import ADDRESSING_MODES, BRANDS
from gpu_core.nvml.state import read_states
from node_core.domain.pci import PciAddress
from node_core.errors import NvmlError
from node_core.host.pci import NumaNode, try_read_numa_node
from node_core.values import replace

Result = TypeVar("Result")

DISPLAY_ONLY = frozenset({"DGX Display", "NVIDIA DGX Display"})
"""Names of the display boards of DGX stations, which workloads cannot use."""


PCI_PATHS = {
    0: PciPath.BOARD,
    10: PciPath.SWITCH,
    20: PciPath.SWITCHES,
    30: PciPath.HOST_BRIDGE,
    40: PciPath.NODE,
    50: PciPath.SYSTEM,
}
"""nvmlGpuTopologyLevel_t -> path."""


class _GpuReading(msgspec.Struct, frozen=True, kw_only=True):
    """A GPU, all its NVLinks, and its NVML handle."""

    gpu: Gpu
    links: NvLinks
    device: Handle


def read_inventory(
    open_nvml: OpenNvml,
    numa_node: NumaNode,
    *,
    wsl: bool = False,
    simulated: bool = False,
    indexes: Sequence[int] | None = None,
) -> Inventory:
    """Runs one discovery. Raises NvmlError if NVML cannot be opened or does not report the number of GPUs.

    indexes: of the GPUs to discover, see EachGpu; None for all. GPUs that are not discovered are no peers.
    """
    with open_nvml() as nvml:
        driver = Driver(
            version=query_optional(nvml.system_get_driver_version) or "",
            cuda=parse_cuda_version(query_optional(nvml.system_get_cuda_driver_version)),
        )
        selected = range(nvml.device_get_count()) if indexes is None else indexes
        found = [read_gpu(nvml, index, numa_node) for index in selected]
        readings = [one for one in found if isinstance(one, _GpuReading)]
        pci_peers = read_pci_peers(nvml, readings)
        states = read_states(nvml, selected)
    nvlinks = {reading.gpu.uuid: reading.links.count for reading in readings if not reading.gpu.mig_enabled}
    faults = tuple(one for one in found if isinstance(one, Fault))
    why_empty = None if readings or faults else _why_empty(len(found))
    gpus = tuple(replace(gpu, pci_peers=tuple(pci_peers[gpu.uuid])) for gpu in link(readings))
    return Inventory(
        driver=driver,
        gpus=gpus,
        faults=faults,
        why_empty=why_empty,
        platform=choose_platform((gpu.model for gpu in gpus), wsl=wsl),
        simulated=simulated,
        states=tuple(replace(state, nvlinks=nvlinks.get(state.gpu)) for state in states),
    )


def parse_cuda_version(number: int | None) -> CudaVersion | None:
    """Parses 1000 * major + 10 * minor: 12040 is 12.4."""
    return None if number is None else CudaVersion(major=number // 1000, minor=number % 1000 // 10)


def parse_bus_id(bus_id: str) -> PciAddress:
    """Parses NVML's `00000000:17:00.0` to the form of sysfs: lower case, four domain digits or as many as necessary."""
    domain, colon, rest = bus_id.lower().partition(":")
    return PciAddress(f"{domain.lstrip('0'):0>4}{colon}{rest}")


def query_optional(query: Callable[[], Result]) -> Result | None:
    """The result of a query; None if the board or the library does not support the query. Raises NvmlError."""
    try:
        return query()
    except NvmlError as error:
        if error.code in ABSENT:
            return None
        raise


def read_gpu(nvml: Nvml, index: int, numa_node: NumaNode) -> _GpuReading | Fault | None:
    """Reads a GPU; None for a display board."""
    uuid: GpuUuid | None = None
    try:
        device = nvml.device_get_handle_by_index(index)
        uuid = query_optional(lambda: GpuUuid(nvml.device_get_uuid(device)))
        model = nvml.device_get_name(device)
        if uuid is None:  # the second call raises the error
            uuid = tegra_id(index) if is_integrated(model) else GpuUuid(nvml.device_get_uuid(device))
        return None if model in DISPLAY_ONLY else _read_facts(nvml, device, numa_node, index, uuid, model)
    except NvmlError as error:
        return Fault(index=index, uuid=uuid, reason=str(error))


def _read_facts(nvml: Nvml, device: Handle, numa_node: NumaNode, index: int, uuid: GpuUuid, model: str) -> _GpuReading:
    bus_id = query_optional(lambda: nvml.device_get_bus_id(device))
    address = None if bus_id is None else parse_bus_id(bus_id)
    compute = query_optional(lambda: nvml.device_get_cuda_compute_capability(device))
    mig_mode = query_optional(lambda: nvml.device_get_mig_mode(device))
    numa, numa_fault = (None, None) if address is None else try_read_numa_node(numa_node, address)
    gpu = Gpu(
        index=index,
        uuid=uuid,
        minor=query_optional(lambda: nvml.device_get_minor_number(device)),
        model=model,
        # A board without its own memory returns NOT_SUPPORTED or 0.
        memory_bytes=query_optional(lambda: nvml.device_get_memory_total(device)) or None,
        compute=None if compute is None else ComputeCapability(major=compute[0], minor=compute[1]),
        address=address,
        numa_node=numa,
        numa_fault=numa_fault,
        mig_capable=mig_mode is not None,
        mig_enabled=bool(mig_mode),
        fabric=query_optional(lambda: nvml.device_get_fabric(device)),
        brand=_query_name(lambda: nvml.device_get_brand(device), BRANDS),
        addressing_mode=_query_name(lambda: nvml.device_get_addressing_mode(device), ADDRESSING_MODES),
    )
    links = query_optional(lambda: nvml.device_get_nvlinks(device)) or NvLinks()
    return _GpuReading(gpu=_with_mig(nvml, device, gpu) if gpu.mig_enabled else gpu, links=links, device=device)


def _query_name(query: Callable[[], int], names: Mapping[int, str]) -> str | None:
    """The name of a value that only describes the GPU; None if the query fails, which makes no GPU a Fault."""
    try:
        return names.get(query())
    except NvmlError:
        return None


def _with_mig(nvml: Nvml, device: Handle, gpu: Gpu) -> Gpu:
    slots = range(query_optional(lambda: nvml.device_get_max_mig_device_count(device)) or 0)
    found = [read_mig_device(nvml, device, slot, gpu.memory_bytes or 0) for slot in slots]
    return replace(
        gpu,
        mig_devices=tuple(one for one in found if isinstance(one, MigDevice)),
        mig_faults=tuple(one for one in found if isinstance(one, MigFault)),
    )


def read_mig_device(nvml: Nvml, device: Handle, slot: int, total_memory_bytes: int) -> MigDevice | MigFault | None:
    """Reads a MIG device; None for an empty slot. Raises NvmlError if the whole GPU is lost."""
    try:
        handle = nvml.device_get_mig_device_handle_by_index(device, slot)
    except NvmlError as error:
        return None if error.code in ABSENT or error.code == NOT_FOUND else _mig_fault(slot, error)
    try:
        attributes = nvml.device_get_attributes(handle)
        numbers = _read_profile(nvml, device, handle)
        return MigDevice(
            uuid=MigUuid(nvml.device_get_uuid(handle)),
            slot=slot,
            gpu_instance=nvml.device_get_gpu_instance_id(handle),
            compute_instance=nvml.device_get_compute_instance_id(handle),
            profile=None if numbers is None else _name_profile(numbers, attributes.memory_mib, total_memory_bytes),
            attributes=attributes,
            start=None if numbers is None else numbers.start,
        )
    except NvmlError as error:
        return _mig_fault(slot, error)


def _mig_fault(slot: int, error: NvmlError) -> MigFault:
    if error.code == GPU_IS_LOST:
        raise error
    return MigFault(slot=slot, reason=str(error))


def _read_profile(nvml: Nvml, device: Handle, mig_device: Handle) -> GpuInstanceProfile | None:
    try:
        return query_optional(lambda: nvml.device_get_mig_profile(device, mig_device))
    except NvmlError as error:
        if error.code != NOT_FOUND:  # NOT_FOUND: a profile that is newer than nvidia-ml-py
            raise
        return None


def _name_profile(numbers: GpuInstanceProfile, memory_mib: int, total_memory_bytes: int) -> str | None:
    return profile_name(numbers.gpu_instance_profile, numbers.compute_instance_profile, memory_mib, total_memory_bytes)


def read_pci_peers(nvml: Nvml, readings: Sequence[_GpuReading]) -> Mapping[GpuUuid, Sequence[PciPeer]]:
    """The peers of each GPU. If the query fails for two GPUs, they are not peers, and neither GPU becomes a Fault."""
    pci_peers: dict[GpuUuid, list[PciPeer]] = {reading.gpu.uuid: [] for reading in readings}
    for one, other in itertools.combinations(readings, 2):
        with suppress(NvmlError):
            path = PCI_PATHS.get(nvml.device_get_topology_common_ancestor(one.device, other.device))
            if path is not None:
                pci_peers[one.gpu.uuid].append(PciPeer(gpu=other.gpu.uuid, path=path))
                pci_peers[other.gpu.uuid].append(PciPeer(gpu=one.gpu.uuid, path=path))
    return pci_peers


def link(readings: list[_GpuReading]) -> tuple[Gpu, ...]:
    """The GPUs with their NVLinks, counted by remote GPU of this node and for switches."""
    known = frozenset(reading.gpu.address for reading in readings)
    return tuple(
        replace(reading.gpu, peers=_peers(reading.links.remotes, known), switch_links=reading.links.switched)
        for reading in readings
    )


def _peers(remotes: tuple[str, ...], known: frozenset[PciAddress | None]) -> tuple[NvLinkPeer, ...]:
    counts = Counter(address for address in map(parse_bus_id, remotes) if address in known)
    return tuple(NvLinkPeer(address=address, links=links) for address, links in sorted(counts.items()))


def _why_empty(display_boards: int) -> str:
    if display_boards:
        return "the NVIDIA driver reports display boards only"
    return "the NVIDIA driver is loaded, but reports no GPU"
