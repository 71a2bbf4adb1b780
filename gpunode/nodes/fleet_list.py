"""Reads the GPU nodes of the cluster, page by page, with the Pods and claims that have their devices. Sends only read requests."""

from collections.abc import Iterator
from itertools import islice

from gpunode.cluster.claims import ClaimReader
from gpunode.cluster.fleet import GpuNode, describe_node
from gpunode.cluster.holders import HolderReader
from gpunode.cluster.lists import list_nodes
from gpunode.nodes.criteria import Criteria, Seen
from node_core.kube.http import ApiClient

CHUNK = 50
"""Nodes whose Pods are read before their rows are shown."""


def read_fleet(api: ApiClient, criteria: Criteria, seen: Seen, selector: str = "") -> Iterator[list[GpuNode]]:
    """Yields the nodes that match, by name, a few at a time. seen: also gets the others. selector: a label selector. Raises KubeError."""
    holders, claims = HolderReader(api), ClaimReader(api)
    for page in list_nodes(api, selector=selector):
        selected = []
        for node in page:
            described = claims.add_to(describe_node(node))
            seen.add(described)
            if criteria.matches(criteria.narrow(described)):
                selected.append(node)
        placed = zip(selected, holders.read(selected), strict=True)
        nodes = (claims.add_to(describe_node(node, pods)) for node, pods in placed)
        while chunk := list(islice(nodes, CHUNK)):
            yield [each for each in map(criteria.narrow, chunk) if criteria.matches(each)]
