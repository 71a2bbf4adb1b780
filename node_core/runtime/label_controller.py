"""The controller of an agent that publishes labels: collect the desired state, compare it with the observed state, write the difference."""

from collections.abc import Callable, Mapping
from typing import Any

import structlog

from node_core.domain.backoff import Backoff
from node_core.domain.desired import Desired, Outputs, complete, merge_published
from node_core.domain.labels import InvalidLabel, Labels, preserve_volatile, split_valid
from node_core.domain.node import NodeView
from node_core.domain.reconcile import BlockedOutput
from node_core.errors import NodeError
from node_core.publish.writer import Writer, write_outputs
from node_core.runtime import metrics
from node_core.runtime.control_loop import ControlLoop, Timers
from node_core.runtime.messages import (
    AgentMessage,
    InputsChanged,
    NodeChanged,
    NodeFeatureChanged,
    NodeUnavailable,
    Resync,
)
from node_core.runtime.services import Services

log = structlog.get_logger(__name__)

DEBOUNCE_SECONDS = 1.0
"""Minimum seconds between two collections, if a change of rules or of Node labels causes the second collection."""
RESTORE_WINDOW = 180.0
"""If other clients change the published labels again within this many seconds, the labels are restored after increasing delays."""
CLOCK_CHECK = 30.0
"""Maximum seconds between two reads of the wall clock before a result expires: an administrator may set the clock."""
MAX_NAMED = 20
"""Maximum labels of a kind that a log line names."""
COLLECT, RETRY, EXPIRY = "collect", "retry", "expiry"


