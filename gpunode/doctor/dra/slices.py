"""Checks the ResourceSlices of the Node: their generation, their devices and the taints of these. PURE.

Source: Kubernetes API, ResourcePool: a scheduler uses the slices of the newest generation, and only if all of them are there.
"""

from collections.abc import Collection, Iterable, Iterator, Mapping

from dra_driver.devices.model import Device
from dra_driver.names import DRIVER
from dra_driver.offer import find_plugin_resources, plugin_problem
from dra_driver.slices.plan import is_slice_of
from gpu_core.pods.resource_slices import NamedSlice, SliceDevice, select_current
from gpunode.doctor.check import Check, note, ok, problem
from gpunode.doctor.dra.presence import NodeSlices
from node_core.scheduling.objects import Node, Taint

REASONS: Mapping[str, str] = {
    "xid": "the Xid {} is not cleared",
    "gpu-lost": "NVML cannot read the GPU",
    "recovery-action": "the driver requests the recovery action {}",
    "row-remap-failed": "a row remapping failed",
    "device-nodes-missing": "a device node of the GPU is missing",
    "recovering": "the reasons are gone, and the GPU returns after its hold-down",
}
"""The key of a taint without the domain -> why the driver has set the taint."""
SHOWN = 4
READY = "read the log of gpu-dra-driver, and its /readyz: the check slices states why they are not written"
WAIT = "gpu-dra-driver writes the slices again after a change. Wait some seconds and run doctor again. If the problem stays, read its log"


def check_slices(found: NodeSlices, node: Node | None, *, is_expected: bool) -> Iterator[Check]:
    """Checks that the slices exist and are complete. is_expected: the node has GPUs, and the driver may run."""
    if found.problem is not None or node is None:
        yield note("slices", f"unknown: {found.problem or 'the Node was not read'}")
        return
    yield from _check_writers(found.slices, node.metadata.name)
    conflict = plugin_problem(find_plugin_resources(node.status.allocatable))
    if conflict is not None:
        what, _, todo = conflict.partition(". ")
        yield problem("slices", what, todo[:1].lower() + todo[1:])
    elif not found.slices:
        sentence = f"the Node has no ResourceSlice of {DRIVER}, so no claim gets its GPUs"
        yield problem("slices", sentence, READY) if is_expected else note("slices", sentence)
    else:
        yield _check_generation(found.slices)


def _check_writers(slices: Iterable[NamedSlice], node: str) -> Iterator[Check]:
    foreign = [each.metadata.name for each in slices if not is_slice_of(node, each.metadata.name)]
    if foreign:
        sentence = f"another driver with the name {DRIVER} has written {_some(foreign)}"
        todo = "remove NVIDIA's DRA driver from this node: both would hand out the same GPUs"
        yield problem("slices", sentence, todo)


def _check_generation(slices: Collection[NamedSlice]) -> Check:
    current = select_current(slices)
    newest = current[0].spec.pool.generation
    expected = max(each.spec.pool.resource_slice_count for each in current)
    old = [each.metadata.name for each in slices if each not in current]
    if len(current) != expected:
        sentence = f"the pool has {len(current)} of {expected} ResourceSlices of its generation {newest}, so no device can be allocated"
        return problem("slices", sentence, WAIT)
    if old:
        return problem(
            "slices", f"{_some(old)} are of an older generation than {newest}, and the scheduler ignores them", WAIT
        )
    count = sum(len(each.spec.devices) for each in current)
    slices_ = f"{len(current)} ResourceSlice{'s' if len(current) > 1 else ''}"
    return ok("slices", f"{slices_} of the generation {newest} offer{'' if len(current) > 1 else 's'} {count} devices")


def has_counters(slices: Collection[NamedSlice]) -> bool:
    """Whether the slices offer MIG devices that are created on demand."""
    return any(device.content.consumes_counters for device in _devices(slices))


def check_devices(
    slices: Collection[NamedSlice], expected: Collection[Device], *, has_faults: bool, is_unhealthy: bool
) -> Iterator[Check]:
    """Compares the devices of the slices with those of the hardware.

    has_faults: some GPUs cannot be read, and stay devices. is_unhealthy: another check states that a GPU is not healthy.
    """
    offered = [each.name for each in _devices(slices)]
    wanted = {each.name for each in expected if each.placement is None or has_counters(slices)}
    if missing := sorted(wanted.difference(offered)):
        sentence = f"the ResourceSlices lack {_some(missing)}, which this node has"
        has_taints = any(device.content.taints for device in _devices(slices))
        if is_unhealthy and not has_taints:
            yield note(
                "devices", f"{sentence}: an API server without device taints gets no devices that are not healthy"
            )
        else:
            yield problem("devices", sentence, WAIT)
    if unknown := set(offered) - wanted:
        sentence = f"the ResourceSlices have {_some(sorted(unknown))}, which doctor does not find on this node"
        if has_faults or unknown <= _lost(slices):
            yield note("devices", f"{sentence}: devices of a GPU that cannot be read stay")
        else:
            yield problem("devices", sentence, WAIT)
    if not missing and not unknown:
        yield ok("devices", "the devices of the ResourceSlices are those of the GPUs of this node")


def check_device_taints(slices: Collection[NamedSlice], *, is_explained: bool) -> Iterator[Check]:
    """Yields a check for each taint, with its devices. is_explained: another check states what an unhealthy GPU needs."""
    found: dict[Taint, list[str]] = {}
    for device in _devices(slices):
        for taint in device.content.taints:
            found.setdefault(Taint(key=taint.key, value=taint.value, effect=taint.effect), []).append(device.name)
    for taint, devices in found.items():
        value = f"={taint.value}" if taint.value else ""
        reason = REASONS.get(taint.key.removeprefix(f"{DRIVER}/"), "another program or a person has set the taint")
        sentence = f"{_some(devices)}: {taint.key}{value}:{taint.effect}: {reason.format(taint.value)}"
        if is_explained or taint.key == f"{DRIVER}/recovering" or not taint.key.startswith(f"{DRIVER}/"):
            yield note("device taints", sentence)
        else:
            todo = "drain the GPU and do what its reason requires (docs/reference/health.md); the taint goes away after the recovery"
            yield problem("device taints", sentence, todo)


def _lost(slices: Collection[NamedSlice]) -> set[str]:
    """Returns the devices that the driver has tainted because it cannot read their GPU."""
    key = f"{DRIVER}/gpu-lost"
    return {each.name for each in _devices(slices) if any(taint.key == key for taint in each.content.taints)}


def _devices(slices: Collection[NamedSlice]) -> Iterator[SliceDevice]:
    return (device for each in select_current(slices) for device in each.spec.devices)


def _some(names: Collection[str]) -> str:
    """Returns the first names, and how many more there are."""
    listed = list(names)
    more = len(listed) - SHOWN
    return ", ".join(listed[:SHOWN]) + (f" and {more} more" if more > 0 else "")
