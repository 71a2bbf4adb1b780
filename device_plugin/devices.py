"""Devices, the offer of a resource, and the plan of a node. PURE.

`plan` builds these values; `allocate` selects devices from them.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Literal, NewType

import msgspec

from gpu_core.domain.inventory import ComputeCapability, GpuUuid
from gpu_core.domain.node_assessment import Reason
from gpu_core.domain.resources import ResourceName
from gpu_core.domain.sharing import SharingStrategy
from node_core.domain.pci import PciAddress

DeviceId = NewType("DeviceId", str)
"""The kubelet's id of a device: the UUID of the GPU or MIG device. Replicas of a shared device append `::0`, `::1` and so on."""
Policy = Literal["distributed", "packed"]
"""How replicas and MIG devices are selected: from the GPUs with the fewest devices in use, or from the GPUs with the most."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Device:
    """A GPU, a MIG device, or a replica of one of them: the unit that a container is allocated.

    uuid: NVML's UUID, which is the id without the replica number. replica: the replica number from 0; None if the device is not shared.
    index: NVML's index, `0`; `<GPU>:<slot>` for a MIG device, `0:1`. gpu, minor, model, compute, numa_node, address and links describe
    the physical GPU. links: link weights to the other GPUs, see plan.link_weights. paths: device nodes. gpu_instance, compute_instance,
    profile: set for a MIG device. why_unhealthy: a sentence; None if the device is healthy. unhealthy_by: a reason that concerns the node
    and not this GPU, if there is one.
    """

    id: DeviceId
    uuid: str
    index: str
    gpu: GpuUuid
    replica: int | None = None
    minor: int | None = None
    model: str = ""
    compute: ComputeCapability | None = None
    paths: tuple[str, ...] = ()
    numa_node: int | None = None
    address: PciAddress | None = None
    links: Mapping[GpuUuid, int] = field(default_factory=dict, hash=False)
    gpu_instance: int | None = None
    compute_instance: int | None = None
    profile: str | None = None
    why_unhealthy: str | None = None
    unhealthy_by: Reason | None = None

    @property
    def name(self) -> str:
        """The name in logs and messages: `GPU 3 (GPU-9ad2…)`, `MIG device 3:0 (MIG-51c0…)`."""
        return f"{'GPU' if self.gpu_instance is None else 'MIG device'} {self.index} ({self.uuid})"

    @property
    def is_healthy(self) -> bool:
        return self.why_unhealthy is None

    @property
    def order(self) -> tuple[tuple[int, ...], str, int]:
        """The sort key that puts devices in NVML's order."""
        numbers = tuple(int(part) for part in self.index.split(":") if part.isdigit())
        return numbers, self.uuid, -1 if self.replica is None else self.replica


class ResourceOffer(msgspec.Struct, frozen=True, kw_only=True):
    """The devices of one resource, in NVML's order. sharing: how the replicas among them share a GPU; None without replicas.

    fail_requests_greater_than_one: refuse a container that requests more than one replica, because a second replica provides no
    additional share of a GPU. policy: how replicas are selected; MIG devices if there are no replicas.
    """

    devices: tuple[Device, ...]
    sharing: SharingStrategy | None = None
    fail_requests_greater_than_one: bool = False
    policy: Policy = "packed"


class ReservedDevice(msgspec.Struct, frozen=True, kw_only=True):
    """A device that exists but is not advertised. why: a sentence."""

    device: Device
    why: str
    reason: Reason = Reason.EXCLUDED


class Plan(msgspec.Struct, frozen=True, kw_only=True):
    """The resources to advertise, in order. notes: a sentence for each device or setting that cannot be applied as configured."""

    resources: Mapping[ResourceName, ResourceOffer] = msgspec.field(default_factory=dict)
    notes: tuple[str, ...] = ()
    reserved: tuple[ReservedDevice, ...] = ()


def sort_devices(devices: Iterable[Device]) -> tuple[Device, ...]:
    """Returns the devices in NVML's order."""
    return tuple(sorted(devices, key=lambda device: device.order))
