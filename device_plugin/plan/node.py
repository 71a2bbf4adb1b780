"""What a node advertises. PURE."""

from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import replace

from device_plugin.devices import Device, DeviceId, Offer, Plan, in_order
from device_plugin.plan.assign import assign_devices
from device_plugin.plan.found import NO_CAPS, find_devices
from device_plugin.plan.layout import judge_layout
from device_plugin.plan.lost import find_lost
from device_plugin.plan.options import PlanOptions
from device_plugin.plan.share import Pair, effective_sharing, share_devices
from node_core.domain.inventory import Inventory
from node_core.domain.resources import ResourceName
from node_core.domain.sharing import Sharing
from node_core.host.mig_caps import MigCaps

HINDERED = "MPS does not go with MIG, and a GPU is in MIG mode: nothing is shared."


def plan_devices(
    inventory: Inventory, options: PlanOptions, *, known: Plan | None = None, caps: MigCaps = NO_CAPS
) -> Plan:
    """What to advertise now. known: the last plan, of whose devices those that cannot be read any more stay, unhealthy."""
    present = find_devices(inventory, caps)
    lost = find_lost(_devices_of(known), inventory, present) if known else ()
    devices = in_order((*present, *lost))
    layout = judge_layout(inventory, options.mig_strategy, options.rules.names)
    assigned = assign_devices(devices, layout, options.rules)
    sharing = effective_sharing(options.sharing, inventory, devices)
    shared = share_devices(assigned.given, sharing)
    hindered = (HINDERED,) if options.sharing is not None and sharing is None else ()
    notes = (*_inventory_notes(inventory), *layout.notes, *assigned.notes, *hindered, *shared.notes)
    return Plan(
        resources=_offers(shared.pairs, sharing, options), notes=tuple(dict.fromkeys(notes)), reserved=assigned.reserved
    )


def fail_devices(plan: Plan, why: str) -> Plan:
    """The same devices, all unhealthy: the GPUs cannot be looked at."""
    failed = {
        resource: replace(offer, devices=tuple(replace(device, why_unhealthy=why) for device in offer.devices))
        for resource, offer in plan.resources.items()
    }
    return replace(plan, resources=failed)


def fail_shared(plan: Plan, problems: Mapping[ResourceName, str]) -> Plan:
    """With the shared devices of these resources unhealthy: what shares them is not there. problems: a sentence for each."""
    if not problems:
        return plan
    failed = {
        resource: replace(
            offer, devices=tuple(_failed_if_shared(device, problems[resource]) for device in offer.devices)
        )
        for resource, offer in plan.resources.items()
        if resource in problems
    }
    return replace(plan, resources={**plan.resources, **failed})


def fail_nameless(plan: Plan, named: Collection[str]) -> Plan:
    """With the devices unhealthy that no CDI specification has. named: by what NVML calls them."""
    why = "no CDI specification has it: the log says why"
    offers = {
        resource: replace(offer, devices=tuple(_failed_unless(device, named, why) for device in offer.devices))
        for resource, offer in plan.resources.items()
    }
    return replace(plan, resources=offers)


def _failed_unless(device: Device, named: Collection[str], why: str) -> Device:
    return device if device.uuid in named or not device.healthy else replace(device, why_unhealthy=why)


def _failed_if_shared(device: Device, why: str) -> Device:
    return device if device.replica is None or not device.healthy else replace(device, why_unhealthy=why)


def _devices_of(plan: Plan) -> tuple[Device, ...]:
    """All of them, replicas of one as one."""
    offered = (device for offer in plan.resources.values() for device in offer.devices)
    every = (*offered, *(each.device for each in plan.reserved))
    return tuple({
        device.uuid: replace(device, id=DeviceId(device.uuid), replica=None) for device in every
    }.values())  # fmt: skip


def _offers(pairs: Iterable[Pair], sharing: Sharing | None, options: PlanOptions) -> dict[ResourceName, Offer]:
    groups: dict[ResourceName, dict[DeviceId, Device]] = {}
    for resource, device in pairs:
        groups.setdefault(resource, {}).setdefault(device.id, device)
    return {resource: _offer(groups[resource].values(), sharing, options) for resource in sorted(groups)}


def _offer(devices: Iterable[Device], sharing: Sharing | None, options: PlanOptions) -> Offer:
    ordered = in_order(devices)
    if sharing is None or all(device.replica is None for device in ordered):
        return Offer(devices=ordered, policy=options.mig_policy)
    return Offer(
        devices=ordered,
        sharing=sharing.strategy,
        fail_requests_greater_than_one=sharing.fail_requests_greater_than_one,
        policy=options.policy,
    )


def _inventory_notes(inventory: Inventory) -> Iterator[str]:
    if inventory.why_empty:
        yield f"No GPUs: {inventory.why_empty}."
    yield from (f"GPU {fault.index} cannot be read: {fault.reason}." for fault in inventory.faults)
    for gpu in inventory.gpus:
        yield from (f"MIG device {gpu.index}:{fault.slot} cannot be read: {fault.reason}." for fault in gpu.mig_faults)
