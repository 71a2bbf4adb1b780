"""Requests to release the GPUs: while a request exists, no agent keeps NVML open, so that an administrator can reset a GPU, change the MIG
configuration or replace the driver. PURE.

A request is a file in a folder that all agents of the node watch. The file contains a duration (`10m`; an empty file: ten minutes), counted
from the time at which the file was written. A request ends when the file is removed or when the duration is over, so a forgotten request
delays the agents by minutes only.
"""

import math

import msgspec

from node_core.domain.duration import parse_duration

DEFAULT_SECONDS = 600.0
MAX_SECONDS = 3600.0
"""To extend a release, write the file again."""


class ReleaseRequest(msgspec.Struct, frozen=True, kw_only=True):
    """name: of the file. identity: changes when the file is written again. left: seconds. problem: why the file is not valid, or None."""

    name: str
    identity: tuple[int, int] = (0, 0)
    left: float = 0.0
    problem: str | None = None

    @property
    def sentence(self) -> str:
        if self.problem is not None:
            return f"the release request {self.name} is ignored: {self.problem}"
        if self.left <= 0:
            return f"the release request {self.name} has expired: remove the file"
        return f"the release request {self.name} keeps NVML closed for another {self.left:.0f} s"


def parse_seconds(text: str) -> float:
    """Parses the duration of a request. Raises ValueError with the reason."""
    if not text.strip():
        return DEFAULT_SECONDS
    seconds = math.inf if text.strip() == "infinite" else parse_duration(text.strip())
    if seconds > MAX_SECONDS:
        raise ValueError(f"{text.strip()} is longer than {MAX_SECONDS / 3600:.0f}h, the maximum of one request")
    return seconds


def seconds_left(seconds: float, age: float) -> float:
    """age: seconds by the wall clock. A clock that was set back cannot extend the request beyond `seconds`."""
    return min(seconds, max(0.0, seconds - age))
