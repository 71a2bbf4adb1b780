"""PURE: what the text of a feature file says, as Node Feature Discovery's local source reads it.

Lines are `key` or `key=value`. `# +no-label` and `# +no-feature` hold for the next such line, `# +expiry-time=2026-01-31T12:00:00Z` for
all that follow.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import datetime

from node_core.domain.labels import Labels, key_problem, namespace_problem, value_problem

MAX_PROBLEMS = 10
"""Of one file, that are told line by line."""
_DIRECTIVE = "# +"
_RFC3339 = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?(Z|[+-]\d\d:\d\d)", re.ASCII)


@dataclass(frozen=True, slots=True, kw_only=True)
class ParsedFile:
    """labels, features: key as written -> value. expires_at: Unix seconds, when the next of them expires. problems: sentences."""

    labels: Labels
    features: Labels
    expires_at: float | None = None
    problems: tuple[str, ...] = ()


@dataclass(slots=True)
class _Parsing:
    """What the lines so far have said. skipped: directives for the next pair. expiry: in force; expires_at: the next of all."""

    now: float
    labels: dict[str, str] = field(default_factory=dict)
    features: dict[str, str] = field(default_factory=dict)
    problems: list[str] = field(default_factory=list)
    skipped: set[str] = field(default_factory=set)
    expiry: float | None = None
    expires_at: float | None = None

    def line(self, line: str) -> None:
        if line.startswith(_DIRECTIVE):
            self._direct(line.removeprefix(_DIRECTIVE))
        elif line and not line.startswith("#") and (self.expiry is None or self.expiry > self.now):
            self._pair(line)

    def _direct(self, directive: str) -> None:
        name, _, value = directive.partition("=")
        if directive in {"no-label", "no-feature"}:
            self.skipped.add(directive)
        elif name == "expiry-time":
            self.expiry = parse_time(value)
        else:
            raise ValueError(f"there is no directive {directive[:40]!r}; there are expiry-time=, no-feature, no-label")

    def _pair(self, line: str) -> None:
        """The feature stays where the label is refused: rules may use what Kubernetes would not take."""
        key, equals, value = line.partition("=")
        value = value if equals else "true"
        if problem := key_problem(key):
            raise ValueError(f"{key[:80]!r} is no key: {problem}")
        skipped, self.skipped = self.skipped, set()
        if self.expiry is not None:
            self.expires_at = min(self.expiry, self.expires_at or self.expiry)
        self.features.pop(key, None)
        self.labels.pop(key, None)
        if "no-feature" not in skipped:
            self.features[key] = value
        if "no-label" not in skipped:
            self._label(key, value)

    def _label(self, key: str, value: str) -> None:
        if problem := namespace_problem(key) or value_problem(value):
            raise ValueError(f"{key!r} is no label: {problem}")
        self.labels[key] = value


def parse_feature_file(text: str, now: float) -> ParsedFile:
    """What a file says at this time, Unix seconds. A line that is wrong is a problem and costs nothing but itself."""
    parsing = _Parsing(now)
    for number, line in enumerate(text.split("\n"), start=1):
        try:
            parsing.line(line.strip())
        except ValueError as error:
            parsing.problems.append(f"line {number}: {error}")
    return ParsedFile(
        labels=parsing.labels,
        features=parsing.features,
        expires_at=parsing.expires_at,
        problems=tuple(_few(parsing.problems)),
    )


def parse_time(text: str) -> float:
    """An RFC 3339 time as Unix seconds."""
    if not _RFC3339.fullmatch(text):
        raise ValueError(f"{text[:40]!r} is no time like 2026-01-31T12:00:00Z; the expiry before it stays")
    return datetime.fromisoformat(text).timestamp()


def _few(problems: list[str]) -> Iterator[str]:
    yield from problems[:MAX_PROBLEMS]
    if len(problems) > MAX_PROBLEMS:
        yield f"and {len(problems) - MAX_PROBLEMS} more lines are wrong"
