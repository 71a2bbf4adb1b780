"""The kubelet's topology manager with the policy single-numa-node. Only devices are considered. PURE.

Source: Kubernetes documentation, Control Topology Management Policies on a node; Device Plugins, integration with the Topology Manager.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from simulation.kubelet.devices import AdmissionError

SINGLE_NUMA_NODE = "single-numa-node"

NumaNodes = Mapping[str, tuple[int, ...]]
"""Device id -> NUMA nodes of the device, from its plugin."""


class TopologyError(AdmissionError):
    reason = "TopologyAffinityError"

    def __init__(self) -> None:
        Exception.__init__(self, "Resources cannot be allocated with Topology locality")


@dataclass(frozen=True, slots=True, kw_only=True)
class DeviceRequest:
    """A request for `count` of the available devices. available: healthy devices that are not allocated."""

    available: Sequence[str]
    count: int
    numa_nodes: NumaNodes


def choose_numa_node(requests: Iterable[DeviceRequest]) -> int | None:
    """Returns the first NUMA node that can serve all requests; None if no device has a NUMA node. Raises TopologyError."""
    sufficient = [_sufficient_nodes(request) for request in requests if any(request.numa_nodes.values())]
    if not sufficient:
        return None
    common = set.intersection(*sufficient)
    if not common:
        raise TopologyError
    return min(common)


def aligned(available: Sequence[str], numa_nodes: NumaNodes, node: int | None) -> tuple[str, ...]:
    """Returns the available devices of the NUMA node; all devices if no device has a NUMA node."""
    if node is None or not any(numa_nodes.values()):
        return tuple(available)
    return tuple(each for each in available if node in numa_nodes.get(each, ()))


def _sufficient_nodes(request: DeviceRequest) -> set[int]:
    nodes = {node for each in request.available for node in request.numa_nodes.get(each, ())}
    return {node for node in nodes if len(aligned(request.available, request.numa_nodes, node)) >= request.count}
