"""One look at the GPUs of the host, in the way that the settings name."""

from pathlib import Path
from typing import Literal

from node_core.domain.inventory import Inventory
from node_core.errors import HostReadError, NvmlError
from node_core.host.discovery.cuda import open_cuda
from node_core.host.discovery.platform import is_tegra, is_wsl
from node_core.host.discovery.tegra import read_tegra
from node_core.host.discovery.vfio import read_vfio
from node_core.host.nvml.api import LIBRARY_NOT_FOUND
from node_core.host.nvml.inventory import read_inventory
from node_core.host.nvml.real import open_nvml
from node_core.host.pci import read_numa_node
from node_core.host.root import HostRoot

Strategy = Literal["auto", "nvml", "tegra", "vfio"]


def read_gpus(strategy: Strategy, root: HostRoot, driver_root: Path) -> Inventory:
    """auto: NVML, and CUDA on a Tegra that has no NVML. Raises NvmlError; with vfio HostReadError."""
    match strategy:
        case "nvml":
            return _read_nvml(root, driver_root)
        case "tegra":
            return read_tegra(open_cuda(driver_root))
        case "vfio":
            return read_vfio(root)
        case "auto":
            try:
                return _read_nvml(root, driver_root)
            except NvmlError as error:
                if error.code != LIBRARY_NOT_FOUND or not _is_surely_tegra(root):
                    raise
                return read_tegra(open_cuda(driver_root))


def _read_nvml(root: HostRoot, driver_root: Path) -> Inventory:
    return read_inventory(
        lambda: open_nvml(driver_root=str(driver_root)), lambda address: read_numa_node(root, address), wsl=is_wsl(root)
    )


def _is_surely_tegra(root: HostRoot) -> bool:
    try:
        return is_tegra(root)
    except HostReadError:
        return False
