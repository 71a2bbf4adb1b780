"""PCI functions from sysfs. Source: kernel Documentation/ABI/testing/sysfs-bus-pci and Documentation/PCI/sysfs-pci.rst."""

import re
from collections.abc import Callable

import msgspec

from node_core.domain.pci import PciAddress
from node_core.errors import HostReadError
from node_core.host.root import HostRoot

DEVICES = "/sys/bus/pci/devices"
NVIDIA = "10de"
NumaNode = Callable[[PciAddress], int | None]
"""Returns the NUMA node of a PCI function, like `read_numa_node`. Raises HostReadError."""
GPU_CLASSES = frozenset({"0300", "0302"})
"""The first four digits of the class codes of VGA compatible controllers and 3D controllers."""
ID_FIELDS = ("class", "vendor", "device", "subsystem_vendor", "subsystem_device")
_DIGITS = {"class": 6} | dict.fromkeys(ID_FIELDS[1:], 4)
_OPTIONAL = frozenset({"subsystem_vendor", "subsystem_device"})
_HEX = frozenset("0123456789abcdef")
_NUMBER = re.compile(r"-?\d{1,9}", re.ASCII)
_PCIE_ROOT = re.compile(r"pci[0-9a-f]{4,8}:[0-9a-f]{2}")


class PciFunction(msgspec.Struct, frozen=True, kw_only=True):
    """A PCI function. Ids are lower-case hex without 0x: class_code has 6 digits (`030200`), vendor and device have 4.

    driver: the kernel driver that is bound to the function. is_vf: True for an SR-IOV virtual function.
    """

    address: PciAddress
    class_code: str
    vendor: str
    device: str
    numa_node: int | None = None
    driver: str | None = None
    is_vf: bool = False

    @property
    def is_nvidia_gpu(self) -> bool:
        return self.vendor == NVIDIA and self.class_code[:4] in GPU_CLASSES


class SkippedFunction(msgspec.Struct, frozen=True, kw_only=True):
    """A PCI function that exists but cannot be read."""

    address: PciAddress
    reason: str


class PciScan(msgspec.Struct, frozen=True, kw_only=True):
    """All PCI functions, sorted by address."""

    functions: tuple[PciFunction, ...]
    skipped: tuple[SkippedFunction, ...] = ()


def read_pci(root: HostRoot) -> PciScan:
    """Reads all PCI functions. Reports unreadable functions in `skipped`, and ignores functions that disappear during the scan.

    Raises HostReadError if the bus cannot be listed. A host without PCI has no functions.
    """
    functions: list[PciFunction] = []
    skipped: list[SkippedFunction] = []
    for address in map(PciAddress, root.entries(DEVICES)):
        try:
            functions.append(read_function(root, address))
        except HostReadError as error:
            if root.exists(f"{DEVICES}/{address}"):
                skipped.append(SkippedFunction(address=address, reason=str(error)))
    return PciScan(functions=tuple(functions), skipped=tuple(skipped))


def has_nvidia_gpu(root: HostRoot) -> bool:
    """True if a PCI function is an NVIDIA GPU. Raises HostReadError if the bus cannot be listed."""
    return any(each.is_nvidia_gpu for each in read_pci(root).functions)


def read_numa_node(root: HostRoot, address: PciAddress) -> int | None:
    """Reads the NUMA node of a function. Returns None if the kernel reports no node (-1) or has no such file. Raises HostReadError."""
    path = f"{DEVICES}/{address}/numa_node"
    text = root.text(path)
    if text is None:
        check_sysfs(root)
        return None
    if not _NUMBER.fullmatch(text):
        raise HostReadError(f"{path} contains {text[:40]!r}, which is not a number")
    return int(text) if int(text) >= 0 else None


def read_pcie_root(root: HostRoot, address: PciAddress) -> str | None:
    """Reads the PCIe root complex of a function: `pci0000:16`, the first folder of its path in /sys/devices; None if unknown."""
    target = root.link_target(f"{DEVICES}/{address}") or ""
    return next((part for part in target.split("/") if _PCIE_ROOT.fullmatch(part)), None)


def check_sysfs(root: HostRoot) -> None:
    """Raises HostReadError if there is no sysfs: then a missing file in sysfs has no meaning."""
    if not root.entries("/sys"):
        raise HostReadError("/sys is empty", hint="mount the host's sysfs below --host-root")


def try_read_numa_node(numa_node: NumaNode, address: PciAddress) -> tuple[int | None, str | None]:
    """Returns the NUMA node and the reason if it could not be read."""
    try:
        return numa_node(address), None
    except HostReadError as error:
        return None, str(error)


def read_function(root: HostRoot, address: PciAddress) -> PciFunction:
    """Reads a function. Raises HostReadError if one of its ids is unreadable or not a hex number, see `read_ids`."""
    folder = f"{DEVICES}/{address}"
    ids = read_ids(root, folder)
    return PciFunction(
        address=address,
        class_code=ids["class"],
        vendor=ids["vendor"],
        device=ids["device"],
        numa_node=try_read_numa_node(lambda each: read_numa_node(root, each), address)[0],
        driver=root.link_name(f"{folder}/driver"),
        is_vf=root.link_name(f"{folder}/physfn") is not None,
    )


def read_ids(root: HostRoot, folder: str) -> dict[str, str]:
    """Reads the ids in a function's folder: names in sysfs -> lower-case hex without 0x. The ids of the subsystem may be missing.

    Raises HostReadError.
    """
    texts = {name: root.text(f"{folder}/{name}") for name in _DIGITS}
    present = {name: text for name, text in texts.items() if text is not None or name not in _OPTIONAL}
    return {name: _parse_id(f"{folder}/{name}", text, _DIGITS[name]) for name, text in present.items()}


def _parse_id(path: str, text: str | None, digits: int) -> str:
    if text is None:
        raise HostReadError(f"{path} is missing")
    number = text.lower().removeprefix("0x")
    if len(number) != digits or not _HEX.issuperset(number):
        raise HostReadError(f"{path} contains {text[:40]!r}, which is not a hex number of {digits} digits")
    return number
