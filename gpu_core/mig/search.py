"""Finds the best layout of one GPU for requested MIG devices: an exact search with dynamic programming. PURE.

The search visits the memory slices in ascending order. At each slice, the search retains the GPU instance that starts there, creates one,
or leaves the slice free. The rest of the layout depends only on the next slice and on what is left, so each such state is solved once.
"""

import math
from collections import Counter
from collections.abc import Collection, Iterator, Mapping
from operator import mul, sub

import msgspec

from gpu_core.domain.inventory import MigUuid
from gpu_core.mig.choices import MISSING, Amounts, Choices, LayoutItem
from gpu_core.mig.model import MigGpu


class Layout(msgspec.Struct, frozen=True, kw_only=True):
    """items: sorted by placement. missing: the requested devices that do not fit, without zeros."""

    items: tuple[LayoutItem, ...]
    missing: Mapping[str, int]


_Solution = tuple[float, LayoutItem | None, "_Solution | None"]
"""The cost, the first item, and the solution for the slices after the item."""


def search_layout(gpu: MigGpu, devices: Mapping[str, int], busy: Collection[MigUuid]) -> Layout:
    """Returns the layout with the fewest missing devices.

    Among equal ones: the fewest destroyed busy MIG devices, then the fewest destroyed, then the fewest created GPU instances, then the
    lowest slices. devices: profile name -> count; all names are names of the GPU's profiles.
    """
    choices = Choices(gpu, devices, busy)
    solution = _Search(choices, devices, choices.minimum_sizes()).run()
    if solution[0] >= MISSING:
        solution = _Search(choices, devices, ()).run()
    items = tuple(_list_items(solution))
    used = Counter(name for item in items for name in item.devices)
    return Layout(items=items, missing=Counter(devices) - used)


class _Search:
    """sizes: memory slices by device. A state without enough memory slices costs MISSING without a search. Empty: search all states."""

    def __init__(self, choices: Choices, devices: Mapping[str, int], sizes: Amounts) -> None:
        self._choices = choices
        self._names = len(devices)
        self._sizes = sizes
        self._solved: dict[tuple[int, Amounts], _Solution] = {}

    def run(self) -> _Solution:
        return self._solve(0, self._choices.budget)

    def _solve(self, start: int, left: Amounts) -> _Solution:
        solution = self._solved.get((start, left))
        if solution is None:
            solution = self._solved[start, left] = self._solve_new(start, left)
        return solution

    def _solve_new(self, start: int, left: Amounts) -> _Solution:
        missing = sum(left[: self._names])
        end = len(self._choices.by_slice)
        if start >= end or not missing:
            return missing * MISSING + self._choices.cost_of_destruction(start, end), None, None
        if self._sizes and sum(map(mul, left, self._sizes)) > self._choices.memory_slices - start:
            return MISSING, None, None
        return self._select_best(start, left)

    def _select_best(self, start: int, left: Amounts) -> _Solution:
        """Of equal solutions, returns the first. The last choice, a free slice, always has a solution."""
        best: _Solution = (math.inf, None, None)
        for choice in self._choices.by_slice[start]:
            if choice.cost < best[0]:
                rest_left = tuple(map(sub, left, choice.need))
                if min(rest_left) >= 0:
                    rest = self._solve(choice.end, rest_left)
                    cost = choice.cost + rest[0]
                    best = (cost, choice.item, rest) if cost < best[0] else best
        return best


def _list_items(solution: _Solution | None) -> Iterator[LayoutItem]:
    while solution is not None:
        _, item, solution = solution
        if item:
            yield item
