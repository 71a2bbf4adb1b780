"""vGPUs by their PCI configuration space, which says on a virtual machine what its host drives the GPU with. No NVML is asked.

Sources: PCI Local Bus Specification 3.0, 6.7 (capability list); NVIDIA's vendor-specific capability of a vGPU, which begins `VF` and then
holds records: type, length of the whole record, content. Record 0 has the host driver's version and branch, 10 bytes each.
A guest's hypervisor writes these bytes, so nothing in them is trusted: an offset or a length that leads nowhere ends the walk.
"""

from collections.abc import Iterator
from dataclasses import dataclass

from node_core.domain.inventory import PciAddress
from node_core.errors import HostReadError
from node_core.host.pci import DEVICES, GPU_CLASSES, NVIDIA, PciFunction, read_pci
from node_core.host.root import HostRoot

CONFIG_SIZE = 256
"""Bytes of configuration space that hold capabilities; the kernel shows only 64 of them to the unprivileged."""
HEADER_SIZE = 64
STATUS = 0x06
STATUS_CAPABILITIES = 0x10
FIRST_CAPABILITY = 0x34
VENDOR_SPECIFIC = 0x09
SIGNATURE = b"VF"
RECORDS = 5
HOST_DRIVER = 0
FIELD = 10


@dataclass(frozen=True, slots=True, kw_only=True)
class Vgpu:
    """A virtual GPU. version, branch: of the host's driver (`460.16`, `r460_00`); empty where its record is missing or broken."""

    address: PciAddress
    version: str = ""
    branch: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class VgpuScan:
    """hidden: GPUs whose configuration space we are not shown in full, so that they may or may not be virtual. Both in address order."""

    vgpus: tuple[Vgpu, ...] = ()
    hidden: tuple[PciAddress, ...] = ()


def read_vgpus(root: HostRoot) -> VgpuScan:
    """All NVIDIA GPU functions, whether or not a driver holds them. Raises HostReadError where one cannot be read at all."""
    scan = read_pci(root)
    for skipped in scan.skipped:
        if _may_be_nvidia(root, skipped.address):
            raise HostReadError(skipped.reason)
    spaces = [(each.address, _read_config(root, each)) for each in scan.functions if _is_nvidia_gpu(each)]
    vgpus = (parse_vgpu(address, config) for address, config in spaces if config is not None)
    return VgpuScan(
        vgpus=tuple(vgpu for vgpu in vgpus if vgpu is not None),
        hidden=tuple(address for address, config in spaces if config is not None and len(config) < CONFIG_SIZE),
    )


def parse_vgpu(address: PciAddress, config: bytes) -> Vgpu | None:
    """The vGPU that a configuration space belongs to, or None where it belongs to none."""
    for capability in parse_vendor_capabilities(config):
        if capability[3:RECORDS] == SIGNATURE:
            record = parse_host_driver(capability) or b""
            version, branch = (_text(record[start : start + FIELD]) for start in (0, FIELD))
            return Vgpu(address=address, version=version, branch=branch)
    return None


def parse_vendor_capabilities(config: bytes) -> Iterator[bytes]:
    """The vendor-specific capabilities in the order of the list, each from its id on and as long as it says or as there are bytes."""
    if len(config) < CONFIG_SIZE or not config[STATUS] & STATUS_CAPABILITIES:
        return
    at = config[FIRST_CAPABILITY] & 0xFC
    seen: set[int] = set()
    while at >= HEADER_SIZE and at not in seen:
        seen.add(at)
        identity, following, length = config[at : at + 3]
        if identity == 0xFF:
            return
        if identity == VENDOR_SPECIFIC:
            yield config[at : min(at + length, CONFIG_SIZE)]
        at = following & 0xFC


def parse_host_driver(capability: bytes) -> bytes | None:
    """The 20 bytes of record 0; None where there is no such record, or not all of it."""
    at = RECORDS
    while at + 2 <= len(capability):
        kind, length = capability[at : at + 2]
        if kind == HOST_DRIVER:
            content = capability[at + 2 : at + 2 + 2 * FIELD]
            return content if len(content) == 2 * FIELD else None
        if length < 2:
            return None
        at += length
    return None


def _text(field: bytes) -> str:
    return field.strip(b"\0").partition(b"\0")[0].decode("ascii", errors="replace").strip()


def _is_nvidia_gpu(function: PciFunction) -> bool:
    return function.vendor == NVIDIA and function.class_code[:4] in GPU_CLASSES


def _may_be_nvidia(root: HostRoot, address: PciAddress) -> bool:
    """Of a function that cannot be read: some other vendor's broken board is no reason to say nothing of vGPUs."""
    try:
        vendor = root.text(f"{DEVICES}/{address}/vendor") or ""
    except HostReadError:
        return True
    return vendor.lower() in ("", f"0x{NVIDIA}")


def _read_config(root: HostRoot, function: PciFunction) -> bytes | None:
    """None where the function vanished meanwhile."""
    folder = f"{DEVICES}/{function.address}"
    config = root.read(f"{folder}/config", limit=CONFIG_SIZE)
    return b"" if config is None and root.exists(folder) else config
