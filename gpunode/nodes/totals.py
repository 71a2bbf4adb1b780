"""The totals of the shown nodes. PURE."""

from dataclasses import dataclass, field

from gpunode.cluster.fleet import GpuNode


@dataclass(slots=True, kw_only=True)
class Totals:
    """nodes: their number. with_problems: the number of Nodes. free, allocatable: resource name -> devices. out_of_reach: free devices of
    Nodes that get no pods.
    """

    nodes: int = 0
    with_problems: int = 0
    free: dict[str, int] = field(default_factory=dict)
    allocatable: dict[str, int] = field(default_factory=dict)
    unhealthy: int = 0
    out_of_reach: int = 0

    def add(self, node: GpuNode) -> None:
        self.nodes += 1
        self.with_problems += bool(node.problems)
        self.unhealthy += node.unhealthy
        self.out_of_reach += 0 if node.is_schedulable else node.free
        for each in node.resources:
            self.free[each.name] = self.free.get(each.name, 0) + each.free
            self.allocatable[each.name] = self.allocatable.get(each.name, 0) + each.allocatable

    def render(self) -> str:
        """Returns for example `3 nodes, 1 with problems. Free: 12 of 24 nvidia.com/gpu. Unhealthy: 1.`"""
        nodes = f"{self.nodes} node{'' if self.nodes == 1 else 's'}"
        problems = f", {self.with_problems} with problems" if self.with_problems else ""
        free = ", ".join(f"{count} of {self.allocatable[name]} {name}" for name, count in sorted(self.free.items()))
        reach = f" ({self.out_of_reach} on nodes that get no pods)" if self.out_of_reach else ""
        unhealthy = f" Unhealthy: {self.unhealthy}." if self.unhealthy else ""
        return f"{nodes}{problems}." + (f" Free: {free}{reach}." if free else "") + unhealthy
