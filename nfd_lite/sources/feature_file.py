"""Parses feature files, in the format of Node Feature Discovery's local source. PURE.

A line is `key` or `key=value`. The directives `# +no-label` and `# +no-feature` apply to the next such line. The directive
`# +expiry-time=2026-01-31T12:00:00Z` applies to all lines below it.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import datetime

import msgspec

from node_core.domain.labels import Labels, key_problem, namespace_problem, value_problem

MAX_PROBLEMS = 10
"""Maximum problems that are reported for one file; the remaining problems are counted."""
_DIRECTIVE = "# +"
_RFC3339 = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?(Z|[+-]\d\d:\d\d)", re.ASCII)


class ParsedFile(msgspec.Struct, frozen=True, kw_only=True):
    """labels, features: key as in the file -> value. expires_at: Unix seconds when the first of them expires. problems: sentences."""

    labels: Labels
    features: Labels
    expires_at: float | None = None
    problems: tuple[str, ...] = ()


@dataclass(slots=True)
class _FeatureFileParser:
    """The state after the lines that have been parsed.

    now: Unix seconds. skipped: `no-label` and `no-feature` directives for the next pair. expiry: the expiry time for the next pairs.
    expires_at: the earliest expiry time of all pairs.
    """

    now: float
    labels: dict[str, str] = field(default_factory=dict)
    features: dict[str, str] = field(default_factory=dict)
    problems: list[str] = field(default_factory=list)
    skipped: set[str] = field(default_factory=set)
    expiry: float | None = None
    expires_at: float | None = None

    def parse_line(self, line: str) -> None:
        """Raises ValueError."""
        if line.startswith(_DIRECTIVE):
            self._apply_directive(line.removeprefix(_DIRECTIVE))
        elif line and not line.startswith("#") and (self.expiry is None or self.expiry > self.now):
            self._parse_pair(line)

    def _apply_directive(self, directive: str) -> None:
        name, _, value = directive.partition("=")
        if directive in {"no-label", "no-feature"}:
            self.skipped.add(directive)
        elif name == "expiry-time":
            self.expiry = parse_time(value)
        else:
            raise ValueError(
                f"{directive[:40]!r} is not a directive. The directives are expiry-time=, no-feature and no-label"
            )

    def _parse_pair(self, line: str) -> None:
        """Adds a pair. If the label is not valid in Kubernetes, the feature is added nevertheless, because rules can use it."""
        key, equals, value = line.partition("=")
        value = value if equals else "true"
        if problem := key_problem(key):
            raise ValueError(f"{key[:80]!r} is not a valid key: {problem}")
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
            raise ValueError(f"{key!r} is not a valid label: {problem}")
        self.labels[key] = value


def parse_feature_file(text: str, now: float) -> ParsedFile:
    """Parses a feature file. A wrong line is reported as a problem and ignored. now: Unix seconds, for expiry times."""
    parser = _FeatureFileParser(now)
    for number, line in enumerate(text.split("\n"), start=1):
        try:
            parser.parse_line(line.strip())
        except ValueError as error:
            parser.problems.append(f"line {number}: {error}")
    return ParsedFile(
        labels=parser.labels,
        features=parser.features,
        expires_at=parser.expires_at,
        problems=tuple(_limit_problems(parser.problems)),
    )


def parse_time(text: str) -> float:
    """Parses an RFC 3339 time. Returns Unix seconds. Raises ValueError."""
    if not _RFC3339.fullmatch(text):
        raise ValueError(
            f"{text[:40]!r} is not a time such as 2026-01-31T12:00:00Z. The previous expiry time remains in effect"
        )
    return datetime.fromisoformat(text).timestamp()


def _limit_problems(problems: list[str]) -> Iterator[str]:
    yield from problems[:MAX_PROBLEMS]
    if len(problems) > MAX_PROBLEMS:
        yield f"{len(problems) - MAX_PROBLEMS} more lines are wrong"
