"""Resources that Nodes have too little of, or do not offer. PURE."""

import re
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from fractions import Fraction

from gpunode.cluster.fleet import is_gpu_resource
from gpunode.why.amounts import count, render_amount, render_names, render_range
from gpunode.why.causes import Candidate, CauseKind, offered_resources
from node_core.domain.conditions import GPU_READY, GPU_VALIDATED
from node_core.scheduling.filters import Insufficient
from node_core.scheduling.objects import Condition, Node
from node_core.scheduling.requests import DEVICE_CLASS, PODS, is_counted_in_devices, parse_amounts
from node_core.schema import similar

MIG = "nvidia.com/mig-"
MIG_STRATEGY = "nvidia.com/mig.strategy"
_MIG_PROFILE = re.compile(r"mig-(\d+)g\.(\d+)gb")
NO_PLUGIN = "the condition GPUReady is missing: gpu-device-plugin does not run on this node"
MOST_HOLDERS = 6
MOST_RESOURCES = 6


def describe_shortage(kind: CauseKind, shortages: Sequence[Insufficient], nodes: Sequence[Node]) -> str:
    """Describes too little of one resource on Nodes. shortages: in the order of the Nodes."""
    first = shortages[0]
    name, requested = first.resource, render_amount(first.resource, first.requested)
    total = render_range(name, [each.allocatable for each in shortages])
    if name == PODS:
        return f"already has {total} pods, the most that it accepts"
    free = render_range(name, [each.free for each in shortages])
    if kind is CauseKind.TOO_FEW:
        return f"{name}: {requested} requested, {render_range(name, capacities(name, nodes))} installed, {free} free"
    unhealthy = [most - each.allocatable for most, each in zip(capacities(name, nodes), shortages, strict=True)]
    more = f", {render_range(name, unhealthy)} unhealthy" if any(unhealthy) and is_counted_in_devices(name) else ""
    return f"{name}: {requested} requested, {free} of {total} free{more}"


def allocatable_of(node: Node, resource: str) -> Fraction:
    return parse_amounts(node.status.allocatable or node.status.capacity).get(resource, Fraction(0))


def capacities(resource: str, nodes: Iterable[Node]) -> list[Fraction]:
    """Returns the capacity of each Node. A Node without this capacity has what is allocatable."""
    return [
        max(parse_amounts(part).get(resource, Fraction(0)) for part in (node.status.capacity, node.status.allocatable))
        for node in nodes
    ]


def list_holders(candidates: Sequence[Candidate], resource: str, most: int) -> tuple[str, ...]:
    """Returns which Pods have the devices, for the Nodes with the most free devices."""
    by_free = sorted(candidates, key=lambda each: (each.used.get(resource, Fraction(0)), each.name))
    return tuple(
        f"{each.name}: used by {words}" for each in by_free[:most] if (words := render_holders(each, resource))
    )


def _held(candidate: Candidate, resource: str) -> list[tuple[int, str]]:
    held = [(each.resources.get(resource, 0), each.key) for each in candidate.holders]
    return sorted((each for each in held if each[0]), key=lambda each: (-each[0], each[1]))


def render_holders(candidate: Candidate, resource: str) -> str:
    """Returns `team/a (4), team/b (2)`, the largest first; empty if no Pod has such devices."""
    return render_names([f"{key} ({amount})" for amount, key in _held(candidate, resource)], MOST_HOLDERS)


def select_unhealthy(resource: str, nodes: Sequence[Node]) -> list[Node]:
    """Returns the Nodes with devices that are installed and not allocatable."""
    amounts = zip(nodes, capacities(resource, nodes), strict=True) if is_counted_in_devices(resource) else ()
    return [node for node, capacity in amounts if allocatable_of(node, resource) < capacity]


def list_problems(nodes: Sequence[Node]) -> tuple[str, ...]:
    """Returns the condition GPUReady of each Node that has one."""
    conditions = ((node.name, node.condition(GPU_READY)) for node in nodes)
    return tuple(f"{name}: {_render_condition(found)}" for name, found in conditions if found is not None)


def describe_missing_plugin(nodes: Sequence[Node]) -> tuple[str, ...]:
    """Returns why each Node has GPUs but no GPU resource: the plugin's reason, or without the plugin the stage that fails."""
    conditions = [(node.name, node.condition(GPU_READY) or _find_failed_stage(node)) for node in nodes]
    return tuple(f"{name}: {NO_PLUGIN if found is None else _render_condition(found)}" for name, found in conditions)


def _find_failed_stage(node: Node) -> Condition | None:
    found = node.condition(GPU_VALIDATED)
    return found if found is not None and found.status != "True" else None


def describe_absence(resource: str, nodes: Sequence[Node]) -> str:
    """Describes what Nodes offer in place of a resource."""
    offered = [offered_resources(node) for node in nodes] if is_gpu_resource(resource) else []
    names = sorted({name for each in offered for name in each})
    if not names:
        return f"does not offer {resource}"
    texts = [f"{name} ({render_range(name, [each[name] for each in offered if name in each])})" for name in names]
    return f"offers {render_names(texts, MOST_RESOURCES)}, not {resource}"


