"""PURE: nvidia.com/gpu.present, which NVIDIA's charts and ours select nodes by.

Class and vendor of the PCI functions, whatever the settings of the pci labels say; where GPUs are on no PCI bus (Tegra, WSL), what tells of
them there. Source: PCI Code and ID Assignment Specification.
"""

from node_core.domain.features import Features
from node_core.domain.labels import GPU_PRESENT, Labels
from node_core.host.pci import GPU_CLASSES, NVIDIA


def gpu_present(features: Features, *, off_pci: bool = False) -> Labels:
    """The label when some `pci.device` is an NVIDIA GPU, or there is one off PCI; nothing otherwise."""
    devices = features.instances.get("pci.device", ())
    on_pci = any(device.get("vendor") == NVIDIA and device.get("class") in GPU_CLASSES for device in devices)
    return {GPU_PRESENT: "true"} if on_pci or off_pci else {}
