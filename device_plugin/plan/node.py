"""Plans the resources that a node advertises. PURE."""

from collections.abc import Iterable, Iterator

from device_plugin.devices import Device, DeviceId, Plan, ResourceOffer, sort_devices
from device_plugin.plan.assign import assign_devices
from device_plugin.plan.layout import plan_layout
from device_plugin.plan.lost import list_lost_devices
from device_plugin.plan.options import PlanOptions
from device_plugin.plan.present import NO_CAPS, list_present_devices
from device_plugin.plan.share import Pair, effective_sharing, share_devices
from gpu_core.domain.inventory import Inventory
from gpu_core.domain.resources import ResourceName
from gpu_core.domain.sharing import Sharing
from gpu_core.host.mig_caps import MigCaps
from node_core.values import replace

MPS_WITH_MIG = "A GPU is in MIG mode, and MPS does not support MIG: no device is shared."


def plan_devices(
    inventory: Inventory, options: PlanOptions, *, known: Plan | None = None, caps: MigCaps = NO_CAPS
) -> Plan:
    """Plans the devices to advertise. known: the previous plan; its devices that can no longer be read remain, as unhealthy devices."""
    present = list_present_devices(inventory, caps)
    lost = list_lost_devices(_devices_of(known), inventory, present) if known else ()
    devices = sort_devices((*present, *lost))
    layout = plan_layout(inventory, options.mig_strategy, options.rules.names)
    assigned = assign_devices(devices, layout, options.rules)
    sharing = effective_sharing(options.sharing, inventory, devices)
    shared = share_devices(assigned.assigned, sharing)
    mps_notes = (MPS_WITH_MIG,) if options.sharing is not None and sharing is None else ()
    notes = (*_inventory_notes(inventory), *layout.notes, *assigned.notes, *mps_notes, *shared.notes)
    return Plan(
        resources=_offers(shared.pairs, sharing, options), notes=tuple(dict.fromkeys(notes)), reserved=assigned.reserved
    )


def _devices_of(plan: Plan) -> tuple[Device, ...]:
    """Returns all devices of a plan, without replicas."""
    offered = (device for offer in plan.resources.values() for device in offer.devices)
    every = (*offered, *(each.device for each in plan.reserved))
    return tuple({
        device.uuid: replace(device, id=DeviceId(device.uuid), replica=None) for device in every
    }.values())  # fmt: skip


def _offers(pairs: Iterable[Pair], sharing: Sharing | None, options: PlanOptions) -> dict[ResourceName, ResourceOffer]:
    groups: dict[ResourceName, dict[DeviceId, Device]] = {}
    for resource, device in pairs:
        groups.setdefault(resource, {}).setdefault(device.id, device)
    return {resource: _offer(groups[resource].values(), sharing, options) for resource in sorted(groups)}


def _offer(devices: Iterable[Device], sharing: Sharing | None, options: PlanOptions) -> ResourceOffer:
    ordered = sort_devices(devices)
    if sharing is None or all(device.replica is None for device in ordered):
        return ResourceOffer(devices=ordered, policy=options.mig_policy)
    return ResourceOffer(
        devices=ordered,
        sharing=sharing.strategy,
        # with one replica, each device is a whole GPU
        fail_requests_greater_than_one=sharing.fail_requests_greater_than_one and any(each.replica for each in ordered),
        policy=options.policy,
    )


def _inventory_notes(inventory: Inventory) -> Iterator[str]:
    if inventory.why_empty:
        yield f"No GPUs: {inventory.why_empty}."
    yield from (f"{fault.name} cannot be read: {fault.reason}." for fault in inventory.faults)
    for gpu in inventory.gpus:
        yield from (
            f"MIG device {gpu.index}:{fault.slot} of {gpu.name} cannot be read: {fault.reason}."
            for fault in gpu.mig_faults
        )
