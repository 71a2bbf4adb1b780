"""What kind of machine a node is. Sources: NVIDIA Jetson Linux developer guide; CUDA on WSL user guide; facts of the kernel in sysfs.

An SoC's own GPU is on no PCI bus that says so, and under WSL the GPU belongs to Windows, so there PCI is no witness of GPUs.
"""

from collections.abc import Iterable

from node_core.domain.inventory import GpuUuid, Platform
from node_core.errors import HostReadError
from node_core.host.pci import has_nvidia_gpu
from node_core.host.root import HostRoot

DXG = "/dev/dxg"
"""The device by which Linux under WSL reaches the GPUs of Windows."""
TEGRA_RELEASE = "/etc/nv_tegra_release"
SOC_FAMILY = "/sys/devices/soc0/family"
WSL_NVML = "/usr/lib/wsl/lib/libnvidia-ml.so.1"
_INTEGRATED = ("(nvgpu)", "NVIDIA Thor")


def is_integrated(model: str) -> bool:
    """Whether a GPU of this name is part of an SoC."""
    return any(part in model for part in _INTEGRATED)


def tegra_id(index: int) -> GpuUuid:
    """What an integrated GPU without a UUID is told by."""
    return GpuUuid(f"tegra-{index}")


def choose_platform(models: Iterable[str], *, wsl: bool) -> Platform:
    """From the names of all GPUs. PURE. An SoC with a board beside its own GPU is none of which all containers get one device."""
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
    """Whether there is an NVIDIA GPU that no PCI bus shows. Raises HostReadError."""
    return is_tegra(root) or (is_wsl(root) and root.exists(WSL_NVML))


def may_have_gpus(root: HostRoot) -> bool:
    """Whether there may be NVIDIA GPUs though no driver answers. Not knowing is no reason to take labels away."""
    try:
        return not root.entries("/sys") or has_nvidia_gpu(root) or is_wsl(root) or is_tegra(root)
    except HostReadError:
        return True
