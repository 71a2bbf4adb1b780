"""Plans the next steps of all upgrades from one view of the cluster. PURE."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from gpu_operator.spec import UpgradePolicy, decode_driver
from gpu_operator.upgrade.budget import Budget, read_budget, select_starts
from gpu_operator.upgrade.change import render_change, render_release
from gpu_operator.upgrade.decide import decide
from gpu_operator.upgrade.decision import Decision
from gpu_operator.upgrade.facts import NodeFacts, read_fleet
from gpu_operator.upgrade.keys import State
from gpu_operator.upgrade.steps import Candidate, NodeStep, Starts, Steps
from gpu_operator.view import ClusterView


@dataclass(frozen=True, slots=True, kw_only=True)
class Assessment:
    """The Nodes of one driver with the decision about each. policy: None if the spec is not valid; then no Node changes.

    problems: of the spec, one sentence each.
    """

    driver: str
    policy: UpgradePolicy | None
    problems: tuple[str, ...]
    nodes: tuple[tuple[NodeFacts, Decision], ...]
    budget: Budget | None = None


def plan_upgrades(view: ClusterView, now: float, working_since: float = 0.0) -> Steps:
    """Returns the next steps. The view contains all pods of the Nodes that `upgrading_nodes` selects.

    now: Unix seconds. working_since: see decide.elapsed.
    """
    assessments, released = assess(view, now, working_since)
    steps = [_release(node) for node in released]
    starts = []
    for each in assessments:
        steps += _plan_nodes(each, now)
        if (start := _plan_starts(each, now)) is not None:
            starts.append(start)
    after = min(
        (decision.after_s for each in assessments for _, decision in each.nodes if decision.after_s is not None),
        default=None,
    )
    return Steps(at=now, nodes=tuple(step for step in steps if not step.is_empty), starts=tuple(starts), after_s=after)


def assess(view: ClusterView, now: float, working_since: float) -> tuple[tuple[Assessment, ...], tuple[NodeFacts, ...]]:
    """Returns the assessment of each driver, sorted, and the Nodes that no upgrade concerns any more."""
    fleet = read_fleet(view)
    assessments, released = [], list(fleet.released)
    for name, nodes in sorted(fleet.nodes.items()):
        decoded = decode_driver(view.drivers[name])
        policy = None if decoded.spec is None else decoded.spec.upgrade_policy
        if policy is not None and not policy.auto_upgrade:
            released += nodes
        listed = () if policy is not None and not policy.auto_upgrade else nodes
        assessments.append(_assess(name, policy, decoded.problems, listed, now, working_since))
    return tuple(assessments), tuple(released)


def _assess(
    name: str,
    policy: UpgradePolicy | None,
    problems: tuple[str, ...],
    nodes: Iterable[NodeFacts],
    now: float,
    working_since: float,
) -> Assessment:
    listed = tuple(nodes)
    if policy is None:
        held = tuple((node, Decision(state=node.state, reason=node.reason)) for node in listed)
        return Assessment(driver=name, policy=None, problems=problems, nodes=held)
    decided = tuple((node, decide(node, policy, now, working_since)) for node in listed)
    return Assessment(driver=name, policy=policy, problems=problems, nodes=decided, budget=read_budget(listed, policy))


def _plan_nodes(assessment: Assessment, now: float) -> Iterator[NodeStep]:
    if assessment.policy is not None:
        yield from (_step(node, decision, now) for node, decision in assessment.nodes)


def _plan_starts(assessment: Assessment, now: float) -> Starts | None:
    """Returns the Nodes that may start, or None if none may. A Node that is cordoned already comes first.

    A Node whose state upgrade-required is not dated yet gets this write first: only one write of a Node fits its version.
    """
    budget = assessment.budget
    if budget is None:
        return None
    candidates = [
        Candidate(step=_step(node, Decision(state=State.CORDON), now), is_unavailable=node.name in budget.unavailable)
        for node, decision in assessment.nodes
        if decision.is_candidate and render_change(node, decision, now) is None
    ]
    starts = Starts(
        candidates=tuple(sorted(candidates, key=lambda each: (not each.is_unavailable, each.step.node))),
        parallel=budget.parallel,
        room=budget.room,
        members=budget.members,
        started=budget.started,
        unavailable=budget.unavailable,
    )
    return starts if any(select_starts(starts, budget.started)) else None


def _step(node: NodeFacts, decision: Decision, now: float) -> NodeStep:
    return NodeStep(
        node=node.name,
        resource_version=node.resource_version,
        patch=render_change(node, decision, now),
        state=None if node.label == decision.state else decision.state,
        reason=decision.reason,
        written_reason=node.reason,
        evict=decision.evict,
        delete=decision.delete,
    )


def _release(node: NodeFacts) -> NodeStep:
    return NodeStep(node=node.name, resource_version=node.resource_version, patch=render_release(node))
