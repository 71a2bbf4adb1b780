"""What people see of an upgrade: the state of each Node, and why the Node waits or has failed. PURE."""

from collections.abc import Mapping
from dataclasses import dataclass

from gpu_operator.upgrade.budget import describe_wait
from gpu_operator.upgrade.decision import Decision
from gpu_operator.upgrade.facts import NodeFacts
from gpu_operator.upgrade.keys import BUSY, State
from gpu_operator.upgrade.plan import Assessment, assess
from gpu_operator.view import ClusterView


@dataclass(frozen=True, slots=True, kw_only=True)
class NodeUpgrade:
    """state: of the Node. reason: why the Node waits or has failed; empty for a Node that does neither."""

    node: str
    state: State
    reason: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class DriverUpgrade:
    """nodes: all Nodes of the driver, sorted by name. problems: why the upgrade policy is not usable; then all upgrades are paused."""

    nodes: tuple[NodeUpgrade, ...] = ()
    problems: tuple[str, ...] = ()

    @property
    def pending(self) -> tuple[NodeUpgrade, ...]:
        return tuple(each for each in self.nodes if each.state is State.REQUIRED)

    @property
    def busy(self) -> tuple[NodeUpgrade, ...]:
        return tuple(each for each in self.nodes if each.state in BUSY)

    @property
    def failed(self) -> tuple[NodeUpgrade, ...]:
        return tuple(each for each in self.nodes if each.state is State.FAILED)


def upgrade_status(view: ClusterView, now: float, working_since: float = 0.0) -> Mapping[str, DriverUpgrade]:
    """Returns the upgrade of each NVIDIADriver. now: Unix seconds. working_since: see decide.elapsed."""
    assessments, _ = assess(view, now, working_since)
    return {
        each.driver: DriverUpgrade(
            nodes=tuple(
                NodeUpgrade(node=node.name, state=node.state, reason=_describe(each, node, decision))
                for node, decision in each.nodes
            ),
            problems=each.problems,
        )
        for each in assessments
    }


def _describe(assessment: Assessment, node: NodeFacts, decision: Decision) -> str:
    if decision.is_candidate and assessment.budget is not None and assessment.policy is not None:
        return describe_wait(assessment.budget, assessment.policy)
    return decision.reason or node.reason
