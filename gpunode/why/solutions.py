"""Finds the smallest changes that place a Pod, and evaluates the filters of the scheduler again with each of them. PURE."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction
from itertools import islice, product

from gpunode.why.causes import AffinityCause, Candidate, Cause
from gpunode.why.changes import (
    AddToleration,
    Change,
    ChangeAffinity,
    ChangeSelector,
    FreeResource,
    RepairDevices,
    RepairNode,
    RequestLess,
    RequestOther,
    Trial,
    Uncordon,
)
from gpunode.why.explanation import Solution
from gpunode.why.options import Option, Question, list_affinity_options, list_options, make_question
from gpunode.why.steps import render_step
from node_core.scheduling.filters import find_refusals
from node_core.scheduling.objects import Pod

MOST_SOLUTIONS = 3
MOST_CHOICES = 64
"""Combinations of options for one Node."""
MARGIN = 3.0
"""Alternatives cost at most this much more than the best solution."""


@dataclass(slots=True, kw_only=True)
class Plan:
    """changes: in a fixed order. supporters: Nodes for which the plan was made."""

    changes: tuple[Change, ...]
    cost: float
    supporters: int = 0

    @property
    def order(self) -> tuple[float, int, int, str]:
        return self.cost, len(self.changes), -self.supporters, repr(self.changes)

    @property
    def form(self) -> tuple[str, ...]:
        """Alternatives have different forms."""
        return tuple(type(each).__name__ for each in self.changes)


def find_solutions(pod: Pod, requests: Mapping[str, Fraction], candidates: Sequence[Candidate]) -> tuple[Solution, ...]:
    """Returns the smallest changes: the best, then alternatives of another form that cost little more."""
    question = make_question(pod, requests, candidates)
    by_name = {each.name: each for each in candidates}
    solutions: list[Solution] = []
    found: list[Plan] = []
    for plan in sorted(_make_plans(candidates, question), key=lambda each: each.order):
        if found and plan.cost > found[0].cost + MARGIN:
            break
        if _is_new(plan, found) and (nodes := _fitting_nodes(plan.changes, question, candidates)):
            found.append(plan)
            solutions.append(Solution(steps=tuple(render_step(each, by_name) for each in plan.changes), nodes=nodes))
        if len(found) == MOST_SOLUTIONS:
            break
    return tuple(solutions)


def _is_new(plan: Plan, found: Sequence[Plan]) -> bool:
    """Whether a plan has another form than those before, and does more than add to one of them."""
    return not any(plan.form == each.form or set(each.changes) <= set(plan.changes) for each in found)


def _make_plans(candidates: Sequence[Candidate], question: Question) -> list[Plan]:
    plans: dict[tuple[Change, ...], Plan] = {}
    for candidate in candidates:
        for options in islice(_choices(candidate, question), MOST_CHOICES):
            changes = tuple(sorted(dict.fromkeys(each.change for each in options), key=_reading_order))
            plan = plans.setdefault(changes, Plan(changes=changes, cost=sum(each.cost for each in options)))
            plan.supporters += 1
    return list(plans.values())


def _reading_order(change: Change) -> tuple[int, str]:
    """Changes of the Pod come first, in the order of its fields."""
    kinds = (ChangeSelector, ChangeAffinity, RequestOther, RequestLess, AddToleration)
    return next((rank for rank, kind in enumerate(kinds) if isinstance(change, kind)), len(kinds)), repr(change)


def _choices(candidate: Candidate, question: Question) -> Iterator[tuple[Option, ...]]:
    """Yields one option for each cause of a Node, in all combinations."""
    lists = [tuple(_alternatives(each, candidate, question)) for each in candidate.causes]
    for choice in product(*lists):
        yield tuple(option for options in choice for option in options)


def _alternatives(cause: Cause, candidate: Candidate, question: Question) -> Iterator[tuple[Option, ...]]:
    """Yields the sets of options that each remove the cause."""
    if isinstance(cause, AffinityCause):
        yield from list_affinity_options(cause, candidate, question)
    else:
        yield from ((option,) for option in list_options(cause, candidate, question))


def _fitting_nodes(changes: tuple[Change, ...], question: Question, candidates: Sequence[Candidate]) -> tuple[str, ...]:
    """Returns the Nodes that could run the Pod after the changes. A change of a Node has no effect on other Nodes."""
    changed = {each.node for each in changes if isinstance(each, Uncordon | FreeResource | RepairDevices | RepairNode)}
    return tuple(
        each.name for each in candidates if (not changed or changed == {each.name}) and _fits(changes, question, each)
    )


def _fits(changes: tuple[Change, ...], question: Question, candidate: Candidate) -> bool:
    trial = Trial(pod=question.pod, requests=question.requests, node=candidate.node, used=candidate.used)
    for change in changes:
        trial = change.apply(trial)
    return not find_refusals(trial.pod, trial.requests, trial.node, trial.used)
