"""The label nvidia.com/gpu.present, which node selectors of NVIDIA's charts and of this project use. PURE.

The label depends on the class and vendor of the PCI functions, not on the settings of PCI labels, and on GPUs that are not on a PCI bus
(Tegra, WSL). Source: PCI Code and ID Assignment Specification.
"""

from node_core.domain.features import Features
from node_core.domain.label_declaration import LabelDeclaration
from node_core.domain.labels import GPU_PRESENT, Labels
from node_core.host.pci import DEVICES, GPU_CLASSES, NVIDIA

DECLARED = LabelDeclaration(
    key=GPU_PRESENT,
    value="`true`",
    source=f"{DEVICES}/*/class and vendor; on Tegra and WSL the files of the platform",
    presence="with an NVIDIA GPU, with or without a driver",
)


def gpu_present(features: Features, *, off_pci: bool = False) -> Labels:
    """Returns the label if there is an NVIDIA GPU; otherwise no label. off_pci: there is a GPU that is not on a PCI bus."""
    devices = features.instances.get("pci.device", ())
    on_pci = any(device.get("vendor") == NVIDIA and device.get("class") in GPU_CLASSES for device in devices)
    return {GPU_PRESENT: "true"} if on_pci or off_pci else {}
