"""How often something may be done that is asked for in bursts. Pure: the caller brings the time and keeps the state."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class Pace:
    """At once for `burst` turns that follow closely, and from then on one each `every` seconds, until it was quiet again."""

    every: float
    burst: int

    def turn(self, booked: float, now: float) -> tuple[float, float]:
        """When the next turn is, not before `now`, and what to bring the next time. booked: 0 at first."""
        at = max(now, booked - (self.burst - 1) * self.every)
        return at, max(booked, now) + self.every
