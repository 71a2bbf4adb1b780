"""Adds to the facts of a Node the devices of its ResourceSlices. PURE."""

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence

import msgspec

from gpunode.cluster.claim_devices import GPU_CLASS, MIG_CLASS, ClaimDevice
from gpunode.cluster.fleet import NO_RESOURCES, GpuNode, Holder, Resource, has_gpus, is_gpu_resource
from node_core.scheduling.objects import Node


def needs_claims(node: GpuNode) -> bool:
    """Whether the GPUs of a Node can come from ResourceSlices: the Node has GPUs, but the kubelet has no devices for pods."""
    return node.has_gpus and not node.allocatable


def lacks_devices(node: Node) -> bool:
    """The same as `needs_claims`, for a Node that is not described."""
    allocatable = (amount for name, amount in node.status.allocatable.items() if is_gpu_resource(name))
    return has_gpus(node) and not any(str(amount) != "0" for amount in allocatable)


def add_known_claims(node: GpuNode, devices: Sequence[ClaimDevice], problem: str) -> GpuNode:
    """Returns the node with the devices of its ResourceSlices, if its GPUs can come from there.

    problem: why ResourceSlices or ResourceClaims are unknown; empty if they are known.
    """
    if not needs_claims(node):
        return node
    added = add_claims(node, devices)
    return msgspec.structs.replace(added, problems=(*added.problems, problem)) if problem else added


def add_claims(node: GpuNode, devices: Sequence[ClaimDevice]) -> GpuNode:
    """Returns the node with the devices of its ResourceSlices as resources with the names of their DeviceClasses.

    Without devices, the node is unchanged. Labels of the Node precede attributes of devices.
    """
    if not devices:
        return node
    registered = [each for each in node.resources if each.capacity]
    return msgspec.structs.replace(
        node,
        models=node.models or tuple(sorted({each.model for each in devices if each.model})),
        gpus=node.gpus or len({each.gpu for each in devices}),
        mig_layout=node.mig_layout or _mig_layout(devices),
        resources=(*registered, *_resources(devices)),
        holders=_merge_holders(node.holders, devices, {each.name for each in registered}),
        problems=(*(each for each in node.problems if each != NO_RESOURCES), *_problems(devices)),
    )


def _resources(devices: Iterable[ClaimDevice]) -> Iterator[Resource]:
    """Yields the full GPUs, and the MIG devices that exist without a claim.

    MIG devices that are created on demand are no resource: their number depends on the order of the claims. A GPU on which a claim has such
    a device counts as allocated.
    """
    listed = list(devices)
    used_sets = {name for each in listed if each.claims for name in each.counter_sets}
    for device_class in (GPU_CLASS, MIG_CLASS):
        counted = [each for each in listed if each.device_class == device_class and not each.is_on_demand]
        if counted:
            yield Resource(
                name=device_class,
                capacity=len(counted),
                allocatable=sum(not each.taints for each in counted),
                allocated=sum(bool(each.claims) or not used_sets.isdisjoint(each.counter_sets) for each in counted),
            )


def _mig_layout(devices: Iterable[ClaimDevice]) -> dict[str, int]:
    """Returns profile -> MIG devices that exist."""
    return dict(sorted(Counter(each.profile for each in devices if each.profile and each.is_shown).items()))


def _merge_holders(
    holders: Iterable[Holder], devices: Iterable[ClaimDevice], registered: set[str]
) -> tuple[Holder, ...]:
    """Returns the Pods by namespace and name. A request for a resource that the kubelet does not have is served by a claim."""
    found = {
        each.key: {name: amount for name, amount in each.resources.items() if name in registered} for each in holders
    }
    for device in devices:
        for pod in device.pods:
            resources = found.setdefault(pod, {})
            resources[device.device_class] = resources.get(device.device_class, 0) + 1
    split = ((key.partition("/"), resources) for key, resources in sorted(found.items()) if resources)
    return tuple(Holder(namespace=namespace, name=name, resources=has) for (namespace, _, name), has in split)


def _problems(devices: Iterable[ClaimDevice]) -> Iterator[str]:
    for each in devices:
        if each.taints and not each.is_on_demand:
            yield f"the device {each.name} has the taint {', '.join(each.taints)}"
