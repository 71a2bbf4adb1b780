"""Sharing of GPUs: the shared resources, their replicas, names and strategy. Labels and devices use the same values.

Source: k8s-device-plugin README, "Shared Access to GPUs".
"""

from collections.abc import Collection
from enum import StrEnum

import msgspec

from gpu_core.domain.inventory import ComputeCapability, Driver, Inventory
from gpu_core.domain.resources import ResourceName, resource_name
from gpu_core.domain.selection import AllDevices, DeviceSelection
from node_core.values import replace

VOLTA = ComputeCapability(major=7, minor=0)
MPS_CLIENTS = 48
"""Maximum number of MPS clients of a GPU. Source: NVIDIA Multi-Process Service documentation, limitations."""
MPS_CLIENTS_BEFORE_VOLTA = 16
MPS_CLIENTS_OF_CUDA_13_1 = 60
"""For drivers that support CUDA 13.1, which are the releases since 590."""
LIST_BYTES = 4 << 20
"""Maximum size of the device list of one resource: the kubelet uses gRPC's default limit for messages that it receives."""
DEVICE_BYTES = 28
"""Bytes of one replica in the list, in addition to the UUID: separator, number, health, NUMA node, and their headers."""


class SharingStrategy(StrEnum):
    """The value of the label nvidia.com/gpu.sharing-strategy."""

    TIME_SLICING = "time-slicing"
    MPS = "mps"


class SharedResource(msgspec.Struct, frozen=True, kw_only=True):
    """One shared resource. replicas: of each device; 1 only with MPS. advertised: the name that pods request."""

    resource: ResourceName
    replicas: int
    advertised: ResourceName
    devices: DeviceSelection = msgspec.field(default_factory=AllDevices)

    @property
    def is_renamed(self) -> bool:
        return self.advertised != self.resource


class Sharing(msgspec.Struct, frozen=True, kw_only=True):
    """The sharing of a node: at least one resource. Entries of the same resource have lists of devices that do not overlap.

    fail_requests_greater_than_one: requests for more than one replica are rejected, because they give no larger share of a GPU.
    mps_clients: the most clients of a GPU since Volta.
    """

    strategy: SharingStrategy
    resources: tuple[SharedResource, ...]
    fail_requests_greater_than_one: bool
    mps_clients: int = MPS_CLIENTS

    def for_driver(self, driver: Driver | None) -> "Sharing":
        """The sharing with the limits of a driver. A driver of unknown version has the limits of older drivers."""
        cuda = driver.cuda if driver else None
        is_new = cuda is not None and (cuda.major, cuda.minor) >= (13, 1)
        return replace(self, mps_clients=MPS_CLIENTS_OF_CUDA_13_1 if is_new else MPS_CLIENTS)

    def find(self, resource: str) -> SharedResource | None:
        """The first entry of a resource, by the exact name before renaming; None if the resource is not shared."""
        return next(iter(self.find_all(resource)), None)

    def find_all(self, resource: str) -> tuple[SharedResource, ...]:
        """Every entry of a resource."""
        return tuple(each for each in self.resources if each.resource == resource)

    def limit_replicas(self, replicas: int, compute: ComputeCapability | None, uuids: Collection[str] = ()) -> int:
        """Limits the replicas to what a GPU and the kubelet support.

        compute: None if unknown, which counts as older than Volta. uuids: of all devices of the resource.
        """
        if self.strategy is SharingStrategy.MPS:
            return min(
                replicas, self.mps_clients if compute is not None and compute >= VOLTA else MPS_CLIENTS_BEFORE_VOLTA
            )
        return min(replicas, max_replicas(uuids)) if uuids else replicas


def max_replicas(uuids: Collection[str]) -> int:
    """How many replicas of each of these devices fit into the device list of a resource."""
    return max(1, LIST_BYTES // sum(len(uuid) + DEVICE_BYTES for uuid in uuids))


def is_mps_blocked_by_mig(inventory: Inventory, sharing: Sharing | None) -> bool:
    """Whether MPS is configured and a GPU is in MIG mode, which MPS does not support."""
    return (
        sharing is not None
        and sharing.strategy is SharingStrategy.MPS
        and any(gpu.mig_enabled for gpu in inventory.gpus)
    )


def advertised_name(resource: ResourceName, rename: str | None, *, by_default: bool) -> ResourceName:
    """The name that pods request. rename: the configured name or None. by_default: renameByDefault. Raises ValueError."""
    if rename is not None:
        return resource_name(rename)
    return resource_name(f"{resource}.shared") if by_default else resource
