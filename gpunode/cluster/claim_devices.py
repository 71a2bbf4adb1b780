"""The devices of ResourceSlices of a Node, with the ResourceClaims and Pods that have them. PURE.

Source: Kubernetes documentation, Dynamic Resource Allocation; KEP-4815, partitionable devices; KEP-5055, device taints.
"""

import threading
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from gpu_core.pods.device_names import DRA_DRIVER
from gpu_core.pods.resource_slices import ResourceSlice, SliceDevice, select_current
from gpunode.cluster.claim_objects import ResourceClaim
from gpunode.cluster.fleet import render_taint
from node_core.scheduling.objects import ApiStruct

GPU_CLASS = "gpu.nvidia.com"
MIG_CLASS = "mig.nvidia.com"
CLASSES = {"gpu": GPU_CLASS, "mig": MIG_CLASS}
"""The attribute `type` of a device -> the DeviceClass."""


class ClaimDevice(ApiStruct, frozen=True, omit_defaults=False):
    """One device of a ResourceSlice. Empty texts are unknown.

    device_class: GPU_CLASS or MIG_CLASS. gpu: the UUID of the GPU. profile: of a MIG device. taints: `key=value:effect`. claims, pods:
    `namespace/name`, of the claims that have the device, and of the pods that may use these claims. counter_sets: devices of the same
    counter sets exclude each other.
    """

    name: str
    device_class: str
    model: str = ""
    gpu: str = ""
    profile: str = ""
    taints: tuple[str, ...] = ()
    claims: tuple[str, ...] = ()
    pods: tuple[str, ...] = ()
    counter_sets: tuple[str, ...] = ()

    @property
    def is_on_demand(self) -> bool:
        """Whether the device is a MIG device that is created when a claim is prepared."""
        return self.device_class == MIG_CLASS and bool(self.counter_sets)

    @property
    def is_shown(self) -> bool:
        """The many places where a MIG device could be created are not shown."""
        return bool(self.claims) or not self.is_on_demand


@dataclass(frozen=True, slots=True, kw_only=True)
class ClaimUse:
    """Who has one device: claims and pods as in ClaimDevice."""

    claims: tuple[str, ...] = ()
    pods: tuple[str, ...] = ()


NOBODY = ClaimUse()


class DeviceIndex:
    """The devices of each Node. Describes a Node again only if its slices, or the users of its pools, changed. Callable from any thread."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._known: dict[str, tuple[Any, tuple[ClaimDevice, ...]]] = {}

    def update(
        self, slices: Iterable[ResourceSlice], claims: Iterable[ResourceClaim]
    ) -> dict[str, tuple[ClaimDevice, ...]]:
        """Returns Node -> its devices, in the order of the slices. Slices of an old generation of a pool do not count."""
        by_node: dict[str, list[ResourceSlice]] = {}
        for each in select_current(slices):
            by_node.setdefault(each.spec.node_name, []).append(each)
        uses = _uses(claims)
        with self._lock:
            self._known = {name: self._describe(name, listed, uses) for name, listed in by_node.items() if name}
            return {name: devices for name, (_, devices) in self._known.items() if devices}

    def _describe(
        self, node: str, slices: list[ResourceSlice], uses: Mapping[str, Mapping[str, ClaimUse]]
    ) -> tuple[Any, tuple[ClaimDevice, ...]]:
        known, state = self._known.get(node), (slices, [uses.get(each.spec.pool.name, {}) for each in slices])
        if known is not None and known[0] == state:
            return known
        pairs = zip(*state, strict=True)
        found = (
            _describe(device, users.get(device.name, NOBODY)) for each, users in pairs for device in each.spec.devices
        )
        return state, tuple(device for device in found if device is not None)


def select_devices(
    slices: Iterable[ResourceSlice], claims: Iterable[ResourceClaim]
) -> dict[str, tuple[ClaimDevice, ...]]:
    """Returns Node -> its devices, as `DeviceIndex.update`."""
    return DeviceIndex().update(slices, claims)


def _uses(claims: Iterable[ResourceClaim]) -> dict[str, dict[str, ClaimUse]]:
    """Returns pool -> device -> its users."""
    found: dict[str, dict[str, ClaimUse]] = {}
    for claim in sorted(claims, key=lambda each: each.key):
        pods = tuple(f"{claim.metadata.namespace}/{name}" for name in claim.pods)
        for device in claim.devices_of(DRA_DRIVER):
            pool = found.setdefault(device.pool, {})
            use = pool.get(device.device, NOBODY)
            claims_of = (*use.claims, claim.key)
            pool[device.device] = ClaimUse(claims=claims_of, pods=tuple(dict.fromkeys((*use.pods, *pods))))
    return found


def _describe(device: SliceDevice, use: ClaimUse) -> ClaimDevice | None:
    """Returns None for a device of another type, such as a GPU for virtual machines."""
    content = device.content
    attributes = content.texts
    if (device_class := CLASSES.get(attributes.get("type", ""))) is None:
        return None
    return ClaimDevice(
        name=device.name,
        device_class=device_class,
        model=attributes.get("productName", ""),
        gpu=attributes.get("parentUUID") or attributes.get("uuid", ""),
        profile=attributes.get("profile", ""),
        taints=tuple(render_taint(each.key, each.value, each.effect) for each in content.effective_taints),
        claims=use.claims,
        pods=use.pods,
        counter_sets=tuple(each.counter_set for each in content.consumes_counters),
    )
