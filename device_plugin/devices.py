"""The values that the device plugin decides and answers with: devices, what a resource offers, and the plan of a node. PURE.

`plan` makes them; `allocate` chooses among them.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Literal, NewType

from node_core.domain.inventory import ComputeCapability, GpuUuid, PciAddress
from node_core.domain.resources import ResourceName
from node_core.domain.sharing import SharingStrategy

DeviceId = NewType("DeviceId", str)
"""What the kubelet calls a device: the UUID of the GPU or of the MIG device, with `::0`, `::1` ... after it where it is shared."""
Policy = Literal["distributed", "packed"]
"""Where replicas and MIG devices come from: from the GPUs with the fewest in use, or from those with the most."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Device:
    """Something that one container can have: a GPU, a MIG device, or a replica of one.

    uuid: what NVML calls it, the id without its replica. replica: which, from 0; None where it is not shared. index: NVML's, `0`; of a
    MIG device `<GPU>:<slot>`, `0:1`. gpu, minor, model, compute, numa_node, address, links: of the whole GPU. links: what joins it to the
    others, by plan.links. paths: its device nodes.
    gpu_instance, compute_instance, profile: of a MIG device. why_unhealthy: a sentence, None while it is healthy.
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

    @property
    def healthy(self) -> bool:
        return self.why_unhealthy is None

    @property
    def order(self) -> tuple[tuple[int, ...], str, int]:
        """Sorts devices as NVML counts them."""
        numbers = tuple(int(part) for part in self.index.split(":") if part.isdigit())
        return numbers, self.uuid, -1 if self.replica is None else self.replica


@dataclass(frozen=True, slots=True, kw_only=True)
class Offer:
    """What a resource has, in order. sharing: by which means those of the devices that are replicas are shared; None without any.

    fail_requests_greater_than_one: a container may ask for one replica only, as a second one would not get it more of a GPU.
    policy: of replicas, and of MIG devices where there are none.
    """

    devices: tuple[Device, ...]
    sharing: SharingStrategy | None = None
    fail_requests_greater_than_one: bool = False
    policy: Policy = "packed"


@dataclass(frozen=True, slots=True, kw_only=True)
class Reserved:
    """A device that exists and is not advertised. why: a sentence."""

    device: Device
    why: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """What to advertise, by resource in order. notes: a sentence for each thing that is not as it was asked for, or left out."""

    resources: Mapping[ResourceName, Offer] = field(default_factory=dict)
    notes: tuple[str, ...] = ()
    reserved: tuple[Reserved, ...] = ()


def in_order(devices: Iterable[Device]) -> tuple[Device, ...]:
    """As NVML counts them."""
    return tuple(sorted(devices, key=lambda device: device.order))
