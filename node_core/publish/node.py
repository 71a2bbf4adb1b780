"""Labels on our own Node by server-side apply, one field manager per agent.

What the manager stops applying disappears by itself; what others own stays. Nothing is sent when the watched Node already
says what we would write.
"""

from typing import Protocol

import structlog

from node_core.domain.labels import Labels
from node_core.domain.node import NodeView
from node_core.errors import KubeError, PublishError

log = structlog.get_logger(__name__)


class LabelApi(Protocol):
    """What we need of the Kubernetes API; see kube.client.NodeApi."""

    def get(self) -> NodeView: ...

    def apply_labels(self, manager: str, labels: Labels, *, force: bool) -> NodeView: ...


class NodePublisher:
    """manager: the field manager, `nfd-lite` or `gfd`. `observe` brings each state of the Node that the watch sees."""

    def __init__(self, api: LabelApi, manager: str) -> None:
        self._api = api
        self._manager = manager
        self._live: NodeView | None = None
        self._published: Labels = {}

    def observe(self, view: NodeView) -> None:
        """The watched Node. The watch may still bring a state from before our own last write: that one is passed over."""
        if self._live is None or view.uid != self._live.uid or not view.is_older_than(self._live):
            self._live = view

    def refresh(self) -> None:
        self.observe(self._api.get())

    def known(self) -> Labels | None:
        if self._live is None:
            return None
        return {**self._live.applied_by(self._manager), **self._published}

    def is_current(self, labels: Labels) -> bool:
        """Whether the Node already says exactly this in our name."""
        return self._live is not None and self._live.applied_by(self._manager) == dict(labels)

    def publish(self, labels: Labels) -> bool:
        if self._live is None:
            raise PublishError("the Node has not been read yet")
        wrote = not self.is_current(labels)
        if wrote:
            self._live = self._apply(labels)
        self._published = dict(labels)
        return wrote

    def _apply(self, labels: Labels) -> NodeView:
        try:
            return self._api.apply_labels(self._manager, labels, force=False)
        except KubeError as error:
            if error.status != 409:
                raise
            log.warning("label_conflict_taken", manager=self._manager, conflict=error.message)
            return self._api.apply_labels(self._manager, labels, force=True)
