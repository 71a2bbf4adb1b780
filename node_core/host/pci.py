"""PCI functions from sysfs. Source: kernel Documentation/ABI/testing/sysfs-bus-pci and Documentation/PCI/sysfs-pci.rst."""

import re
from collections.abc import Callable
from dataclasses import dataclass

from node_core.domain.inventory import PciAddress
from node_core.errors import HostReadError
from node_core.host.root import HostRoot

DEVICES = "/sys/bus/pci/devices"
NVIDIA = "10de"
NumaNode = Callable[[PciAddress], int | None]
"""`read_numa_node` of some host. Raises HostReadError."""
GPU_CLASSES = frozenset({"0300", "0302"})
"""VGA compatible controller and 3D controller, the first four digits of a class code."""
_NUMBER = re.compile(r"-?\d{1,9}", re.ASCII)


@dataclass(frozen=True, slots=True, kw_only=True)
class PciFunction:
    """Ids are lower-case hex without 0x: class_code has 6 digits (`030200`), the others 4.

    sriov_totalvfs, sriov_numvfs: None where the function has no SR-IOV capability. is_vf: it is itself a virtual function.
    driver: the kernel driver that is bound to it.
    """

    address: PciAddress
    class_code: str
    vendor: str
    device: str
    subsystem_vendor: str
    subsystem_device: str
    numa_node: int | None = None
    driver: str | None = None
    sriov_totalvfs: int | None = None
    sriov_numvfs: int | None = None
    is_vf: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Skipped:
    """A function that is there but cannot be read."""

    address: PciAddress
    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class PciScan:
    """Both in address order as sysfs names sort."""

    functions: tuple[PciFunction, ...]
    skipped: tuple[Skipped, ...] = ()


def read_pci(root: HostRoot) -> PciScan:
    """All functions; one that is broken is skipped with its reason, one that vanished meanwhile is left out.

    Raises HostReadError when the bus itself cannot be listed. A host without PCI has no functions.
    """
    functions: list[PciFunction] = []
    skipped: list[Skipped] = []
    for address in map(PciAddress, root.entries(DEVICES)):
        try:
            functions.append(read_function(root, address))
        except HostReadError as error:
            if root.exists(f"{DEVICES}/{address}"):
                skipped.append(Skipped(address=address, reason=str(error)))
    return PciScan(functions=tuple(functions), skipped=tuple(skipped))


def has_nvidia_gpu(root: HostRoot) -> bool:
    """Whether some function is an NVIDIA GPU. Raises HostReadError when the bus cannot be listed."""
    return any(each.vendor == NVIDIA and each.class_code[:4] in GPU_CLASSES for each in read_pci(root).functions)


def read_numa_node(root: HostRoot, address: PciAddress) -> int | None:
    """The NUMA node that a function is near; None where the kernel says none in particular, or nothing. Raises HostReadError."""
    path = f"{DEVICES}/{address}/numa_node"
    text = root.text(path)
    if text is None:
        check_sysfs(root)
        return None
    if not _NUMBER.fullmatch(text):
        raise HostReadError(f"{path} holds {text[:40]!r}, not a number")
    return int(text) if int(text) >= 0 else None


def check_sysfs(root: HostRoot) -> None:
    """What is missing there says something only where there is sysfs. Raises HostReadError."""
    if not root.entries("/sys"):
        raise HostReadError("/sys is empty", hint="make the host's sysfs visible below --host-root")


def known_numa(numa_node: NumaNode, address: PciAddress) -> tuple[int | None, str | None]:
    """The NUMA node, and why it could not be read."""
    try:
        return numa_node(address), None
    except HostReadError as error:
        return None, str(error)


def read_function(root: HostRoot, address: PciAddress) -> PciFunction:
    """One function. Raises HostReadError when one of its five ids is missing, unreadable or not a hex number."""
    folder = f"{DEVICES}/{address}"
    return PciFunction(
        address=address,
        class_code=_hex(root, f"{folder}/class", 6),
        vendor=_hex(root, f"{folder}/vendor", 4),
        device=_hex(root, f"{folder}/device", 4),
        subsystem_vendor=_hex(root, f"{folder}/subsystem_vendor", 4),
        subsystem_device=_hex(root, f"{folder}/subsystem_device", 4),
        numa_node=known_numa(lambda each: read_numa_node(root, each), address)[0],
        driver=root.link_name(f"{folder}/driver"),
        sriov_totalvfs=_number(root, f"{folder}/sriov_totalvfs"),
        sriov_numvfs=_number(root, f"{folder}/sriov_numvfs"),
        is_vf=root.link_name(f"{folder}/physfn") is not None,
    )


def _hex(root: HostRoot, path: str, digits: int) -> str:
    text = root.text(path)
    if text is None:
        raise HostReadError(f"{path} is missing")
    number = text.lower().removeprefix("0x")
    if not re.fullmatch(f"[0-9a-f]{{{digits}}}", number):
        raise HostReadError(f"{path} holds {text[:40]!r}, not a hex number of {digits} digits")
    return number


def _number(root: HostRoot, path: str) -> int | None:
    """An attribute that a function need not have; what is not a number is no attribute and costs us no function."""
    try:
        text = root.text(path)
    except HostReadError:
        return None
    return int(text) if text and _NUMBER.fullmatch(text) else None
