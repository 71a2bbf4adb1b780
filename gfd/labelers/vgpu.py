"""Whether this node is a guest with virtual GPUs, and what drives them on its host. PCI says so, with or without a driver."""

from gfd.labelers.api import NVIDIA, Declared
from node_core.domain.labels import Labels, sanitize
from node_core.host.pci_config import VgpuScan

VGPU = f"{NVIDIA}/vgpu"
_HOST = {"source": "PCI configuration space", "presence": "with a vGPU that says it"}
DECLARED = (
    Declared(
        key=f"{VGPU}.present",
        value="`true` with a vGPU, else `false`",
        source="PCI configuration space",
        presence="always, with or without GPUs, where all of the configuration space may be read",
    ),
    Declared(key=f"{VGPU}.host-driver-version", value="version of the host's driver: `460.16`", **_HOST),
    Declared(key=f"{VGPU}.host-driver-branch", value="branch of the host's driver: `r460_00`", **_HOST),
)


def labels(scan: VgpuScan) -> Labels:
    """The last vGPU that says something of its host speaks for all. Nothing where GPUs hide what they are, and none is known as virtual."""
    if not scan.vgpus:
        return {} if scan.hidden else {f"{VGPU}.present": "false"}
    found = {f"{VGPU}.present": "true"}
    for vgpu in scan.vgpus:
        version, branch = sanitize(vgpu.version), sanitize(vgpu.branch)
        if version and branch:
            found |= {f"{VGPU}.host-driver-version": version, f"{VGPU}.host-driver-branch": branch}
    return found
