"""A device as a scheduler sees it.

Source: Kubernetes API, ResourceSlice of resource.k8s.io/v1; KEP-4381, structured parameters; KEP-4815, partitionable devices.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum

from gpu_core.domain.inventory import Gpu, MigDevice
from gpu_core.mig.model import InstanceProfile, Placement


@dataclass(frozen=True, slots=True, kw_only=True)
class Version:
    """An attribute of the type version. text: a semantic version 2.0.0, `550.54.15`."""

    text: str


Attribute = str | int | bool | Version


class DeviceKind(StrEnum):
    """The attribute `type` of a device, which the DeviceClasses select."""

    GPU = "gpu"
    MIG = "mig"


@dataclass(frozen=True, slots=True, kw_only=True)
class CounterSet:
    """What the devices of one GPU divide. counters: name -> amount of the whole GPU."""

    name: str
    counters: Mapping[str, int]


@dataclass(frozen=True, slots=True, kw_only=True)
class Device:
    """One device of the node.

    name: unique on the node, and equal after a restart of the driver. attributes, capacity: names without a domain belong to the driver.
    mig: the MIG device that exists; None for a full GPU and for a MIG device that is created on demand. profile, placement: of a MIG device
    that is created on demand, or None. counter_set: None for a device that shares nothing with other devices. counters: the part of the
    counter set that the device consumes.
    """

    name: str
    kind: DeviceKind
    gpu: Gpu
    attributes: Mapping[str, Attribute]
    capacity: Mapping[str, int]
    mig: MigDevice | None = None
    profile: InstanceProfile | None = None
    placement: Placement | None = None
    counter_set: CounterSet | None = None
    counters: Mapping[str, int] = field(default_factory=dict)
