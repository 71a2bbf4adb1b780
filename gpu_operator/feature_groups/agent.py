"""The agent of NodeFeatureGroups: evaluates what has changed, and writes the status of a group that has changed.

All changes within SETTLE_SECONDS cause one pass. Without changes, there is no pass and no request.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Protocol

import structlog

from gpu_operator.cluster.client import NotLeaderError
from gpu_operator.feature_groups.groups import GroupEvaluation, NodeTable
from gpu_operator.feature_groups.status import DesiredStatus, failure_event, plan_status, render_status
from gpu_operator.feature_groups.views import GroupView, NodeFeatureView, NodeMetadata
from node_core.domain.backoff import Backoff
from node_core.domain.events import Event
from node_core.errors import KubeError
from node_core.runtime import metrics
from node_core.runtime.control_loop import Timers
from node_core.runtime.event_recorder import rfc3339
from node_core.runtime.messages import AgentMessage, InputsChanged, Resync
from node_core.runtime.services import Services

log = structlog.get_logger(__name__)

NAME = "feature-groups"
PASS, RETRY = "pass", "retry"
SETTLE_SECONDS = 1.0
"""Seconds between a change and the pass, in which further changes arrive."""
CHECK = f"{NAME}/published"


@dataclass(frozen=True, slots=True, kw_only=True)
class ClusterState:
    """nodes: by name. features, groups: by `namespace/name`."""

    nodes: Mapping[str, NodeMetadata]
    features: Mapping[str, NodeFeatureView]
    groups: Mapping[str, GroupView]


class StatusApi(Protocol):
    """See resources.GroupApi."""

    def write_status(self, group: GroupView, patch: Mapping[str, Any]) -> GroupView: ...


class _Group:
    """The evaluation of a group, and what was written. has_condition: whether the CRD retains conditions."""

    def __init__(self, group: GroupView) -> None:
        self.evaluation = GroupEvaluation(group)
        self.has_condition = True
        self.desired: DesiredStatus | None = None
        self.assessed: GroupView | None = None
        self._response: tuple[str, GroupView] | None = None

    def present(self, observed: GroupView) -> GroupView:
        """Returns the response to the last write until the informer has a newer state."""
        if self._response is not None and self._response[0] == observed.resource_version:
            return self._response[1]
        self._response = None
        return observed

    def record_write(self, observed: GroupView, response: GroupView) -> None:
        self._response = observed.resource_version, response
        self.has_condition = response.status.conditions is not None


class GroupsController:
    """Satisfies control_loop.Controller. read_state: returns the state of the cluster; None while a part is not known.

    is_leader: whether this process may write. record: queues an Event. An error retains the written status.
    """

    name = NAME

    def __init__(
        self,
        services: Services,
        timers: Timers,
        *,
        api: StatusApi,
        namespace: str,
        read_state: Callable[[], ClusterState | None],
        is_leader: Callable[[], bool],
        record: Callable[[Event], None],
    ) -> None:
        self._services, self._timers, self._api = services, timers, api
        self._read_state, self._is_leader, self._record = read_state, is_leader, record
        self._table = NodeTable(namespace)
        self._groups: dict[str, _Group] = {}
        self._backoff = Backoff()
        self._failures = 0
        self._refused: frozenset[str] = frozenset()

    def start(self) -> None:
        """Forgets the evaluations, which may be incomplete after a fault."""
        self._groups = {}
        self._timers.set_after(PASS, 0.0)

    def handle(self, message: AgentMessage) -> None:
        if isinstance(message, InputsChanged | Resync) and not self._timers.is_set(PASS):
            self._timers.set_after(PASS, SETTLE_SECONDS)

    def timer(self, name: str) -> None:
        if name == PASS or not self._timers.is_set(PASS):
            self._pass()

    def reconcile(self) -> None:
        """Does nothing: each change sets the timer of a pass."""

    def close(self, *, is_final: bool) -> None:
        """Does nothing: the status remains."""

    def _pass(self) -> None:
        if not self._is_leader():
            self._report([])
            return  # the lead causes a pass
        if (state := self._read_state()) is None:
            return  # a complete state causes a pass
        began = self._services.clock()
        changed = self._table.update(state.nodes, state.features)
        self._groups = {key: self._find(key, group) for key, group in state.groups.items()}
        errors = [error for key, group in state.groups.items() if (error := self._update(key, group, changed))]
        self._log_refused(state.features)
        self._services.metrics.add(metrics.PASSES, agent=NAME)
        self._services.metrics.set(metrics.PASS_SECONDS, self._services.clock() - began, agent=NAME)
        self._report(errors)

    def _find(self, key: str, group: GroupView) -> _Group:
        known = self._groups.get(key)
        return known if known is not None and known.evaluation.version == group.version else _Group(group)

    def _update(self, key: str, observed: GroupView, changed: set[str]) -> KubeError | None:
        """Evaluates a group, and writes its status if the status differs."""
        state = self._groups[key]
        group = state.present(observed)
        has_changed = self._evaluate(key, state.evaluation, changed)
        if has_changed or state.desired is None or group is not state.assessed:
            state.desired, state.assessed = plan_status(group, state.evaluation.result(group)), group
        desired = state.desired
        if desired.is_written(group.status, with_condition=state.has_condition, generation=group.generation):
            return None
        now = rfc3339(self._services.wall())
        try:
            state.record_write(observed, self._api.write_status(group, render_status(group, desired, now)))
        except KubeError as error:
            log.warning("group_not_written", group=key, why=str(error))
            return error
        log.info("group_written", group=key, nodes=len(desired.nodes), reason=desired.condition.reason)
        if not desired.condition.is_true:
            self._record(failure_event(group, desired.condition, agent=NAME, at=now))
        return None

    def _evaluate(self, key: str, evaluation: GroupEvaluation, changed: set[str]) -> bool:
        """Returns whether a result has changed. A fault of the evaluation ends only the evaluation of this group."""
        try:
            return evaluation.update(self._table.facts, changed)
        except Exception as error:
            log.exception("group_failed", group=key)
            evaluation.stop(f"{type(error).__name__}: {str(error)[:200]}")
            return True

    def _report(self, errors: list[KubeError]) -> None:
        """Retries after an error. A group that was deleted or replaced, and a new lead, cause a change."""
        errors = [error for error in errors if error.status not in (404, 409) and not isinstance(error, NotLeaderError)]
        self._services.readiness.report(CHECK, str(errors[0]) if errors else None)
        if not errors:
            self._failures = 0
            return
        self._failures += 1
        self._services.metrics.add(metrics.ERRORS, agent=NAME, check="published")
        self._timers.set_after(RETRY, self._backoff.delay(self._failures, self._services.chance()))

    def _log_refused(self, features: Mapping[str, NodeFeatureView]) -> None:
        """Logs each problem of NodeFeatures once, and again if the problem disappears and returns."""
        current = frozenset(
            f"{each.object}: {each.where}: {each.why}" for view in features.values() for each in view.problems
        )
        for problem in sorted(current - self._refused):
            log.warning("node_feature_refused", why=problem)
        self._refused = current
