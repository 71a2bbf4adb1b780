"""Sharing of GPUs: which resource is given out how many times, by which means, and under what name.

Source: k8s-device-plugin README, "Shared Access to GPUs". What a configuration file says of it becomes these values once, so labels and
devices cannot disagree on what is shared.
"""

from dataclasses import dataclass, field
from enum import StrEnum

from node_core.domain.inventory import ComputeCapability, Inventory
from node_core.domain.resources import ResourceName, resource_name
from node_core.domain.selection import AllDevices, DeviceSelection

VOLTA = ComputeCapability(major=7, minor=0)
MPS_CLIENTS = 48
"""How many processes may share a GPU by MPS; before Volta 16. Source: NVIDIA Multi-Process Service documentation, limitations."""
MPS_CLIENTS_BEFORE_VOLTA = 16


class SharingStrategy(StrEnum):
    """By which means; the value that labels say."""

    TIME_SLICING = "time-slicing"
    MPS = "mps"


@dataclass(frozen=True, slots=True, kw_only=True)
class SharedResource:
    """One resource that is shared. replicas: how often each device is given out, 2 at least. advertised: the name that pods ask for."""

    resource: ResourceName
    replicas: int
    advertised: ResourceName
    devices: DeviceSelection = field(default_factory=AllDevices)

    @property
    def renamed(self) -> bool:
        return self.advertised != self.resource


@dataclass(frozen=True, slots=True, kw_only=True)
class Sharing:
    """What is shared on a node: at least one resource. One that is there more than once has lists of devices that do not overlap.

    fail_requests_greater_than_one: a container that asks for more than one replica is refused, as it would not get more of a GPU for it.
    """

    strategy: SharingStrategy
    resources: tuple[SharedResource, ...]
    fail_requests_greater_than_one: bool

    def of(self, resource: str) -> SharedResource | None:
        """How a resource is shared, by its exact name before any renaming; None where it is not. The first of several ways."""
        return next(iter(self.all_of(resource)), None)

    def all_of(self, resource: str) -> tuple[SharedResource, ...]:
        """The same, for each of its lists of devices."""
        return tuple(each for each in self.resources if each.resource == resource)

    def possible_replicas(self, replicas: int, compute: ComputeCapability | None) -> int:
        """Of so many replicas, those that a GPU can serve. compute: None where NVML does not say, which counts as an old GPU."""
        if self.strategy is not SharingStrategy.MPS:
            return replicas
        return min(replicas, MPS_CLIENTS if compute is not None and compute >= VOLTA else MPS_CLIENTS_BEFORE_VOLTA)


def mps_hindered(inventory: Inventory, sharing: Sharing | None) -> bool:
    """Whether the configuration wants MPS that this node cannot give: MPS does not go with MIG."""
    return (
        sharing is not None
        and sharing.strategy is SharingStrategy.MPS
        and any(gpu.mig_enabled for gpu in inventory.gpus)
    )


def advertised_name(resource: ResourceName, rename: str | None, *, by_default: bool) -> ResourceName:
    """The name that pods ask for. rename: what the file says, or None. by_default: renameByDefault. Raises ValueError."""
    if rename is not None:
        return resource_name(rename)
    return resource_name(f"{resource}.shared") if by_default else resource
