"""Assigns Nodes to NVIDIADrivers. PURE.

A Node that several objects select keeps the driver that it has, and is named in the status of each of them. The object `default` is the
exception: it gets only the Nodes that no other object selects. An object with an unusable spec selects the Nodes that have its driver.
"""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field

from gpu_operator.plan.node_facts import NodeFacts
from gpu_operator.spec import DriverSpec
from node_core.scheduling.filters import find_unmatched
from node_core.scheduling.objects import Affinity, Metadata, Node, Pod, PodSpec

DEFAULT = "default"
"""The object that yields to the others."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Assignment:
    """owners: Node -> the only object that selects it. conflicts: Node -> the objects that select it, sorted.

    Contains only Nodes that have a GPU, have no driver of their own, and are not opted out.
    """

    owners: Mapping[str, str] = field(default_factory=dict)
    conflicts: Mapping[str, tuple[str, ...]] = field(default_factory=dict)


def assign_nodes(nodes: Iterable[NodeFacts], specs: Mapping[str, DriverSpec | None]) -> Assignment:
    """specs: name of an object -> its spec; None if the spec is not usable."""
    selectors = {name: node_selector(name, specs[name]) for name in sorted(specs)}
    owners: dict[str, str] = {}
    conflicts: dict[str, tuple[str, ...]] = {}
    for node in nodes:
        if not node.has_gpu or node.is_opted_out or node.has_own_driver:
            continue
        match _claimants(node, selectors):
            case ():
                pass
            case (only,):
                owners[node.name] = only
            case several:
                conflicts[node.name] = several
    return Assignment(owners=owners, conflicts=conflicts)


def _claimants(node: NodeFacts, selectors: Mapping[str, Callable[[NodeFacts], bool]]) -> tuple[str, ...]:
    found = tuple(name for name, selects in selectors.items() if selects(node))
    return tuple(name for name in found if name != DEFAULT) or found


def node_selector(name: str, spec: DriverSpec | None) -> Callable[[NodeFacts], bool]:
    """Returns the function that decides whether an object selects a Node."""
    if spec is None:
        return lambda node: node.owner == name
    if not spec.node_selector and spec.node_affinity.required_during_scheduling_ignored_during_execution is None:
        return lambda _: True
    pod = Pod(
        metadata=Metadata(),
        spec=PodSpec(node_selector=spec.node_selector, affinity=Affinity(node_affinity=spec.node_affinity)),
    )
    return lambda node: find_unmatched(pod, Node(metadata=Metadata(name=node.name, labels=dict(node.labels)))) is None
