"""Repeats are told once a period, with their number. Used by one thread."""

from collections.abc import Hashable

MOST = 4096


class Folding:
    """seconds: what is told again within them is only counted."""

    def __init__(self, seconds: float) -> None:
        self._seconds = seconds
        self._told: dict[Hashable, float] = {}
        self._kept: dict[Hashable, int] = {}

    def count(self, key: Hashable, now: float, amount: int = 1) -> int | None:
        """How many there were since it was last told, if it is to be told now."""
        kept = self._kept.get(key, 0) + amount
        if key in self._told and now - self._told[key] < self._seconds:
            self._kept[key] = kept
            return None
        if len(self._told) >= MOST:
            self._told.clear()
            self._kept.clear()
        self._told[key] = now
        self._kept.pop(key, None)
        return kept