def describe_unknown_resource(resource: str, nodes: Sequence[Node], classes: Collection[str] | None = None) -> str:
    """States that no Node offers a resource, and what is nearest. classes: the names of the DeviceClasses; None if they are unknown."""
    if classes is not None and resource.startswith(DEVICE_CLASS) and resource.removeprefix(DEVICE_CLASS) not in classes:
        return _describe_unknown_class(resource, classes)
    counts = count_offers(nodes)
    near = nearest_resource(resource, counts)
    found = (
        f" Did you mean {near}? {count(counts[near], 'node').capitalize()} offer{_s(counts[near])} it." if near else ""
    )
    return f"No node offers {resource}.{found}{_explain_name(resource, counts, nodes)}"


def _describe_unknown_class(resource: str, classes: Collection[str]) -> str:
    start = f"No DeviceClass has the name {resource.removeprefix(DEVICE_CLASS)}."
    if not classes:
        return f"{start} The cluster has none."
    near = nearest_class(resource, classes)
    question = f" Did you mean {near}?" if near else ""
    return f"{start}{question} The DeviceClasses are: {render_names(sorted(classes), MOST_RESOURCES)}."


def nearest_class(resource: str, classes: Collection[str]) -> str | None:
    """Returns the resource of the DeviceClass with the most similar name, for the resource of a DeviceClass that does not exist."""
    name = resource.removeprefix(DEVICE_CLASS)
    if name == resource or name in classes:
        return None
    near = similar(name, sorted(classes))
    return f"{DEVICE_CLASS}{near}" if near else None


def count_offers(nodes: Iterable[Node]) -> dict[str, int]:
    """Returns resource -> the number of Nodes that have it."""
    counts: dict[str, int] = {}
    for node in nodes:
        for name, amount in parse_amounts(node.status.capacity or node.status.allocatable).items():
            if is_counted_in_devices(name) and amount > 0:
                counts[name] = counts.get(name, 0) + 1
    return dict(sorted(counts.items()))


def nearest_resource(resource: str, offered: Iterable[str]) -> str | None:
    """Returns the most similar name; for a MIG device the smallest MIG device that is at least as large."""
    names = {each.rpartition("/")[2]: each for each in offered if each != resource}
    wanted = resource.rpartition("/")[2]
    if _profile(wanted) is None:
        near = similar(wanted, [each for each in names if _profile(each) is None])
        return names[near] if near is not None else None
    sizes = sorted((size, each) for each in names if (size := _profile(each)) is not None)
    larger = [each for size, each in sizes if _covers(size, _profile(wanted))]
    nearest = larger or [each for _, each in reversed(sizes)]
    return names[nearest[0]] if nearest else None


def _profile(name: str) -> tuple[int, int] | None:
    """Returns the slices and the GB of `mig-1g.5gb`; None for other names."""
    match = _MIG_PROFILE.match(name)
    return (int(match[1]), int(match[2])) if match else None


def _covers(size: tuple[int, int], wanted: tuple[int, int] | None) -> bool:
    return wanted is not None and size[0] >= wanted[0] and size[1] >= wanted[1]


def _explain_name(resource: str, counts: Mapping[str, int], nodes: Sequence[Node]) -> str:
    """Explains which setting gives a resource its name."""
    if resource.startswith(MIG):
        if any(name.startswith(MIG) for name in counts):
            return " A node offers only the MIG profiles that its GPUs are divided into."
        strategies = {node.labels.get(MIG_STRATEGY) for node in nodes}
        if "single" in strategies:
            return " With the MIG strategy single, MIG devices are nvidia.com/gpu. Only the strategy mixed names them by profile."
        return " Such a resource needs GPUs in MIG mode and the MIG strategy mixed."
    if resource.endswith(".shared"):
        return " A name that ends with .shared needs shared GPUs and `renameByDefault: true` in the config of the device plugin."
    return ""


def find_unknown_resources(requests: Mapping[str, Fraction], nodes: Sequence[Node]) -> Iterator[str]:
    """Yields the requested resources that no Node offers."""
    counts = count_offers(nodes)
    yield from (
        name
        for name, amount in sorted(requests.items())
        if amount and is_counted_in_devices(name) and name not in counts
    )


def describe_too_large(requests: Mapping[str, Fraction], nodes: Sequence[Node]) -> Iterator[str]:
    """Yields the resources of which the Pod requests more than any Node has."""
    for name, requested in sorted(requests.items()):
        most = max(capacities(name, nodes), default=Fraction(0)) if is_counted_in_devices(name) else Fraction(0)
        if 0 < most < requested:
            yield (
                f"The pod requests {render_amount(name, requested)} {name}, but the largest node has {render_amount(name, most)}."
                " A pod runs on one node. Use several pods with fewer devices each."
            )


def _render_condition(condition: Condition) -> str:
    return f"{condition.type} is {condition.status}, {condition.reason}: {condition.message}".rstrip(": .")


def _s(number: int) -> str:
    return "s" if number == 1 else ""
