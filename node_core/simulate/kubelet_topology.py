"""What the kubelet's topology manager does with the policy single-numa-node, for devices alone. PURE.

Source: Kubernetes documentation, Control Topology Management Policies on a node; Device Plugins, integration with the Topology Manager.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from node_core.simulate.kubelet_devices import AdmissionError

SINGLE_NUMA_NODE = "single-numa-node"

NumaNodes = Mapping[str, tuple[int, ...]]
"""Device id -> the NUMA nodes that its plugin names."""


class TopologyError(AdmissionError):
    reason = "TopologyAffinityError"

    def __init__(self) -> None:
        Exception.__init__(self, "Resources cannot be allocated with Topology locality")


@dataclass(frozen=True, slots=True, kw_only=True)
class Wish:
    """So many of these devices, which are free and healthy."""

    available: Sequence[str]
    count: int
    numa_nodes: NumaNodes


def choose_numa_node(wishes: Iterable[Wish]) -> int | None:
    """The first NUMA node that alone has enough for all wishes; None where no plugin names any. Raises TopologyError."""
    enough = [_sufficient(wish) for wish in wishes if any(wish.numa_nodes.values())]
    if not enough:
        return None
    common = set.intersection(*enough)
    if not common:
        raise TopologyError
    return min(common)


def aligned(available: Sequence[str], numa_nodes: NumaNodes, node: int | None) -> tuple[str, ...]:
    """Those of the node; all of them where no plugin names any node."""
    if node is None or not any(numa_nodes.values()):
        return tuple(available)
    return tuple(each for each in available if node in numa_nodes.get(each, ()))


def _sufficient(wish: Wish) -> set[int]:
    nodes = {node for each in wish.available for node in wish.numa_nodes.get(each, ())}
    return {node for node in nodes if len(aligned(wish.available, wish.numa_nodes, node)) >= wish.count}
