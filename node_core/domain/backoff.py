"""Exponential back-off with jitter. PURE: the caller supplies the random number."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class Backoff:
    """Delays that double from `first` up to `maximum` seconds. The upper half of a delay is jitter, so nodes do not retry together."""

    first: float = 1.0
    maximum: float = 60.0

    def delay(self, failures: int, chance: float) -> float:
        """Returns the seconds to wait. failures: consecutive failures, at least 1. chance: uniform in [0, 1)."""
        ceiling = min(self.maximum, self.first * 2.0 ** min(failures - 1, 30))
        return ceiling * (0.5 + chance / 2)
