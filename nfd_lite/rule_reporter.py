"""Reports problems of rules: in the log, as a metric, and to the author as Events about the NodeFeatureRule."""

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from functools import partial
from typing import Any

import structlog

from nfd_lite.rules.model import RuleProblem
from node_core.domain.events import Event, RuleFinding, rule_event
from node_core.runtime import metrics
from node_core.runtime.event_recorder import EventRecorder, rfc3339
from node_core.runtime.services import Services

log = structlog.get_logger(__name__)

MAX_EVENTS = 10
"""Maximum Events about one object; the log contains all problems."""

Objects = Mapping[str, Mapping[str, Any]]
Finding = tuple[str, RuleFinding]
"""The name of an object or file, and a problem."""


class RuleReporter:
    """Reports the problems of one agent. Not thread-safe. recorder: None if no Events are recorded."""

    def __init__(self, recorder: EventRecorder | None, *, agent: str, node_name: str, services: Services) -> None:
        self._recorder = recorder
        self._agent = agent
        self._node_name = node_name
        self._services = services
        self._findings: tuple[Finding, ...] = ()
        self._recorded: frozenset[str] = frozenset()

    def report(self, problems: Sequence[RuleProblem], objects: Objects) -> None:
        """Reports the problems of the last evaluation. objects: the NodeFeatureRules by name, which receive the Events."""
        current = tuple(
            (each.set_name, RuleFinding(rule=each.rule, key=each.key, why=each.why, is_warning=each.is_warning))
            for each in problems
        )
        self._log(current)
        counts: Counter[tuple[str, ...]] = Counter(
            (self._agent, name) for name, finding in current if not finding.is_warning
        )
        self._services.metrics.replace(metrics.RULE_PROBLEMS, self._agent, counts)
        self._record(current, objects)

    def report_readiness(self, *, waiting_for: str | None) -> None:
        """waiting_for: the kind of the objects that have not been listed yet. A rule with problems does not affect readiness."""
        problem = (
            None if waiting_for is None else f"Waiting for the first list of {waiting_for}. Existing labels remain."
        )
        self._services.readiness.report(f"{self._agent}/rules-known", problem, is_expected=True)

    def _log(self, current: tuple[Finding, ...]) -> None:
        for name, each in current:
            if (name, each) not in self._findings:
                event = "rule_warning" if each.is_warning else "rule_failed" if each.key is None else "output_refused"
                log.warning(event, rules=name, rule=each.rule, key=each.key, why=each.why)
        for name in sorted({name for name, _ in self._findings} - {name for name, _ in current}):
            log.info("rules_recovered", rules=name)
        self._findings = current

    def _record(self, current: tuple[Finding, ...], objects: Objects) -> None:
        """Records each Event once, until its problem disappears."""
        events = {event.name: event for event in self._events(current, objects)}
        for name, event in events.items():
            if name not in self._recorded and self._recorder is not None:
                self._recorder.record(partial(tuple, [event]))
        self._recorded = frozenset(events)

    def _events(self, current: tuple[Finding, ...], objects: Objects) -> Iterator[Event]:
        counts: Counter[str] = Counter()
        at = rfc3339(self._services.wall())
        for name, finding in sorted(current, key=lambda each: each[1].is_warning):
            if name in objects and counts[name] < MAX_EVENTS:
                counts[name] += 1
                yield rule_event(objects[name], finding, agent=self._agent, node_name=self._node_name, at=at)
