"""PURE: nvidia.com/gpu.present, which NVIDIA's charts and ours select nodes by.

Class and vendor of the PCI functions, whatever the settings of the pci labels say. Source: PCI Code and ID Assignment Specification.
"""

from node_core.domain.features import Features
from node_core.domain.labels import GPU_PRESENT, Labels
from node_core.host.pci import GPU_CLASSES, NVIDIA


def gpu_present(features: Features) -> Labels:
    """The label when some `pci.device` is an NVIDIA GPU; nothing otherwise."""
    devices = features.instances.get("pci.device", ())
    found = any(device.get("vendor") == NVIDIA and device.get("class") in GPU_CLASSES for device in devices)
    return {GPU_PRESENT: "true"} if found else {}
