"""The annotation that dates the state of a Node. PURE."""

import math
from dataclasses import dataclass

from gpu_operator.upgrade.keys import State

NO_REVISION = "-"


@dataclass(frozen=True, slots=True, kw_only=True)
class Progress:
    """state: the state of the Node when the annotation was written. A label that differs was set by somebody else.

    since: Unix seconds. revision: the newest revision of the DaemonSet at that time; None if it was not known.
    """

    state: State
    since: float
    revision: str | None


def parse_progress(text: str) -> Progress | None:
    """Parses `<state> <Unix seconds> <revision>`. Returns None for any other text, also for times before 1970."""
    words = text.split()
    if len(words) != 3 or words[0] not in set(State) or not words[1].isascii() or not words[1].isdigit():
        return None
    since = float(words[1])
    if not math.isfinite(since):
        return None
    return Progress(state=State(words[0]), since=since, revision=None if words[2] == NO_REVISION else words[2])


def render_progress(progress: Progress) -> str:
    return f"{progress.state} {int(progress.since)} {progress.revision or NO_REVISION}"
