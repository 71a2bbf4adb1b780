"""Evaluates the filters of the scheduler for a Pod on all Nodes. PURE."""

from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from fractions import Fraction

from gpunode.why.causes import SELECTED, Candidate, CauseKind, find_causes
from gpunode.why.explanation import NodeGroup, Solution
from gpunode.why.groups import group_nodes
from gpunode.why.labels import describe_hopeless, find_hopeless
from gpunode.why.resources import describe_too_large, describe_unknown_resource, find_unknown_resources
from gpunode.why.solutions import find_solutions
from gpunode.why.subject import Snapshot
from node_core.scheduling.filters import find_refusals, render_reasons
from node_core.scheduling.objects import Pod


@dataclass(frozen=True, slots=True, kw_only=True)
class Evaluation:
    """fitting: the names of the Nodes that can run the Pod. total: the number of Nodes. solutions: empty if a Node can run the Pod.

    unlabelled: Nodes that could have GPUs for the Pod, and lack only the label for which the agents wait. filter_reasons: in the words of
    kube-scheduler -> number of Nodes.
    """

    fitting: tuple[str, ...]
    total: int
    findings: tuple[str, ...] = ()
    groups: tuple[NodeGroup, ...] = ()
    solutions: tuple[Solution, ...] = ()
    unlabelled: tuple[str, ...] = ()
    filter_reasons: Mapping[str, int] = field(default_factory=dict)

    @property
    def share(self) -> str:
        """`3 of 12 nodes`."""
        return f"{len(self.fitting)} of {self.total} node{'' if self.total == 1 else 's'}"


def evaluate(pod: Pod, requests: Mapping[str, Fraction], snapshot: Snapshot) -> Evaluation:
    candidates = tuple(_candidates(pod, requests, snapshot))
    fitting = tuple(each.name for each in candidates if not each.causes)
    solutions = () if fitting else find_solutions(pod, requests, candidates)
    return Evaluation(
        fitting=fitting,
        total=len(candidates),
        findings=() if fitting else tuple(_findings(pod, requests, snapshot)),
        groups=group_nodes(candidates, pod, nearest={name for each in solutions for name in each.nodes}),
        solutions=solutions,
        filter_reasons=Counter(reason for each in candidates for reason in render_reasons(each.refusals)),
        unlabelled=tuple(
            each.name for each in candidates if not fitting and _is_unlabelled(each, has_solutions=bool(solutions))
        ),
    )


def _is_unlabelled(candidate: Candidate, *, has_solutions: bool) -> bool:
    """With another solution, only a Node that the Pod selects."""
    return any(
        each.kind is CauseKind.NOT_LABELLED and (each.variant == SELECTED or not has_solutions)
        for each in candidate.causes
    )


def _candidates(pod: Pod, requests: Mapping[str, Fraction], snapshot: Snapshot) -> Iterator[Candidate]:
    for node in snapshot.nodes:
        used, holders = snapshot.used.get(node.name, {}), snapshot.holders.get(node.name, ())
        refusals = find_refusals(pod, requests, node, used)
        causes = find_causes(pod, node, refusals)
        yield Candidate(node=node, refusals=refusals, causes=causes, used=used, holders=holders)


def _findings(pod: Pod, requests: Mapping[str, Fraction], snapshot: Snapshot) -> Iterator[str]:
    """Yields what no Node has."""
    if not snapshot.nodes:
        return
    classes = None if snapshot.claims is None else snapshot.claims.classes
    unknown = find_unknown_resources(requests, snapshot.nodes)
    yield from (describe_unknown_resource(name, snapshot.nodes, classes) for name in unknown)
    yield from describe_too_large(requests, snapshot.nodes)
    yield from (describe_hopeless(each, snapshot.nodes) for each in find_hopeless(pod, snapshot.nodes))
