"""Detects vGPUs and the version of their host driver in PCI configuration space, without NVML.

Sources: PCI Local Bus Specification 3.0, 6.7 (capability list); NVIDIA's vendor-specific capability of a vGPU, which starts with `VF` and
contains records: type, length of the whole record, content. Record 0 contains the host driver's version and branch, 10 bytes each.
The hypervisor writes these bytes, so they are not trusted: an invalid offset or length ends the parsing.
"""

from collections.abc import Iterator

import msgspec

from node_core.domain.pci import PciAddress
from node_core.errors import HostReadError
from node_core.host.pci import DEVICES, NVIDIA, PciFunction, check_sysfs, read_pci
from node_core.host.root import HostRoot

CONFIG_SIZE = 256
"""Bytes of configuration space with capabilities. An unprivileged process can read only the first 64."""
HEADER_SIZE = 64
STATUS = 0x06
STATUS_CAPABILITIES = 0x10
FIRST_CAPABILITY = 0x34
VENDOR_SPECIFIC = 0x09
SIGNATURE = b"VF"
RECORDS = 5
HOST_DRIVER = 0
FIELD = 10


class Vgpu(msgspec.Struct, frozen=True, kw_only=True):
    """A virtual GPU. version, branch: of the host's driver (`460.16`, `r460_00`); empty if the record is missing or broken."""

    address: PciAddress
    version: str = ""
    branch: str = ""


class VgpuScan(msgspec.Struct, frozen=True, kw_only=True):
    """unreadable: GPUs whose configuration space is not fully readable, so that they may be virtual. Both sorted by address."""

    vgpus: tuple[Vgpu, ...] = ()
    unreadable: tuple[PciAddress, ...] = ()


def read_vgpus(root: HostRoot) -> VgpuScan:
    """Scans all NVIDIA GPUs, also those without a driver. Raises HostReadError if sysfs or a function cannot be read."""
    check_sysfs(root)
    scan = read_pci(root)
    for skipped in scan.skipped:
        if _may_be_nvidia(root, skipped.address):
            raise HostReadError(skipped.reason)
    spaces = [(each.address, _read_config(root, each)) for each in scan.functions if each.is_nvidia_gpu]
    vgpus = (parse_vgpu(address, config) for address, config in spaces if config is not None)
    return VgpuScan(
        vgpus=tuple(vgpu for vgpu in vgpus if vgpu is not None),
        unreadable=tuple(address for address, config in spaces if config is not None and len(config) < CONFIG_SIZE),
    )


def parse_vgpu(address: PciAddress, config: bytes) -> Vgpu | None:
    """The vGPU of a configuration space; None if the GPU is not virtual."""
    for capability in parse_vendor_capabilities(config):
        if capability[3:RECORDS] == SIGNATURE:
            record = parse_host_driver(capability) or b""
            version, branch = (_text(record[start : start + FIELD]) for start in (0, FIELD))
            return Vgpu(address=address, version=version, branch=branch)
    return None


def parse_vendor_capabilities(config: bytes) -> Iterator[bytes]:
    """Yields the bytes of each vendor-specific capability, from its id on, cut at the end of the configuration space."""
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
    """The 20 bytes of record 0; None if the record is missing or truncated."""
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


def _may_be_nvidia(root: HostRoot, address: PciAddress) -> bool:
    """Whether an unreadable function may be an NVIDIA GPU. Broken boards of other vendors do not fail the scan."""
    try:
        vendor = root.text(f"{DEVICES}/{address}/vendor") or ""
    except HostReadError:
        return True
    return vendor.lower() in ("", f"0x{NVIDIA}")


def _read_config(root: HostRoot, function: PciFunction) -> bytes | None:
    """The configuration space; None if the function was removed since the scan."""
    folder = f"{DEVICES}/{function.address}"
    config = root.read(f"{folder}/config", limit=CONFIG_SIZE)
    return b"" if config is None and root.exists(folder) else config
