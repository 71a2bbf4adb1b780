"""Labels of vGPUs, from the PCI configuration space: whether the node has vGPUs, and the driver of their host. No driver is needed."""

from gfd.labelers.api import NVIDIA
from gpu_core.host.pci_config import VgpuScan
from node_core.domain.label_declaration import LabelDeclaration
from node_core.domain.labels import Labels, sanitize

VGPU = f"{NVIDIA}/vgpu"
_CONFIG = "/sys/bus/pci/devices/*/config"
_HOST = {"source": _CONFIG, "presence": "with a vGPU that reports it"}
DECLARED = (
    LabelDeclaration(
        key=f"{VGPU}.present",
        value="`true` with a vGPU, else `false`",
        source=_CONFIG,
        presence="always, if the complete configuration space can be read",
    ),
    LabelDeclaration(key=f"{VGPU}.host-driver-version", value="driver version of the host: `460.16`", **_HOST),
    LabelDeclaration(key=f"{VGPU}.host-driver-branch", value="driver branch of the host: `r460_00`", **_HOST),
)


def labels(scan: VgpuScan) -> Labels:
    """Returns the labels of the last vGPU that reports its host. Returns no labels if there may be an unknown vGPU."""
    if not scan.vgpus:
        return {} if scan.unreadable else {f"{VGPU}.present": "false"}
    result = {f"{VGPU}.present": "true"}
    for vgpu in scan.vgpus:
        version, branch = sanitize(vgpu.version), sanitize(vgpu.branch)
        if version and branch:
            result |= {f"{VGPU}.host-driver-version": version, f"{VGPU}.host-driver-branch": branch}
    return result
