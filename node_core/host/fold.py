"""Folds what repeats: the first of a kind is told at once, then one a period, with how many it stands for. Pure.

A GPU can raise ten thousand Xids in a second, and who listens must neither drown nor lose count.
"""

from collections.abc import Callable, Hashable, Iterable
from dataclasses import dataclass
from typing import Generic, TypeVar

Thing = TypeVar("Thing")


@dataclass(slots=True, kw_only=True)
class _Period(Generic[Thing]):
    """ends: when the next may be told. kept: how many came since the last was told, and the newest of them."""

    ends: float
    seconds: float
    kept: int = 0
    newest: Thing | None = None


class Folded(Generic[Thing]):
    """fold: makes one thing of the newest and how many it stands for."""

    def __init__(self, fold: Callable[[Thing, int], Thing]) -> None:
        self._fold = fold
        self._periods: dict[Hashable, _Period[Thing]] = {}

    def add(self, kind: Hashable, thing: Thing, now: float, seconds: float) -> Iterable[Thing]:
        """What is to be told now. seconds: the period of this kind."""
        period = self._periods.get(kind)
        if period is None:
            self._periods[kind] = _Period(ends=now + seconds, seconds=seconds)
            return (thing,)
        period.kept, period.newest = period.kept + 1, thing
        return ()

    def take_due(self, now: float) -> tuple[Thing, ...]:
        """What was kept until its period was over. A kind that was quiet for a whole period is forgotten."""
        told = []
        for kind, period in list(self._periods.items()):
            if now < period.ends:
                continue
            if period.newest is None:
                del self._periods[kind]
                continue
            told.append(self._fold(period.newest, period.kept))
            period.ends, period.kept, period.newest = now + period.seconds, 0, None
        return tuple(told)

    def flush(self) -> tuple[Thing, ...]:
        """All that is kept, at once; periods begin anew."""
        periods, self._periods = self._periods, {}
        return tuple(self._fold(each.newest, each.kept) for each in periods.values() if each.newest is not None)

    def next_due(self) -> float | None:
        """When something that is kept may be told; None while nothing is."""
        return min((period.ends for period in self._periods.values() if period.newest is not None), default=None)
