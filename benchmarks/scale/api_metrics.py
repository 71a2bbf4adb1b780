"""What an API server did between two readings of its metrics. PURE."""

import re
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

LINE = re.compile(r"^(\w+)(?:\{(.*)\})? (\S+)$")
LABEL = re.compile(r'(\w+)="((?:[^"\\]|\\.)*)"')
RESOURCES = frozenset({"nodes", "nodefeatures", "nodefeaturerules", "events"})
"""The kinds of the agents."""
WRITES = frozenset({"POST", "PUT", "PATCH", "APPLY", "DELETE"})
REQUESTS = "apiserver_request_total"
DURATIONS = "apiserver_request_duration_seconds_bucket"
RESPONSE_BYTES = "apiserver_response_sizes_sum"
EVENT_BYTES = "apiserver_watch_events_sizes_sum"
WATCHES = "apiserver_longrunning_requests"
NAMES = (REQUESTS, DURATIONS, RESPONSE_BYTES, EVENT_BYTES, WATCHES)

Series = Mapping[tuple[str, frozenset[tuple[str, str]]], float]


@dataclass(frozen=True, slots=True, kw_only=True)
class Work:
    """The difference of two readings, for the kinds of the agents.

    requests: (verb, kind, HTTP status) -> number. latency: verb -> the upper limits of the buckets that contain median and 99th percentile,
    in seconds. received: bytes of responses and of watch events.
    """

    requests: Mapping[tuple[str, str, str], int]
    latency: Mapping[str, tuple[float, float]]
    received: int

    def count(self, *, verbs: frozenset[str] | None = None, status: str = "", kinds: frozenset[str] = RESOURCES) -> int:
        """Returns the number of requests. status: the beginning of the HTTP status."""
        return sum(
            count
            for (verb, kind, code), count in self.requests.items()
            if (verbs is None or verb in verbs) and code.startswith(status) and kind in kinds
        )

    @property
    def by_verb(self) -> Mapping[str, int]:
        verbs = Counter[str]()
        for (verb, _, _), count in self.requests.items():
            verbs[verb] += count
        return verbs


def parse_metrics(text: str) -> Series:
    """Returns the series that this module needs."""
    return {(name, labels): value for name, labels, value in _parse(text)}


def _parse(text: str) -> Iterator[tuple[str, frozenset[tuple[str, str]], float]]:
    for line in text.splitlines():
        if line.startswith(NAMES) and (found := LINE.match(line)) and found[1] in NAMES:
            labels = dict(LABEL.findall(found[2] or ""))
            if labels.get("resource") in RESOURCES:
                yield found[1], frozenset(labels.items()), float(found[3])


def subtract(after: Series, before: Series) -> Work:
    """before: empty after a restart of the API server."""
    requests, buckets, received = Counter[tuple[str, str, str]](), dict[str, Counter[float]](), 0.0
    for (name, labels), value in after.items():
        change, of = value - before.get((name, labels), 0.0), dict(labels)
        if name == REQUESTS and change:
            requests[of["verb"], of["resource"], of["code"]] += int(change)
        elif name == DURATIONS and change:
            buckets.setdefault(of["verb"], Counter())[float(of["le"])] += change  # type: ignore[assignment]
        elif name in (RESPONSE_BYTES, EVENT_BYTES):
            received += change
    latency = {verb: (_quantile(each, 0.5), _quantile(each, 0.99)) for verb, each in buckets.items() if verb != "WATCH"}
    return Work(requests=requests, latency=latency, received=int(received))


def _quantile(cumulative: Mapping[float, float], share: float) -> float:
    """Returns the upper limit of the bucket of a histogram that contains this share."""
    total = max(cumulative.values())
    return min(limit for limit, count in cumulative.items() if count >= share * total)


def count_watches(series: Series, kind: str) -> int:
    """Returns the open watches of a kind."""
    values = (value for (name, labels), value in series.items() if name == WATCHES and ("resource", kind) in labels)
    return int(sum(values))
