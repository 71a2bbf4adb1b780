"""GPUs that virtual machines are given whole: no driver here knows them, so what PCI says is all there is.

Memory and compute capability are not known: what a function's address ranges add up to is not a board's memory.
Source: kernel Documentation/driver-api/vfio.rst.
"""

from collections.abc import Mapping

from node_core.domain.inventory import UNKNOWN_VERSION, Driver, Fault, Gpu, GpuUuid, Inventory
from node_core.host.discovery.pci_ids import read_device_names
from node_core.host.pci import (
    DEVICES,
    GPU_CLASSES,
    NVIDIA,
    PciFunction,
    check_sysfs,
    known_numa,
    read_numa_node,
    read_pci,
)
from node_core.host.root import HostRoot

DRIVER = "vfio-pci"
UNKNOWN_MODEL = "UNKNOWN_DEVICE"


def read_vfio(root: HostRoot) -> Inventory:
    """One look. Raises HostReadError when there is no sysfs, the bus cannot be listed, or the names not be read."""
    check_sysfs(root)
    scan = read_pci(root)
    names = read_device_names(root, NVIDIA)
    passed = [function for function in scan.functions if is_passed_through(function)]
    unread = [each for each in scan.skipped if root.link_name(f"{DEVICES}/{each.address}/driver") == DRIVER]
    return Inventory(
        driver=Driver(version=UNKNOWN_VERSION, cuda=None),
        gpus=tuple(read_gpu(root, index, function, names) for index, function in enumerate(passed)),
        faults=tuple(
            Fault(index=index, uuid=vfio_id(each.address), reason=each.reason)
            for index, each in enumerate(unread, start=len(passed))
        ),
        why_empty=None if passed or unread else f"{DRIVER} has no NVIDIA GPU",
    )


def is_passed_through(function: PciFunction) -> bool:
    """Whether it is a whole GPU that is there for virtual machines. PURE."""
    is_gpu = function.vendor == NVIDIA and function.class_code[:4] in GPU_CLASSES
    return is_gpu and function.driver == DRIVER and not function.is_vf


def read_gpu(root: HostRoot, index: int, function: PciFunction, names: Mapping[str, str]) -> Gpu:
    numa_node, numa_fault = known_numa(lambda address: read_numa_node(root, address), function.address)
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
