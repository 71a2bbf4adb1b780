"""Carries out the steps of the upgrades. A step that fails concerns only its Node, and the next pass plans the step again."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote

import structlog

from gpu_core.pods.eviction import DrainPod
from gpu_operator.upgrade.budget import select_starts
from gpu_operator.upgrade.keys import BUSY, REASON, STATE, State
from gpu_operator.upgrade.steps import NodeStep, Steps
from node_core.domain.events import Event, Reference, event_name, render_event, shorten
from node_core.errors import KubeError
from node_core.kube.events import EventApi
from node_core.kube.http import ApiClient, parse_response
from node_core.kube.pods import PodApi
from node_core.runtime.event_recorder import rfc3339

log = structlog.get_logger(__name__)

AGENT = "gpu-operator"
EVENT_REASON = "GPUDriverUpgrade"
"""Reason of the Events, as in NVIDIA's GPU Operator."""
MERGE_PATCH = "application/merge-patch+json"
NODES = "/api/v1/nodes"
NO_RESPONSE = 0
"""Status of a request to an API server that does not respond."""
GONE_OR_CHANGED = (404, 409)
"""Statuses of a Node or pod that has changed since the view was made. The next view shows the change."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Applied:
    """failures: why steps failed, one sentence each. has_response: False if the API server did not respond; then steps were omitted."""

    failures: tuple[str, ...] = ()
    has_response: bool = True


def apply_steps(steps: Steps, api: ApiClient) -> Applied:
    """Never raises KubeError. Ends at the first request to which the API server does not respond."""
    applier = _Applier(api, steps.at)
    try:
        applier.apply(steps)
    except _NoResponseError as error:
        return Applied(failures=(*applier.failures, str(error)), has_response=False)
    return Applied(failures=tuple(applier.failures))


class _NoResponseError(KubeError):
    """The API server does not respond, so the other steps would fail, too."""


class _Applier:
    """failures: why steps failed."""

    def __init__(self, api: ApiClient, at: float) -> None:
        self._api, self._pods, self._events = api, PodApi(api), EventApi(api)
        self._at = at
        self.failures: list[str] = []

    def apply(self, steps: Steps) -> None:
        for step in steps.nodes:
            self._apply_node(step)
        if steps.starts and (started := self._read_started()) is not None:
            for step in (each for starts in steps.starts for each in select_starts(starts, started)):
                self._apply_node(step)

    def _read_started(self) -> frozenset[str] | None:
        """Returns the Nodes whose upgrade has started. The view can be older than the last start, also of another controller."""
        query = {"labelSelector": f"{STATE} in ({','.join((*BUSY, State.FAILED))})"}
        try:
            return parse_response(_parse_names, self._api.request("GET", NODES, query=query))
        except KubeError as error:
            self._report("cannot start upgrades", error)
            return None

    def _apply_node(self, step: NodeStep) -> None:
        if step.patch is not None and not self._patch(step, step.patch):
            return
        refusals = [*self._remove(step.evict, is_evicted=True), *self._remove(step.delete, is_evicted=False)]
        if refusals and step.patch is None and (why := shorten("; ".join(refusals))) != step.written_reason:
            metadata = {"resourceVersion": step.resource_version, "annotations": {REASON: why}}
            self._patch(step, {"metadata": metadata})

    def _patch(self, step: NodeStep, patch: dict[str, Any]) -> bool:
        """Returns whether the Node has changed."""
        try:
            path = f"{NODES}/{quote(step.node, safe='')}"
            self._api.request("PATCH", path, query={"fieldManager": AGENT}, body=patch, content=MERGE_PATCH)
        except KubeError as error:
            self._report(f"Node {step.node}", error)
            return False
        if step.state is not None:
            log.info("driver_upgrade_state", node=step.node, state=str(step.state), why=step.reason)
            self._record(step, step.state)
        return True

    def _record(self, step: NodeStep, state: State) -> None:
        try:
            self._events.create(render_event(state_event(step, state, self._at)))
        except KubeError as error:
            self._report(f"the Event about Node {step.node}", error)

    def _remove(self, pods: Iterable[DrainPod], *, is_evicted: bool) -> Iterator[str]:
        """Yields why pods are not removed."""
        remove = self._pods.evict if is_evicted else self._pods.delete
        for pod in pods:
            try:
                remove(pod.metadata.namespace, pod.metadata.name, uid=pod.metadata.uid)
            except KubeError as error:
                self._report(f"pod {pod.key}", error)
                if error.status not in GONE_OR_CHANGED:
                    yield f"pod {pod.key} is not removed: {error.message.rpartition(f'HTTP {error.status}: ')[2]}"

    def _report(self, what: str, error: KubeError) -> None:
        """Raises _NoResponseError if the API server does not respond."""
        if error.status == NO_RESPONSE:
            raise _NoResponseError(f"{what}: {error.message}", hint=error.hint) from error
        if error.status not in (*GONE_OR_CHANGED, 429):
            self.failures.append(f"{what}: {error}")


def state_event(step: NodeStep, state: State, at: float) -> Event:
    """Builds the Event about a new state of a Node. PURE."""
    why = f": {step.reason}" if state is State.FAILED else ""
    return Event(
        name=event_name(step.node, EVENT_REASON, state, at),
        about=Reference(kind="Node", name=step.node, uid=step.node),
        reason=EVENT_REASON,
        note=f"The driver upgrade of the Node has the state {state}{why}",
        at=rfc3339(at),
        agent=AGENT,
        node_name=step.node,
        is_warning=state is State.FAILED,
    )


def _parse_names(response: Any) -> frozenset[str]:
    return frozenset(str(each["metadata"]["name"]) for each in response["items"])
