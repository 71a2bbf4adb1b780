"""Whole GPUs with the most bandwidth between them. PURE.

A set of GPUs weighs what its pairs weigh together (plan.links). Of the heaviest sets, the one is chosen that leaves the most weight among
the GPUs that stay free, so a request for one GPU does not tear a linked pair apart; of those, the first in NVML's order.

The search is branch and bound over sets in that order. A branch is cut only when it cannot beat the best set found, so the answer is
optimal. Twins, GPUs with the same links to all others, are taken in order only: on a node of equals there is next to nothing to
search. Above EXACT free GPUs the search stops after BUDGET steps with the best found.
"""

import itertools
from collections.abc import Sequence

from device_plugin.devices import Device

EXACT = 16
BUDGET = 4000

Weights = Sequence[Sequence[int]]


def weight_between(one: Device, other: Device) -> int:
    """0 where they were not seen together, as when one has left the bus."""
    return one.links.get(other.gpu, 0)


def choose_linked(free: Sequence[Device], fixed: Sequence[Device], count: int) -> tuple[Device, ...]:
    """The best `count` of `free`, in their order, beside `fixed`. 0 <= count <= len(free); no GPU twice."""
    if count == 0 or count == len(free):
        return tuple(free[:count])
    weights = [[0 if a is b else weight_between(a, b) for b in free] for a in free]
    start = [sum(weight_between(device, other) for other in fixed) for device in free]
    search = _Search(weights, start, count)
    return tuple(free[index] for index in search.best_set())


class _Search:
    """Maximises the sum of `start` and of `weights` over a set's members and pairs, and then the weight of what stays free.

    With equal weight of the set, what stays free weighs the more, the less the members weigh to all others together. Both are
    one number: the weight of the set in units of `_unit`, less the members' sums, which together never reach one unit.
    """

    def __init__(self, weights: Weights, start: Sequence[int], count: int) -> None:
        sums = [sum(row) + bonus for row, bonus in zip(weights, start, strict=True)]
        self._weights = weights
        self._count = count
        self._unit = 2 * (sum(sums) + 1)
        self._start = [self._unit * bonus - total for bonus, total in zip(start, sums, strict=True)]
        self._halves: dict[int, list[list[int]]] = {}
        self._twins = _earlier_twins(weights, start)
        self._steps = 0
        self._best_value, self._best = max(map(self._greedy, range(len(weights))))

    def best_set(self) -> tuple[int, ...]:
        self._best_value -= 1  # so that the first set as good as the greedy one, in order, is still found
        self._extend((), 0, self._start, 0)
        return self._best

    def _greedy(self, first: int) -> tuple[int, tuple[int, ...]]:
        """A good set that holds `first`: something to beat from the beginning."""
        value, chosen, gains, best = 0, [first], self._start, first
        while True:
            value, gains = value + gains[best], self._with(gains, best)
            if len(chosen) == self._count:
                return value, tuple(sorted(chosen))
            best = max((index for index in range(len(gains)) if index not in chosen), key=gains.__getitem__)
            chosen.append(best)

    def _extend(self, chosen: tuple[int, ...], value: int, gains: Sequence[int], first: int) -> None:
        """Tries every set that begins with `chosen` and goes on from `first`. gains: what each GPU would add."""
        self._steps += 1
        left = self._count - len(chosen)
        if left == 0:
            if value > self._best_value:
                self._best, self._best_value = chosen, value
            return
        for index in range(first, len(gains) - left + 1):
            if self._is_spent() or value + self._bound(gains, index, left) <= self._best_value:
                return
            if (twin := self._twins[index]) < 0 or twin in chosen:
                self._extend((*chosen, index), value + gains[index], self._with(gains, index), index + 1)

    def _with(self, gains: Sequence[int], index: int) -> list[int]:
        return [gain + self._unit * weight for gain, weight in zip(gains, self._weights[index], strict=True)]

    def _bound(self, gains: Sequence[int], first: int, left: int) -> int:
        """No `left` members from `first` on can add more: each with what it adds and half of its heaviest pairs."""
        halves = self._halves.get(first) or self._halve(first)
        most = [gain + half[left - 1] for gain, half in zip(gains[first:], halves, strict=True)]
        most.sort(reverse=True)
        return sum(most[:left])

    def _halve(self, first: int) -> list[list[int]]:
        """For each GPU from `first` on, half of what its n heaviest pairs with others from there on weigh, by n."""
        half = self._unit // 2
        rows = [sorted(row[first:], reverse=True) for row in self._weights[first:]]
        halves = [list(itertools.accumulate((half * weight for weight in row), initial=0)) for row in rows]
        self._halves[first] = halves
        return halves

    def _is_spent(self) -> bool:
        return len(self._weights) > EXACT and self._steps > BUDGET


def _earlier_twins(weights: Weights, start: Sequence[int]) -> list[int]:
    """For each GPU the last one before it that could stand in for it, or -1."""
    count = len(weights)
    return [
        max((other for other in range(index) if _are_twins(weights, start, index, other)), default=-1)
        for index in range(count)
    ]


def _are_twins(weights: Weights, start: Sequence[int], one: int, other: int) -> bool:
    others = (index for index in range(len(weights)) if index not in (one, other))
    return start[one] == start[other] and all(weights[one][index] == weights[other][index] for index in others)
