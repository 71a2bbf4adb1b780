"""Discovers GPUs that are passed through to virtual machines as a whole, on the PCI bus, because no NVIDIA driver manages them.

Memory and compute capability are unknown: the address ranges of a PCI function do not show the memory of the board.
Source: kernel Documentation/driver-api/vfio.rst.
"""

from collections.abc import Mapping

from gpu_core.discovery.pci_ids import read_device_names
from gpu_core.domain.inventory import UNKNOWN_VERSION, Driver, Fault, Gpu, GpuUuid, Inventory
from node_core.host.pci import (
    DEVICES,
    NVIDIA,
    PciFunction,
    check_sysfs,
    read_numa_node,
    read_pci,
    try_read_numa_node,
)
from node_core.host.root import HostRoot

DRIVER = "vfio-pci"
UNKNOWN_MODEL = "UNKNOWN_DEVICE"


def read_vfio(root: HostRoot) -> Inventory:
    """Runs one discovery. Raises HostReadError if sysfs, the list of PCI functions or the names cannot be read."""
    check_sysfs(root)
    scan = read_pci(root)
    names = read_device_names(root, NVIDIA)
    passed = [each for each in scan.functions if each.is_nvidia_gpu and each.driver == DRIVER and not each.is_vf]
    unread = [each for each in scan.skipped if root.link_name(f"{DEVICES}/{each.address}/driver") == DRIVER]
    return Inventory(
        driver=Driver(version=UNKNOWN_VERSION, cuda=None),
        gpus=tuple(read_gpu(root, index, function, names) for index, function in enumerate(passed)),
        faults=tuple(
            Fault(index=index, uuid=vfio_id(each.address), reason=each.reason)
            for index, each in enumerate(unread, start=len(passed))
        ),
        why_empty=None if passed or unread else f"no NVIDIA GPU is bound to {DRIVER}",
    )


def read_gpu(root: HostRoot, index: int, function: PciFunction, names: Mapping[str, str]) -> Gpu:
    numa_node, numa_fault = try_read_numa_node(lambda address: read_numa_node(root, address), function.address)
    return Gpu(
        index=index,
        uuid=vfio_id(function.address),
        minor=None,
        model=names.get(function.device) or UNKNOWN_MODEL,
        memory_bytes=None,
        compute=None,
        address=function.address,
        numa_node=numa_node,
        numa_fault=numa_fault,
    )


def vfio_id(address: str) -> GpuUuid:
    return GpuUuid(f"vfio-{address}")
