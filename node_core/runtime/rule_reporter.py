"""Tells people what is wrong with rules: in the log, as a metric, and to the author as Events on the NodeFeatureRule.

An Event that cannot be written hurts nobody: the log and the metric have it.
"""

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any, Protocol

import structlog

from node_core.domain.events import Complaint, event_name, render_event
from node_core.errors import KubeError
from node_core.runtime import metrics
from node_core.runtime.services import Services

log = structlog.get_logger(__name__)

MOST_EVENTS = 10
"""So many problems of one object are told as Events; the log has all."""

Objects = Mapping[str, Mapping[str, Any]]
Told = tuple[str, Complaint]


class RuleProblem(Protocol):
    """What a rule's author has to know; see nfd_lite.rules.model. set_name: of the object, or a file."""

    @property
    def set_name(self) -> str: ...

    @property
    def rule(self) -> str: ...

    @property
    def why(self) -> str: ...

    @property
    def key(self) -> str | None: ...


class EventSink(Protocol):
    """See kube.events.EventApi."""

    def create(self, event: Mapping[str, Any]) -> None: ...


class RuleReporter:
    """One for each agent, used by its thread. events: None where there is no cluster to tell."""

    def __init__(self, events: EventSink | None, *, agent: str, node_name: str, services: Services) -> None:
        self._events = events
        self._agent = agent
        self._node_name = node_name
        self._services = services
        self._known: tuple[Told, ...] = ()
        self._told: frozenset[str] = frozenset()

    def report(self, problems: Sequence[RuleProblem], objects: Objects) -> None:
        """All problems that there are now, after each look. objects: the NodeFeatureRules by name, which get the Events."""
        now = tuple((each.set_name, Complaint(rule=each.rule, key=each.key, why=each.why)) for each in problems)
        self._log(now)
        counts: Counter[tuple[str, ...]] = Counter((self._agent, name) for name, _ in now)
        self._services.metrics.replace(metrics.RULE_PROBLEMS, self._agent, counts)
        self._tell(dict(_to_tell(now, objects)))

    def check_known(self, *, is_all: bool) -> None:
        """is_all: everything that rules make is known; while it is not, nothing of theirs is taken away."""
        problem = "a rule cannot be evaluated, or cannot be read: what rules made before stays on the Node"
        self._services.readiness.report(f"{self._agent}/rules-known", None if is_all else problem)

    def _log(self, now: tuple[Told, ...]) -> None:
        for name, each in now:
            if (name, each) not in self._known:
                event = "rule_failed" if each.key is None else "output_refused"
                log.warning(event, rules=name, rule=each.rule, key=each.key, why=each.why)
        for name in sorted({name for name, _ in self._known} - {name for name, _ in now}):
            log.info("rules_recovered", rules=name)
        self._known = now

    def _tell(self, wanted: Mapping[str, tuple[Mapping[str, Any], Complaint]]) -> None:
        """wanted: the Event's name -> what it is about and says. Stops at the first that gets no answer; the next look goes on."""
        self._told &= wanted.keys()
        for name, (about, complaint) in wanted.items():
            if name in self._told:
                continue
            if not self._create(about, complaint):
                return
            self._told |= {name}

    def _create(self, about: Mapping[str, Any], complaint: Complaint) -> bool:
        """Whether there is nothing more to try."""
        if self._events is None:
            return True
        now = datetime.fromtimestamp(self._services.wall(), UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
        event = render_event(about, complaint, agent=self._agent, node_name=self._node_name, now=now)
        try:
            self._events.create(event)
        except KubeError as error:
            log.warning("event_not_written", about=about["metadata"]["name"], why=str(error))
            return 400 <= error.status < 500 and error.status != 429
        return True


def _to_tell(now: tuple[Told, ...], objects: Objects) -> Iterator[tuple[str, tuple[Mapping[str, Any], Complaint]]]:
    """What belongs to an object, a few of each."""
    counts: Counter[str] = Counter()
    for name, each in now:
        if name in objects and counts[name] < MOST_EVENTS:
            counts[name] += 1
            yield event_name(objects[name], each), (objects[name], each)
