"""Combines repeated items: the first item of a key passes at once, and later items of the same period pass as one item. PURE.

A GPU can report ten thousand Xids in a second.
"""

from collections.abc import Callable, Hashable
from dataclasses import dataclass
from typing import Generic, TypeVar

Item = TypeVar("Item")

MAX_KEYS = 4096
"""Limits the memory. At this number of keys all periods are dropped, with their pending items."""


@dataclass(slots=True, kw_only=True)
class _Period(Generic[Item]):
    """ends: the time from which the next item may pass. pending: the number of items since the last one that passed.

    newest: the newest pending item.
    """

    ends: float
    seconds: float
    pending: int = 0
    newest: Item | None = None


class Coalescer(Generic[Item]):
    """merge: combines the newest item and the number of items into one item. Times are seconds of one monotonic clock."""

    def __init__(self, merge: Callable[[Item, int], Item]) -> None:
        self._merge = merge
        self._periods: dict[Hashable, _Period[Item]] = {}

    def add(self, key: Hashable, item: Item, now: float, seconds: float, count: int = 1) -> Item | None:
        """Returns the item merged with all pending items, or None during the period of the key. seconds: length of a new period."""
        period = self._periods.get(key)
        if period is not None and now < period.ends:
            period.pending, period.newest = period.pending + count, item
            return None
        if len(self._periods) >= MAX_KEYS:
            self._periods.clear()
        self._periods[key] = _Period(ends=now + seconds, seconds=seconds)
        return self._merge(item, count + (period.pending if period else 0))

    def pop_due(self, now: float) -> tuple[Item, ...]:
        """Returns the pending items whose period is over, one for each key. Removes keys without items for a whole period."""
        due = []
        for key, period in list(self._periods.items()):
            if now < period.ends:
                continue
            if period.newest is None:
                del self._periods[key]
                continue
            due.append(self._merge(period.newest, period.pending))
            self._periods[key] = _Period(ends=now + period.seconds, seconds=period.seconds)
        return tuple(due)

    def flush(self) -> tuple[Item, ...]:
        """Returns all pending items, and ends all periods."""
        periods, self._periods = self._periods, {}
        return tuple(self._merge(each.newest, each.pending) for each in periods.values() if each.newest is not None)

    def next_due(self) -> float | None:
        """Returns the earliest time at which a pending item may pass, or None without pending items."""
        return min((period.ends for period in self._periods.values() if period.newest is not None), default=None)
