"""Rate limiter with bursts (generic cell rate algorithm). PURE: the caller supplies the time and stores the state."""

import msgspec


class RateLimiter(msgspec.Struct, frozen=True, kw_only=True):
    """Allows `burst` calls at once, then one call each `interval` seconds. Idle time restores the burst."""

    interval: float
    burst: int

    def reserve(self, reserved_until: float, now: float) -> tuple[float, float]:
        """Returns the time of the next call, `now` or later, and `reserved_until` for the next reservation.

        reserved_until: 0 for the first reservation.
        """
        at = max(now, reserved_until - (self.burst - 1) * self.interval)
        return at, max(reserved_until, now) + self.interval
