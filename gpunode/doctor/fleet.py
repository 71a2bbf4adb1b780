"""Diagnoses all Nodes through the person's kubeconfig. Sends only read requests.

The Nodes are read in pages. Of a healthy Node only a count remains, so the memory grows with the problems and with the pods of the agents.
"""

from collections.abc import Iterable
from dataclasses import dataclass

from gpunode.cluster.connection import Connection
from gpunode.cluster.lists import list_nodes
from gpunode.doctor.check import Check
from gpunode.doctor.deployed import read_deployed
from gpunode.doctor.remote_checks import diagnose_node
from gpunode.output.terminal import show_progress


@dataclass(frozen=True, slots=True, kw_only=True)
class NodeProblems:
    """problems: at least one, the cause first."""

    name: str
    problems: tuple[Check, ...]

    @property
    def reason(self) -> str:
        return reason_of(self.problems[0])

    @property
    def other_reasons(self) -> tuple[str, ...]:
        return tuple(each for each in dict.fromkeys(map(reason_of, self.problems)) if each != self.reason)


@dataclass(frozen=True, slots=True, kw_only=True)
class FleetReport:
    """healthy: the number of Nodes whose GPUs pods can get. without_gpus: Nodes that have no GPU, and no problem.

    nodes: those with problems, by name. notes: what could not be checked.
    """

    healthy: int
    without_gpus: int
    nodes: tuple[NodeProblems, ...]
    notes: tuple[Check, ...] = ()

    @property
    def summary(self) -> str:
        counts = {"with problems": len(self.nodes), "healthy": self.healthy, "without GPUs": self.without_gpus}
        parts = [f"{number} Node{'' if number == 1 else 's'} {words}" for words, number in counts.items() if number]
        return f"{', '.join(parts)}." if parts else "There are no Nodes."

    def by_reason(self) -> dict[str, tuple[NodeProblems, ...]]:
        """Returns the Nodes by the reason of their first problem. The reason of most Nodes is first."""
        groups: dict[str, list[NodeProblems]] = {}
        for each in self.nodes:
            groups.setdefault(each.reason, []).append(each)
        order = sorted(groups, key=lambda reason: (-len(groups[reason]), reason))
        return {reason: tuple(groups[reason]) for reason in order}


def diagnose_fleet(connection: Connection, selector: str, wall: float) -> FleetReport:
    """selector: a label selector of Nodes; empty for all. wall: Unix seconds. Raises NodeError."""
    healthy, without_gpus, nodes = 0, 0, []
    with show_progress("Reading the pods of the agents") as progress:
        deployed = read_deployed(connection.api, wall)
        for page in list_nodes(connection.api, selector=selector):
            for node in page:
                found = diagnose_node(node, deployed.deployment, deployed.pods_on(node.name), wall)
                if found.problems:
                    nodes.append(NodeProblems(name=node.name, problems=found.problems))
                else:
                    healthy, without_gpus = healthy + found.has_gpus, without_gpus + (not found.has_gpus)
            progress.update(f"Reading the Nodes: {healthy + without_gpus + len(nodes)}")
    return FleetReport(healthy=healthy, without_gpus=without_gpus, nodes=tuple(nodes), notes=deployed.notes)


def reason_of(check: Check) -> str:
    """Returns the reason of a problem, or the name of its check."""
    return check.reason or check.name


def list_todos(nodes: Iterable[NodeProblems]) -> tuple[str, ...]:
    """Returns what to do about the first problem of each Node, each sentence once."""
    return tuple(dict.fromkeys(each.problems[0].todo or "" for each in nodes))
