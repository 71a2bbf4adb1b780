"""Pauses the DaemonSets of others on this node, and resumes them. Needs `get` and `patch` on nodes, and `list` on pods."""

from collections.abc import Callable, Iterable, Mapping
from typing import Protocol

import msgspec
import structlog

from gpu_core.clients.pause import MetadataPatch, Pause, Previous, parse_record, plan_pause, plan_resume, select_leaving
from node_core.domain.node import NodeView
from node_core.errors import KubeError
from node_core.scheduling.objects import Pod

log = structlog.get_logger(__name__)

ATTEMPTS = 5
"""Maximum attempts of one write if other clients change the Node between the attempts."""


class NodeApi(Protocol):
    """See kube.client.NodeApi. Each call raises KubeError."""

    def get(self) -> NodeView: ...

    def patch_metadata(
        self, manager: str, *, labels: Previous, annotations: Mapping[str, str | None], version: str
    ) -> NodeView: ...


class DaemonSetPause(msgspec.Struct, frozen=True, kw_only=True):
    """api: of this Node. list_pods: returns the pods of the Node with this name. manager: the field manager. Each call raises KubeError."""

    api: NodeApi
    list_pods: Callable[[str], tuple[Pod, ...]]
    manager: str
    pause: Pause

    def begin(self, components: Iterable[str]) -> None:
        """Pauses the DaemonSets of these components, for example `dcgm`. The labels of the Node are recorded in the same request."""
        wanted = tuple(components)
        node = self._write(lambda node: plan_pause(node.labels, node.annotations, wanted, self.pause))
        if node is not None:
            log.info("clients_paused", reason=str(self.pause), previous=self._previous(node))

    def find_leaving(self) -> tuple[Pod, ...]:
        """Returns the pods of paused DaemonSets that have not ended on this node."""
        node = self.api.get()
        if not (previous := self._previous(node)):
            return ()
        return select_leaving(self.list_pods(node.name), node.name, node.labels, previous)

    def find_selected(self, components: Iterable[str]) -> tuple[Pod, ...]:
        """Returns the pods on this node that `begin` would end. Changes nothing."""
        node = self.api.get()
        patch = plan_pause(node.labels, node.annotations, components, self.pause)
        if patch is None:
            return ()
        paused = {key: value for key, value in {**node.labels, **patch.labels}.items() if value is not None}
        previous = {key: node.labels.get(key) for key in patch.labels}
        return select_leaving(self.list_pods(node.name), node.name, paused, previous)

    def end(self) -> bool:
        """Restores the labels that `begin` of this or an earlier process has changed. Without a record, returns False."""
        node = self._write(lambda node: plan_resume(node.labels, node.annotations, self.pause))
        if node is not None:
            log.info("clients_resumed", reason=str(self.pause))
        return node is not None

    def _previous(self, node: NodeView) -> Previous:
        return parse_record(node.labels, node.annotations, self.pause) or {}

    def _write(self, plan: Callable[[NodeView], MetadataPatch | None]) -> NodeView | None:
        """Plans and writes to the present Node. Returns the written Node; None if nothing had to be written."""
        for attempt in range(1, ATTEMPTS + 1):
            node = self.api.get()
            if (patch := plan(node)) is None:
                return None
            try:
                return self.api.patch_metadata(
                    self.manager, labels=patch.labels, annotations=patch.annotations, version=node.resource_version
                )
            except KubeError as error:
                if error.status != 409 or attempt == ATTEMPTS:
                    raise
        return None
