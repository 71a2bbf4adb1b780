"""The life of an agent that publishes labels: collect, merge with what is known, drop what Kubernetes would refuse, publish.

One thread owns all of it. Passes, states of the Node and the end arrive as messages.
"""

from collections.abc import Callable, Sequence

import structlog

from node_core.domain.backoff import Backoff
from node_core.domain.labels import Collected, Refused, merge_collected, settle, split_valid
from node_core.domain.node import NodeView
from node_core.errors import NodeError
from node_core.publish.api import Publisher
from node_core.runtime import metrics
from node_core.runtime.instance import InstanceLock, wait_alone
from node_core.runtime.mailbox import Mailbox
from node_core.runtime.messages import AgentMessage, NodeLost, NodeSeen, Pass, PublishedSeen, RulesChanged, Stop
from node_core.runtime.services import Services

log = structlog.get_logger(__name__)

HEARTBEAT = 30.0
"""Seconds at most between two signs of life of the owning thread."""
CALM = 1.0
"""Seconds at least between two passes because rules changed: whoever changes them all the time costs no node its CPU."""
HEAL_WINDOW = 180.0
"""Somebody who undoes our labels again within this many seconds is answered with growing delays instead of a fight."""


class LabelAgent:
    """name: also the field manager on the Node. collect: one look at the node. volatile: keys that never cause a write alone."""

    def __init__(
        self,
        name: str,
        *,
        collect: Callable[[], Sequence[Collected]],
        publisher: Publisher,
        services: Services,
        lock: InstanceLock | None = None,
        volatile: frozenset[str] = frozenset(),
    ) -> None:
        self.name = name
        self.mailbox: Mailbox[AgentMessage] = Mailbox()
        self._collect = collect
        self._publisher = publisher
        self._services = services
        self._lock = lock
        self._volatile = volatile
        self._backoff = Backoff()
        self._collected: Sequence[Collected] | None = None
        self._refused: tuple[Refused, ...] = ()
        self._tried = False
        self._was_lost = False
        self._failures = 0
        self._retry_at: float | None = None
        self._passed_at = float("-inf")
        self._pass_at: float | None = None
        self._heals = 0
        self._healed_at = 0.0

    def run(self) -> None:
        """Serves until Stop."""
        self._services.readiness.expect(f"{self.name}/published")
        if not wait_alone(self._lock, self.name, self.mailbox, self._services.readiness):
            return
        self.mailbox.post(Pass())
        while not isinstance(message := self._next(), Stop):
            self._handle(message)

    def run_once(self) -> bool:
        """One pass; whether it was published."""
        try:
            self._publisher.refresh()
        except NodeError as error:
            self._publish_failed(error)
            return False
        self._pass()
        return self._failures == 0

    def close(self) -> None:
        """Gives the node free for the next process. Labels stay."""
        if self._lock is not None:
            self._lock.release()

    def _next(self) -> AgentMessage | None:
        self._services.readiness.beat(self.name)
        now = self._services.clock()
        due = (at - now for at in (self._retry_at, self._pass_at) if at is not None)
        return self.mailbox.take(max(0.0, min((HEARTBEAT, *due))))

    def _is_due(self, at: float | None) -> bool:
        return at is not None and self._services.clock() >= at

    def _handle(self, message: AgentMessage | None) -> None:
        match message:
            case Pass():
                self._pass()
            case RulesChanged() if self._is_due(self._passed_at + CALM):
                self._pass()
            case RulesChanged():
                self._pass_at = self._passed_at + CALM
            case NodeSeen(view):
                self._services.readiness.report(f"{self.name}/node", None)
                self._node_seen(view)
            case NodeLost(error):
                self._was_lost = True
                self._services.readiness.report(f"{self.name}/node", str(error))
                self._services.metrics.add(metrics.ERRORS, agent=self.name, check="node")
            case None if self._is_due(self._pass_at):
                self._pass()
            case None if self._is_due(self._retry_at):
                self._publish()
            case None | PublishedSeen():
                self._look_after()
            case _:
                pass

    def _pass(self) -> None:
        start = self._passed_at = self._services.clock()
        self._pass_at = None
        self._collected = self._collect()
        failed: dict[tuple[str, ...], int] = {(self.name, part.name): 0 for part in self._collected}
        failed |= {(self.name, part.name): 1 for part in self._collected if part.labels is None}
        self._services.metrics.replace(metrics.COLLECTOR_FAILED, self.name, failed)
        self._publish()
        self._services.metrics.add(metrics.PASSES, agent=self.name)
        self._services.metrics.set(metrics.PASS_SECONDS, self._services.clock() - start, agent=self.name)

    def _node_seen(self, view: NodeView) -> None:
        self._publisher.observe(view)
        if self._collected is None:
            return
        if not self._tried or self._was_lost:
            self._was_lost = False
            self._publish()  # what waited for the Node or the API goes out now
        else:
            self._look_after()

    def _look_after(self) -> None:
        """Puts back what somebody changed, as far as the publisher was told. Asks nobody."""
        if self._tried and self._retry_at is None and not self._is_current():
            self._heal()

    def _is_current(self) -> bool:
        try:
            return self._publisher.is_current(self._wanted())
        except NodeError:
            return False  # what cannot be told is found out by publishing

    def _heal(self) -> None:
        """Somebody else changed our labels on the Node: put them back, at once the first time."""
        now = self._services.clock()
        if now - self._healed_at > HEAL_WINDOW:
            self._heals = 0
        if self._heals == 0:
            log.info("labels_restored", agent=self.name)
            self._healed_at = now
            self._publish()
        else:
            self._healed_at = self._retry_at = now + self._backoff.delay(self._heals, self._services.chance())
        self._heals += 1

    def _wanted(self) -> dict[str, str]:
        """All labels to publish; those that Kubernetes would refuse are left out and said once."""
        known = self._publisher.known() or {}
        labels, refused = split_valid(merge_collected(self._collected or (), known))
        if refused != self._refused:
            self._refused = refused
            for label in refused:
                log.warning("label_refused", agent=self.name, key=label.key, value=label.value, why=label.why)
        return settle(labels, known, self._volatile)

    def _publish(self) -> None:
        try:
            if self._publisher.known() is None:
                return
            self._tried = True
            labels = self._wanted()
            wrote = self._publisher.publish(labels)
        except NodeError as error:
            self._publish_failed(error)
            return
        self._failures = 0
        self._retry_at = None
        self._services.readiness.report(f"{self.name}/published", None)
        self._services.metrics.set(metrics.LABELS, len(labels), agent=self.name)
        self._services.metrics.set(metrics.LABELS_REFUSED, len(self._refused), agent=self.name)
        if wrote:
            self._services.metrics.add(metrics.LABEL_WRITES, agent=self.name)
            log.info("labels_published", agent=self.name, count=len(labels))

    def _publish_failed(self, error: NodeError) -> None:
        self._failures += 1
        self._retry_at = self._services.clock() + self._backoff.delay(self._failures, self._services.chance())
        self._services.readiness.report(f"{self.name}/published", str(error))
        self._services.metrics.add(metrics.ERRORS, agent=self.name, check="published")
