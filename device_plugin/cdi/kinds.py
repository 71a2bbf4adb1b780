"""The names of our specs and devices, which are those of NVIDIA's device plugin."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum

from node_core.domain.cdi import Spec, spec_file_name

VENDOR = "k8s.device-plugin.nvidia.com"
VOID = "NVIDIA_VISIBLE_DEVICES=void"
"""Keeps NVIDIA's container runtime, if there is one, from adding all GPUs that an image asks for."""


class CdiClass(StrEnum):
    GPU = "gpu"
    IMEX_CHANNEL = "imex-channel"
    GDRCOPY = "gdrcopy"
    GDS = "gds"
    MOFED = "mofed"


def kind(cls: str) -> str:
    return f"{VENDOR}/{cls}"


def qualified_name(cls: str, device: str) -> str:
    """How a container runtime is asked for a device: `k8s.device-plugin.nvidia.com/gpu=GPU-...`."""
    return f"{kind(cls)}={device}"


FILE_NAMES = frozenset(spec_file_name(kind(cls)) for cls in CdiClass)
"""The files in the folder of specs that are ours."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Part:
    """What there is of one class. names: id of a device -> its name in the spec. notes: a sentence for each thing that is left out."""

    cls: CdiClass
    spec: Spec | None = None
    names: Mapping[str, str] = field(default_factory=dict)
    notes: tuple[str, ...] = ()
