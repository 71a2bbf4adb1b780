"""The PCI functions that the NVIDIA driver uses. Source: kernel Documentation/ABI/testing/sysfs-bus-pci, drivers."""

from node_core.domain.pci import PciAddress
from node_core.host.root import HostRoot

DRIVER = "/sys/bus/pci/drivers/nvidia"


def read_bound_addresses(root: HostRoot) -> frozenset[PciAddress]:
    """Reads the addresses of the functions; empty without the driver. Raises HostReadError."""
    return frozenset(PciAddress(name) for name in root.entries(DRIVER) if ":" in name)
