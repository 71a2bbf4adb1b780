"""Requests that GPUs be free: nobody of ours keeps NVML open while one is there, so that a GPU can be reset, MIG be changed or the driver
be replaced. PURE.

A request is a file in a folder that all agents of the node watch. It holds for how long (`10m`; nothing: ten minutes), counted from when
it was written. It ends when the file is gone, and by itself when its time is over: a request that everybody has forgotten costs minutes.
"""

from dataclasses import dataclass

from node_core.domain.duration import parse_interval

USUAL = 600.0
MOST = 3600.0
"""Seconds. Who needs more asks again, by writing the file anew."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Request:
    """name: of the file. identity: other for one that was written anew. left: seconds. problem: why it asks for nothing, or None."""

    name: str
    identity: tuple[int, int] = (0, 0)
    left: float = 0.0
    problem: str | None = None

    @property
    def sentence(self) -> str:
        if self.problem is not None:
            return f"{self.name} is no request for free GPUs: {self.problem}"
        if self.left <= 0:
            return f"{self.name} asked for free GPUs, and its time is over: remove it"
        return f"{self.name} asks for free GPUs for another {self.left:.0f} s"


def parse_seconds(text: str) -> float:
    """Raises ValueError with the reason."""
    if not text.strip():
        return USUAL
    seconds = parse_interval(text.strip())
    if seconds is None or seconds > MOST:
        raise ValueError(f"{text.strip()} is more than {MOST / 3600:.0f}h: ask again before the time is over")
    return seconds


def seconds_left(seconds: float, age: float) -> float:
    """age: by a clock that people set, so never more than the whole time is left."""
    return min(seconds, max(0.0, seconds - age))
