"""The names of CDI specifications, classes and devices. NVIDIA's device plugin uses the same names."""

from collections.abc import Mapping
from enum import StrEnum

import msgspec

from gpu_core.domain.cdi import VENDOR, Spec, spec_file_name

VOID = "NVIDIA_VISIBLE_DEVICES=void"
"""Prevents NVIDIA's container runtime from adding all GPUs that an image requests."""
CONTROL_NODES = ("/dev/nvidia-modeset", "/dev/nvidia-uvm-tools", "/dev/nvidia-uvm", "/dev/nvidiactl")
"""The device nodes that every GPU container needs."""
IMEX_CHANNEL_PATH = "/dev/nvidia-caps-imex-channels/channel"
"""The path of an IMEX channel's device node, without the channel number."""


class CdiClass(StrEnum):
    GPU = "gpu"
    IMEX_CHANNEL = "imex-channel"
    GDRCOPY = "gdrcopy"
    GDS = "gds"
    MOFED = "mofed"


def kind(cls: str) -> str:
    return f"{VENDOR}/{cls}"


def qualified_name(cls: str, device: str) -> str:
    """Returns the name by which a container runtime requests a device: `k8s.device-plugin.nvidia.com/gpu=GPU-...`."""
    return f"{kind(cls)}={device}"


FILE_NAMES = frozenset(spec_file_name(kind(cls)) for cls in CdiClass)
"""The file names of the plugin's own specifications."""


class ClassPlan(msgspec.Struct, frozen=True, kw_only=True):
    """The specification of one class. names: device id -> name in the specification. notes: a sentence for each omitted item."""

    cls: CdiClass
    spec: Spec | None = None
    names: Mapping[str, str] = msgspec.field(default_factory=dict)
    notes: tuple[str, ...] = ()
