"""The devices that claims hold, and whether two of them overlap. PURE."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

import msgspec

from dra_driver.claims.allocation import AllocatedDevice
from dra_driver.claims.config import Interval, MpsConfig, check_kind, select_config
from dra_driver.claims.ref import ClaimRef
from dra_driver.claims.sharing import MpsShare, check_sharing, mps_of, plan_shares, time_slice_of
from dra_driver.devices.model import Device
from gpu_core.domain.inventory import Inventory
from gpu_core.mig.model import MigGpu, Placement
from node_core.errors import ClaimError


class Holding(msgspec.Struct, frozen=True, kw_only=True):
    """One device of a claim, as recorded on disk.

    requests: of the claim. gpu: UUID. slices: memory slices; empty for a full GPU. profile: NVML_GPU_INSTANCE_PROFILE_* of an instance
    that the driver creates for the claim. mig: UUID of a MIG device that others have created. is_dynamic: the driver changes the MIG layout
    of the GPU. is_admin: the claim has access to a device that other claims hold. time_slice: of the GPU; None for the hardware's own.
    mps: None without MPS.
    """

    requests: tuple[str, ...]
    pool: str
    device: str
    gpu: str
    slices: tuple[int, ...] = ()
    profile: int | None = None
    mig: str | None = None
    is_dynamic: bool = False
    is_admin: bool = False
    share_id: str | None = None
    time_slice: Interval | None = None
    mps: MpsShare | None = None

    @property
    def placement(self) -> Placement:
        """Of a MIG device."""
        return Placement(start=self.slices[0], size=len(self.slices))

    def overlaps(self, other: "Holding") -> bool:
        """Whether both cannot be used by different claims. MIG devices within one GPU instance share its memory, and differ."""
        if self.gpu != other.gpu or self.is_admin or other.is_admin:
            return False
        if self.mig is not None and other.mig is not None:
            return self.mig == other.mig
        return not self.slices or not other.slices or not {*self.slices}.isdisjoint(other.slices)


class Claim(msgspec.Struct, frozen=True, kw_only=True):
    """is_prepared: False from the record before the first change until everything is made. namespace, name: empty if unknown."""

    namespace: str
    name: str
    is_prepared: bool
    holdings: tuple[Holding, ...]

    def has(self, allocated: Sequence[AllocatedDevice]) -> bool:
        """Whether the claim has these devices. Unknown for a claim that was recovered, whose kinds of access are not known."""
        recorded = {(each.device, each.is_admin, each.share_id) for each in self.holdings}
        return not self.name or recorded == {(each.device, each.is_admin, each.share_id) for each in allocated}

    def ref(self, uid: str) -> ClaimRef:
        return ClaimRef(namespace=self.namespace, name=self.name, uid=uid)


_Key = tuple[str, bool, str | None]
"""Device, whether the claim has admin access, and share ID."""
Claims = Mapping[str, Claim]
"""UID -> claim."""


@dataclass(frozen=True, slots=True, kw_only=True)
class NodeDevices:
    """The devices of the node, and the MIG layouts of its GPUs, read at one time."""

    devices: Mapping[str, Device]
    mig_gpus: tuple[MigGpu, ...]
    inventory: Inventory


def plan_holdings(ref: ClaimRef, allocated: Sequence[AllocatedDevice], node: NodeDevices) -> tuple[Holding, ...]:
    """Returns the devices of a claim, one for each device and kind of access. Raises ClaimError if one does not exist or does not fit."""
    found: dict[_Key, Holding] = {}
    shared: dict[_Key, MpsConfig | None] = {}
    for each in allocated:
        device = node.devices.get(each.device)
        if device is None:
            raise ClaimError(
                f"claim {ref}: the device {each.device} does not exist on this node",
                hint="delete the pod, so that the scheduler selects another device",
            )
        slice_, mps = _sharing(each, device)
        key = each.device, each.is_admin, each.share_id
        if key in found and (found[key].time_slice, shared[key]) != (slice_, mps):
            raise ClaimError(f"claim {ref}: the configs of {each.device} differ between its requests")
        requests = (*(found[key].requests if key in found else ()), each.request)
        made = _hold(each, device, node.mig_gpus, tuple(dict.fromkeys(requests)))
        found[key], shared[key] = msgspec.structs.replace(made, time_slice=slice_), mps
    shares = plan_shares([(node.devices[key[0]], mps) for key, mps in shared.items() if mps is not None])
    return tuple(
        each if shared[key] is None else msgspec.structs.replace(each, mps=shares[each.device])
        for key, each in found.items()
    )


def _sharing(allocated: AllocatedDevice, device: Device) -> tuple[Interval | None, MpsConfig | None]:
    """Returns the time slice and the settings of MPS of a device. Raises ClaimError if the config does not fit."""
    config = select_config(allocated.configs, device.kind)
    if config is None:
        return None, None
    check_kind(config, device.kind, device.name)
    check_sharing(config, device.name)
    found = time_slice_of(config), mps_of(config)
    if allocated.is_admin and found != (None, None):
        raise ClaimError(
            f"the config {config.kind} of {device.name} sets `sharing`, but a claim with adminAccess changes nothing",
            hint="remove `sharing`",
        )
    return found


def find_conflicts(uid: str, holdings: Iterable[Holding], claims: Claims) -> Iterator[tuple[str, Holding]]:
    """Yields the UID and the device of each other claim that overlaps one of the holdings."""
    wanted = tuple(holdings)
    for other, claim in claims.items():
        if other != uid:
            yield from ((other, held) for held in claim.holdings if any(held.overlaps(each) for each in wanted))


def _hold(allocated: AllocatedDevice, device: Device, mig_gpus: Iterable[MigGpu], requests: tuple[str, ...]) -> Holding:
    return Holding(
        requests=requests,
        pool=allocated.pool,
        device=allocated.device,
        gpu=device.gpu.uuid,
        slices=_slices(device, mig_gpus),
        profile=None if device.profile is None else device.profile.number,
        mig=None if device.mig is None else device.mig.uuid,
        is_dynamic=device.counter_set is not None,
        is_admin=allocated.is_admin,
        share_id=allocated.share_id,
    )


def _slices(device: Device, mig_gpus: Iterable[MigGpu]) -> tuple[int, ...]:
    """The memory slices of a MIG device; empty for a full GPU. Raises ClaimError if they are unknown."""
    if device.placement is not None:
        return tuple(sorted(device.placement.slices))
    if device.mig is None:
        return ()
    for gpu in mig_gpus:
        for instance in gpu.instances:
            if gpu.uuid == device.gpu.uuid and instance.id == device.mig.gpu_instance:
                return tuple(sorted(instance.placement.slices))
    raise ClaimError(f"the memory slices of {device.name} cannot be read")
