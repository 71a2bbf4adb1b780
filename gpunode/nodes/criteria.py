"""Which nodes `gpunode nodes` shows, and why it shows none. PURE."""

from collections.abc import Iterator
from dataclasses import dataclass, field

import msgspec

from gpunode.cluster.fleet import GPU_DOMAIN, GpuNode, Resource
from node_core.schema import suggest

MAX_PRODUCTS = 8
"""Products in a message."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Criteria:
    """product: a part of the model or of the label `nvidia.com/gpu.product`; upper and lower case are equal. free: the least number of free
    devices of one resource, on a Node that gets pods. resource: only its devices count; `gpu` is short for `nvidia.com/gpu`.
    shows_all: also Nodes without GPUs.
    """

    product: str = ""
    free: int | None = None
    resource: str = ""
    is_unhealthy: bool = False
    shows_all: bool = False

    def narrow(self, node: GpuNode) -> GpuNode:
        """Returns the node with only the resource of the criteria."""
        if not self.resource:
            return node
        return msgspec.structs.replace(node, resources=tuple(each for each in node.resources if self._counts(each)))

    def matches(self, node: GpuNode) -> bool:
        """node: narrowed. Before the Pods are known, only the result False is certain."""
        return (
            (self.shows_all or node.has_gpus)
            and (not self.resource or bool(node.resources))
            and (not self.is_unhealthy or bool(node.unhealthy or node.problems))
            and self._matches_product(node)
            and self._matches_free(node)
        )

    def _counts(self, resource: Resource) -> bool:
        return resource.name in (self.resource, GPU_DOMAIN + self.resource)

    def _matches_product(self, node: GpuNode) -> bool:
        return self.product.lower() in "\n".join((node.product, *node.models)).lower()

    def _matches_free(self, node: GpuNode) -> bool:
        return self.free is None or (node.is_schedulable and any(each.free >= self.free for each in node.resources))


@dataclass(slots=True, kw_only=True)
class Seen:
    """What the Nodes have that were read, to explain why none is shown. nodes, gpu_nodes: their numbers."""

    nodes: int = 0
    gpu_nodes: int = 0
    products: set[str] = field(default_factory=set)
    resources: set[str] = field(default_factory=set)

    def add(self, node: GpuNode) -> None:
        self.nodes += 1
        self.gpu_nodes += node.has_gpus
        self.products.update(filter(None, (node.product, *node.models)))
        self.resources.update(each.name for each in node.resources)


def explain_nothing(seen: Seen, criteria: Criteria, selector: str) -> str:
    """Returns why no node is shown."""
    if not seen.nodes:
        return f"No Node matches {selector}." if selector else "The cluster has no Nodes."
    if not seen.gpu_nodes:
        return f"None of the {seen.nodes} Nodes has NVIDIA GPUs. --all shows them."
    sentence = f"None of the {seen.gpu_nodes} Nodes with GPUs {' and '.join(_lacks(seen, criteria))}."
    products = ", ".join(sorted(seen.products)[:MAX_PRODUCTS])
    return f"{sentence} Products: {products}." if criteria.product and products else sentence


def _lacks(seen: Seen, criteria: Criteria) -> Iterator[str]:
    if criteria.product:
        yield f"has a product with {criteria.product!r}"
    if criteria.free is not None:
        yield f"gets pods and has {criteria.free} free devices of {criteria.resource or 'one resource'}"
    elif criteria.resource:
        yield f"has the resource {criteria.resource}{suggest(criteria.resource, sorted(seen.resources))}"
    if criteria.is_unhealthy:
        yield "has a problem"
