"""Discovers the GPUs of the host with the strategy in the settings."""

from collections.abc import Sequence
from pathlib import Path
from typing import Literal

from gpu_core.discovery.cuda import open_cuda
from gpu_core.discovery.tegra import read_tegra
from gpu_core.discovery.vfio import read_vfio
from gpu_core.domain.inventory import Inventory
from gpu_core.host.platform import is_tegra, is_wsl
from gpu_core.nvml.api import LIBRARY_NOT_FOUND
from gpu_core.nvml.inventory import read_inventory
from gpu_core.nvml.real import open_nvml
from node_core.errors import HostReadError, NvmlError
from node_core.host.pci import read_numa_node
from node_core.host.root import HostRoot

Strategy = Literal["auto", "nvml", "tegra", "vfio"]


def read_gpus(strategy: Strategy, root: HostRoot, driver_root: Path, library_dirs: Sequence[str] = ()) -> Inventory:
    """Runs one discovery. auto: NVML, or CUDA on a Tegra without NVML. Raises NvmlError, or HostReadError with vfio."""
    match strategy:
        case "nvml":
            return _read_nvml(root, driver_root, library_dirs)
        case "tegra":
            return read_tegra(open_cuda(driver_root, library_dirs))
        case "vfio":
            return read_vfio(root)
        case "auto":
            try:
                return _read_nvml(root, driver_root, library_dirs)
            except NvmlError as error:
                if error.code != LIBRARY_NOT_FOUND or not _is_known_tegra(root):
                    raise
                return read_tegra(open_cuda(driver_root, library_dirs))


def _read_nvml(root: HostRoot, driver_root: Path, library_dirs: Sequence[str]) -> Inventory:
    return read_inventory(
        lambda: open_nvml(driver_root=str(driver_root), library_dirs=library_dirs),
        lambda address: read_numa_node(root, address),
        wsl=is_wsl(root),
    )


def _is_known_tegra(root: HostRoot) -> bool:
    try:
        return is_tegra(root)
    except HostReadError:
        return False
