"""Folds faults that repeat: an equal line about the same subject is counted, and its number is logged later. PURE."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

WINDOW = 600.0
"""Seconds after a line for which equal lines about the same subject are only counted."""
MAX_SUBJECTS = 256
SUBJECT = ("agent", "check", "gpu", "resource", "rules", "rule", "key", "source", "path", "call")
"""Fields that identify the subject of a line. A line without these fields, except agent, is about its event."""

UNFOLDED_LEVELS = ("info", "debug")
"""Lines of these levels report changes, such as a registration, and are logged each time, except those of FOLDED_EVENTS."""
FOLDED_EVENTS = ("labels_published",)
"""Events that repeat while another client overwrites a label again and again."""

Line = Mapping[str, Any]


@dataclass(slots=True)
class _Last:
    """The last line about a subject: its fields, the time when it was logged, and the number of equal lines since then."""

    line: Line
    at: float
    repeated: int = 0


class LogFolder:
    """Not thread-safe. A different line about the same subject ends the fold, so the last line always states the current state."""

    def __init__(self) -> None:
        self._lasts: dict[object, _Last] = {}

    def add(self, line: Line, now: float) -> tuple[Line, ...]:
        """Returns the lines to log: none for a repeated line. Counts of other lines whose window has ended come first.

        line: without a time. now: monotonic seconds.
        """
        ended = tuple(self._end(now))
        subject = _subject(line)
        last = self._lasts.pop(subject, None)
        if last is not None and last.line == line and _can_fold(line) and now - last.at < WINDOW:
            last.repeated += 1
            self._lasts[subject] = last
            return ended
        self._lasts[subject] = _Last(line, now)
        if len(self._lasts) > MAX_SUBJECTS:
            oldest = next(iter(self._lasts))
            ended += _count(self._lasts.pop(oldest))
        return (*ended, *(_count(last) if last else ()), line)

    def flush(self) -> tuple[Line, ...]:
        """Returns the counts of all repeated lines."""
        lines = tuple(each for last in self._lasts.values() for each in _count(last))
        self._lasts.clear()
        return lines

    def _end(self, now: float) -> Iterator[Line]:
        for subject in [subject for subject, last in self._lasts.items() if now - last.at >= WINDOW]:
            yield from _count(self._lasts.pop(subject))


def _can_fold(line: Line) -> bool:
    return line.get("level") not in UNFOLDED_LEVELS or line.get("event") in FOLDED_EVENTS


def _subject(line: Line) -> object:
    fields = tuple((key, str(line[key])) for key in SUBJECT if key in line)
    return fields if any(key != "agent" for key, _ in fields) else (line.get("agent"), line.get("event"))


def _count(last: _Last) -> tuple[Line, ...]:
    return ({**last.line, "repeated": last.repeated},) if last.repeated else ()
