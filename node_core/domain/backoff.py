"""How long to wait before the next try. Pure: the caller brings the random number."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class Backoff:
    """Doubles from `first` to `most` seconds; the upper half is jitter, so that a fleet does not come back as one."""

    first: float = 1.0
    most: float = 60.0

    def delay(self, failures: int, chance: float) -> float:
        """Seconds to wait after that many failures in a row (>= 1). chance: uniform in [0, 1)."""
        ceiling = min(self.most, self.first * 2.0 ** min(failures - 1, 30))
        return ceiling * (0.5 + chance / 2)