class LabelController:
    """Satisfies control_loop.Controller. Used by one thread.

    name: also the field manager on the Node. collect: returns the desired state for the newest observed Node; None for an unknown Node.
    reads: returns the part of the Node on which `collect` depends. A change of this part causes a collection. volatile: label keys whose
    changes alone do not cause a write.
    """

    def __init__(
        self,
        name: str,
        *,
        collect: Callable[[NodeView | None], Desired],
        writer: Writer,
        services: Services,
        timers: Timers,
        reads: Callable[[NodeView], object] = lambda _: None,
        volatile: frozenset[str] = frozenset(),
    ) -> None:
        self.name = name
        self._collect = collect
        self._writer = writer
        self._services = services
        self._timers = timers
        self._logged: dict[str, str] | None = None
        self._reads = reads
        self._volatile = volatile
        self._backoff = Backoff()
        self._node: NodeView | None = None
        self._desired: Desired | None = None
        self._wanted = Outputs()
        self._refused: tuple[InvalidLabel, ...] = ()
        self._blocked_outputs: tuple[BlockedOutput, ...] = ()
        self._collected_at = float("-inf")
        self._is_settled = False
        self._is_lost = False
        self._is_reported = False
        self._failures = 0
        self._heals = 0
        self._healed_at = float("-inf")

    def start(self) -> None:
        self._services.readiness.expect(f"{self.name}/published")
        self._timers.set_after(COLLECT, 0.0)

    def handle(self, message: AgentMessage) -> None:
        match message:
            case Resync():
                self._timers.set_after(COLLECT, 0.0)
                self._write_at_once()
            case InputsChanged():
                self._collect_soon()
            case NodeChanged(view):
                self._services.readiness.report(f"{self.name}/node", None)
                self._observe(view)
            case NodeUnavailable(error):
                self._is_lost = True
                self._services.readiness.report(f"{self.name}/node", str(error))
                self._services.metrics.add(metrics.ERRORS, agent=self.name, check="node")
            case NodeFeatureChanged(view=node_feature):
                self._writer.observe_object(node_feature)
            case _:
                pass

    def timer(self, name: str) -> None:
        if name == COLLECT:
            self.collect()
        elif name == RETRY:
            self._is_settled = False
        elif name == EXPIRY:
            self._await_expiry()

    def reconcile(self) -> None:
        """Writes the difference between the desired and the observed state. Sends no request if there is no difference."""
        if self._desired is None or self._timers.is_set(RETRY):
            return
        try:
            published = self._writer.published()
            if published is None:
                return
            self._wanted = self._complete(self._desired, published)
            is_current = not self._writer.reconcile(self._wanted)
            if not is_current and self._is_settled and not self._may_restore():
                return
            changes = {} if is_current else _describe_changes(published.labels, self._wanted.labels)
            wrote = not is_current and write_outputs(self._writer, self._wanted)
            self._report_blocked_outputs()
        except NodeError as error:
            self._failed(error)
        else:
            self._succeeded(changes if wrote else None)

    def close(self, *, is_final: bool) -> None:
        """Does nothing: the labels remain."""

    def collect(self) -> None:
        """Collects the desired state; `reconcile` publishes it."""
        start = self._collected_at = self._services.clock()
        desired = self._collect(self._node)
        if is_changed := desired != self._desired:
            self._write_at_once()
        self._desired = desired
        failed: dict[tuple[str, ...], int] = {(self.name, each.name): 0 for each in desired.results}
        failed |= {(self.name, each.name): 1 for each in desired.results if each.labels is None}
        self._services.metrics.replace(metrics.COLLECTOR_FAILED, self.name, failed)
        self._services.metrics.add(metrics.PASSES, agent=self.name)
        seconds = self._services.clock() - start
        self._services.metrics.set(metrics.PASS_SECONDS, seconds, agent=self.name)
        log.debug(
            "pass_completed",
            agent=self.name,
            seconds=round(seconds, 4),
            is_changed=is_changed,
            parts=len(desired.results),
        )
        self._set_expiry(self._seconds_left())

    def run_once(self) -> bool:
        """Collects and publishes once, for --oneshot. Returns whether both succeeded."""
        try:
            self._node = self._writer.refresh()
        except NodeError as error:
            self._failed(error)
            return False
        self.collect()
        self.reconcile()
        return self._failures == 0 and not (self._desired is not None and self._desired.is_unknown)

    def _collect_soon(self, *, after: float = DEBOUNCE_SECONDS) -> None:
        """Schedules a collection. after: minimum seconds since the last collection."""
        if after == 0.0 or not self._timers.is_set(COLLECT):
            self._timers.set_at(COLLECT, max(self._services.clock(), self._collected_at + after))

    def _await_expiry(self) -> None:
        """Collects if a result has expired; otherwise sets the timer."""
        left = self._seconds_left()
        if left is not None and left <= 0:
            self.collect()
        else:
            self._set_expiry(left)

    def _set_expiry(self, left: float | None) -> None:
        if left is None:
            self._timers.cancel(EXPIRY)
        else:
            self._timers.set_after(EXPIRY, min(left, CLOCK_CHECK) if left > 0 else DEBOUNCE_SECONDS)

    def _seconds_left(self) -> float | None:
        at = None if self._desired is None else self._desired.expires_at
        return None if at is None else at - self._services.wall()

    def _observe(self, node: NodeView) -> None:
        before, self._node = self._node, node
        self._writer.observe(node)
        is_new = before is None or before.uid != node.uid
        if self._reads(node) != (None if before is None else self._reads(before)):
            self._collect_soon(after=0.0 if is_new else DEBOUNCE_SECONDS)
        if self._is_lost or is_new:
            self._is_lost = False
            self._write_at_once()

    def _write_at_once(self) -> None:
        """Makes the next `reconcile` write differences at once, because a difference is not a change by other clients."""
        self._is_settled = False
        self._timers.cancel(RETRY)

    def _may_restore(self) -> bool:
        """Handles a change of published labels by others. Returns True to restore at once. After repeated changes, sets the retry timer."""
        now = self._services.clock()
        if now - self._healed_at > RESTORE_WINDOW:
            self._heals = 0
        self._heals += 1
        if self._heals == 1:
            log.info("labels_restored", agent=self.name)
            self._healed_at = now
            return True
        self._healed_at = now + self._backoff.delay(self._heals - 1, self._services.chance())
        self._timers.set_at(RETRY, self._healed_at)
        return False

    def _complete(self, desired: Desired, observed: Outputs) -> Outputs:
        """Returns the outputs to publish. Labels that Kubernetes would refuse are omitted and logged once."""
        published = merge_published(observed, self._wanted)
        outputs = complete(desired, published)
        labels, refused = split_valid(outputs.labels)
        if refused != self._refused:
            self._refused = refused
            for label in refused:
                log.warning("label_refused", agent=self.name, key=label.key, value=label.value, why=label.why)
        return Outputs(
            labels=preserve_volatile(labels, published.labels, self._volatile),
            annotations=outputs.annotations,
            taints=outputs.taints,
            extended_resources=outputs.extended_resources,
            features=outputs.features,
        )

    def _report_blocked_outputs(self) -> None:
        blocked_outputs = self._writer.blocked_outputs(self._wanted)
        for each in sorted(set(blocked_outputs) - set(self._blocked_outputs), key=lambda each: (each.event, each.name)):
            log.warning(each.event, agent=self.name, why=each.why, **{each.kind: each.name})
        self._blocked_outputs = blocked_outputs

    def _succeeded(self, changes: Mapping[str, Any] | None) -> None:
        """changes: see `_describe_changes`; None if nothing was written."""
        self._failures = 0
        self._is_settled = True
        self._services.readiness.report(f"{self.name}/published", None)
        self._services.metrics.set(metrics.LABELS, len(self._wanted.labels), agent=self.name)
        self._services.metrics.set(metrics.LABELS_REFUSED, len(self._refused), agent=self.name)
        if changes is not None:
            self._services.metrics.add(metrics.LABEL_WRITES, agent=self.name)
            is_new, self._logged = self._wanted.labels != self._logged, dict(self._wanted.labels)
            if is_new or not self._heals:  # the first restoration is logged as labels_restored
                log.info("labels_published", agent=self.name, count=len(self._logged), **changes)
        else:
            report = log.debug if self._is_reported else log.info
            report("labels_unchanged", agent=self.name, count=len(self._wanted.labels))
        self._is_reported = True

    def _failed(self, error: NodeError) -> None:
        self._failures += 1
        self._timers.set_after(RETRY, self._backoff.delay(self._failures, self._services.chance()))
        self._services.readiness.report(f"{self.name}/published", str(error))
        self._services.metrics.add(metrics.ERRORS, agent=self.name, check="published")


def _describe_changes(before: Labels, after: Labels) -> dict[str, Any]:
    """Returns the changed labels as fields of a log line, at most MAX_NAMED of each kind."""
    changes = {
        "added": [f"{key}={value}" for key, value in after.items() if key not in before],
        "changed": [f"{key}={value}" for key, value in after.items() if key in before and before[key] != value],
        "removed": [key for key in before if key not in after],
    }
    return {
        kind: [*sorted(keys)[:MAX_NAMED], *([f"and {len(keys) - MAX_NAMED} more"] if len(keys) > MAX_NAMED else [])]
        for kind, keys in changes.items()
        if keys
    }


LabelLoop = ControlLoop[LabelController]
"""With --oneshot, a process runs `controller.run_once` in place of the loop."""
