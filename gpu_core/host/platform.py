"""Detects the kind of machine: Tegra, WSL or other. Sources: NVIDIA Jetson Linux developer guide; CUDA on WSL user guide; sysfs.

The PCI bus does not list the integrated GPU of an SoC, nor the GPU of Windows under WSL.
"""

from collections.abc import Iterable

from gpu_core.domain.inventory import GpuUuid, Platform
from node_core.errors import HostReadError
from node_core.host.pci import has_nvidia_gpu
from node_core.host.root import HostRoot

DXG = "/dev/dxg"
"""The device by which Linux under WSL accesses the GPUs of Windows."""
TEGRA_RELEASE = "/etc/nv_tegra_release"
SOC_FAMILY = "/sys/devices/soc0/family"
WSL_NVML = "/usr/lib/wsl/lib/libnvidia-ml.so.1"
_INTEGRATED = ("(nvgpu)", "NVIDIA Thor")


def is_integrated(model: str) -> bool:
    """Whether a GPU with this name is part of an SoC."""
    return any(part in model for part in _INTEGRATED)


def tegra_id(index: int) -> GpuUuid:
    """The identifier of an integrated GPU without a UUID."""
    return GpuUuid(f"tegra-{index}")


def choose_platform(models: Iterable[str], *, wsl: bool) -> Platform:
    """Chooses the platform from the names of all GPUs. PURE. An SoC with an additional discrete GPU counts as NVML."""
    if wsl:
        return Platform.WSL
    names = tuple(models)
    return Platform.TEGRA if names and all(map(is_integrated, names)) else Platform.NVML


def is_wsl(root: HostRoot) -> bool:
    return root.exists(DXG)


def is_tegra(root: HostRoot) -> bool:
    """Raises HostReadError."""
    return root.exists(TEGRA_RELEASE) or (root.text(SOC_FAMILY) or "").lower().startswith("tegra")


def has_gpu_off_pci(root: HostRoot) -> bool:
    """Whether the node has an NVIDIA GPU that the PCI bus does not list. Raises HostReadError."""
    return is_tegra(root) or (is_wsl(root) and root.exists(WSL_NVML))


def may_have_gpus(root: HostRoot) -> bool:
    """Whether the node may have NVIDIA GPUs. True if unknown, so that labels are not removed."""
    try:
        return not root.entries("/sys") or has_nvidia_gpu(root) or is_wsl(root) or is_tegra(root)
    except HostReadError:
        return True
