"""Selects whole GPUs with the highest bandwidth between them. PURE.

The weight of a set of GPUs is the sum of the weights of its pairs (plan.link_weights). The search selects the heaviest set. Among equal
sets, the search selects the set that leaves the most weight between the unused GPUs, so that a request for one GPU does not split a linked
pair; then the first set in NVML's order.

The search is a branch and bound search over sets in NVML's order. The search cuts a branch only if the branch cannot exceed the best set
so far, so the result is optimal. Twins are GPUs with the same links to all other GPUs; the search uses twins only in order, so a node of
identical GPUs needs almost no search. With more than EXACT available GPUs the search stops after BUDGET steps and returns the best set.
"""

import itertools
from collections.abc import Sequence

from device_plugin.devices import Device

EXACT = 16
BUDGET = 4000

Weights = Sequence[Sequence[int]]


def weight_between(one: Device, other: Device) -> int:
    """Returns the link weight of a pair; 0 if it is unknown, for example after one GPU has fallen off the bus."""
    return one.links.get(other.gpu, 0)


def choose_linked(available: Sequence[Device], required: Sequence[Device], count: int) -> tuple[Device, ...]:
    """Returns the best `count` of `available` to add to `required`, in order. 0 <= count <= len(available). Each GPU occurs once."""
    if count == 0 or count == len(available):
        return tuple(available[:count])
    weights = [[0 if a is b else weight_between(a, b) for b in available] for a in available]
    start = [sum(weight_between(device, other) for other in required) for device in available]
    return tuple(available[index] for index in _Search(weights, start, count).best_set())


class _Search:
    """Maximises first the weight of a set (`start` of its members plus `weights` of its pairs), then the weight between the unused GPUs.

    For sets of equal weight, the weight between the unused GPUs is highest if the members' total weight to all other GPUs is lowest.
    One number expresses both goals: the weight of the set in units of `_unit`, minus the members' totals, which sum to less than one unit.
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
        self._best_value -= 1  # so that the search returns the first set, in order, that equals the greedy set
        self._extend((), 0, self._start, 0)
        return self._best

    def _greedy(self, first: int) -> tuple[int, tuple[int, ...]]:
        """Returns the value of a good set that contains `first`, and the set: the initial bound of the search."""
        value, chosen, gains, best = 0, [first], self._start, first
        while True:
            value, gains = value + gains[best], self._with(gains, best)
            if len(chosen) == self._count:
                return value, tuple(sorted(chosen))
            best = max((index for index in range(len(gains)) if index not in chosen), key=gains.__getitem__)
            chosen.append(best)

    def _extend(self, chosen: tuple[int, ...], value: int, gains: Sequence[int], first: int) -> None:
        """Tries every set that starts with `chosen` and continues from `first`. gains: the value that each GPU would add."""
        self._steps += 1
        left = self._count - len(chosen)
        if left == 0:
            if value > self._best_value:
                self._best, self._best_value = chosen, value
            return
        for index in range(first, len(gains) - left + 1):
            is_exhausted = len(gains) > EXACT and self._steps > BUDGET
            if is_exhausted or value + self._bound(gains, index, left) <= self._best_value:
                return
            if (twin := self._twins[index]) < 0 or twin in chosen:
                self._extend((*chosen, index), value + gains[index], self._with(gains, index), index + 1)

    def _with(self, gains: Sequence[int], index: int) -> list[int]:
        return [gain + self._unit * weight for gain, weight in zip(gains, self._weights[index], strict=True)]

    def _bound(self, gains: Sequence[int], first: int, left: int) -> int:
        """Returns an upper bound for adding `left` GPUs from `first` on: the gain of each GPU plus half of its heaviest pairs."""
        halves = self._halves.get(first) or self._halve(first)
        most = [gain + half[left - 1] for gain, half in zip(gains[first:], halves, strict=True)]
        most.sort(reverse=True)
        return sum(most[:left])

    def _halve(self, first: int) -> list[list[int]]:
        """Returns, for each GPU from `first` on, half the weight of its n heaviest pairs with GPUs from `first` on, by n."""
        half = self._unit // 2
        rows = [sorted(row[first:], reverse=True) for row in self._weights[first:]]
        halves = [list(itertools.accumulate((half * weight for weight in row), initial=0)) for row in rows]
        self._halves[first] = halves
        return halves


def _earlier_twins(weights: Weights, start: Sequence[int]) -> list[int]:
    """Returns, for each GPU, the index of the nearest earlier twin, or -1."""
    count = len(weights)
    return [
        max((other for other in range(index) if _are_twins(weights, start, index, other)), default=-1)
        for index in range(count)
    ]


def _are_twins(weights: Weights, start: Sequence[int], one: int, other: int) -> bool:
    others = (index for index in range(len(weights)) if index not in (one, other))
    return start[one] == start[other] and all(weights[one][index] == weights[other][index] for index in others)
