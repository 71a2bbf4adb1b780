"""Times of Kubernetes objects for people. PURE."""

from datetime import UTC, datetime


def render_age(since: str | float | None, wall: float) -> str:
    """Returns `2 d`, `3 h`, `4 min` or `5 s`. since: RFC 3339, or Unix seconds; None: unknown. wall: Unix seconds."""
    try:
        seconds = max(0.0, wall - (since if isinstance(since, float | int) else parse_time(since or "")))
    except ValueError:
        return "an unknown time"
    for unit, size in (("d", 86400), ("h", 3600), ("min", 60)):
        if seconds >= size:
            return f"{seconds // size:.0f} {unit}"
    return f"{seconds:.0f} s"


def parse_time(text: str) -> float:
    """Returns Unix seconds. text: RFC 3339. Raises ValueError."""
    time = datetime.fromisoformat(text)
    return (time if time.tzinfo else time.replace(tzinfo=UTC)).timestamp()
