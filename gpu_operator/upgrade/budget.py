"""How many Nodes of a driver may start their upgrade. PURE.

A Node is unavailable if it is unschedulable, not Ready, or if its upgrade is in progress. Nodes that were unavailable before count.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from gpu_operator.spec import UpgradePolicy
from gpu_operator.upgrade.facts import NodeFacts
from gpu_operator.upgrade.keys import BUSY, State
from gpu_operator.upgrade.steps import NodeStep, Starts


@dataclass(frozen=True, slots=True, kw_only=True)
class Budget:
    """limit: how many Nodes may be unavailable. parallel: how many more upgrades may be in progress; None for no limit."""

    limit: int
    parallel: int | None
    members: frozenset[str]
    started: frozenset[str]
    unavailable: frozenset[str]

    @property
    def room(self) -> int:
        return self.limit - len(self.unavailable)


def read_budget(nodes: Iterable[NodeFacts], policy: UpgradePolicy) -> Budget:
    listed = tuple(nodes)
    busy = frozenset(each.name for each in listed if each.state in BUSY)
    unavailable = frozenset(each.name for each in listed if each.is_unschedulable or not each.is_ready)
    parallel = policy.max_parallel_upgrades
    return Budget(
        limit=parse_limit(policy.max_unavailable, len(listed)),
        parallel=parallel - len(busy) if parallel else None,
        members=frozenset(each.name for each in listed),
        started=busy | frozenset(each.name for each in listed if each.state is State.FAILED),
        unavailable=unavailable | busy,
    )


def parse_limit(max_unavailable: int | str, nodes: int) -> int:
    """Returns the number of Nodes. A percentage is rounded up, as by upstream. max_unavailable: a valid number or percentage."""
    if isinstance(max_unavailable, int):
        return max_unavailable
    return -(-nodes * int(max_unavailable.removesuffix("%")) // 100)


def select_starts(starts: Starts, started: frozenset[str]) -> Iterator[NodeStep]:
    """Yields the Nodes that may start. started: the Nodes whose upgrade has started by now, which can be more than in the plan."""
    new = (started & starts.members) - starts.started
    parallel = None if starts.parallel is None else starts.parallel - len(new)
    room = starts.room - len(new - starts.unavailable)
    for candidate in starts.candidates:
        fits = (parallel is None or parallel > 0) and (candidate.is_unavailable or room > 0)
        if not fits or candidate.step.node in new:
            continue
        parallel = None if parallel is None else parallel - 1
        room -= not candidate.is_unavailable
        yield candidate.step


def describe_wait(budget: Budget, policy: UpgradePolicy) -> str:
    """Returns why a Node that could start does not start."""
    if budget.parallel is not None and budget.parallel <= 0:
        return f"waits for another upgrade: maxParallelUpgrades is {policy.max_parallel_upgrades}"
    names = ", ".join(sorted(budget.unavailable)[:5])
    more = len(budget.unavailable) - 5
    shown = f": {names}{f' and {more} more' if more > 0 else ''}" if names else ""
    return (
        f"waits for other Nodes: {len(budget.unavailable)} of at most {budget.limit} "
        f"(maxUnavailable {policy.max_unavailable}) are unavailable{shown}"
    )
