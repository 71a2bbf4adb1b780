"""Labels and annotations on our own Node by server-side apply, one field manager per agent.

What the manager stops applying disappears by itself; what others own stays. Nothing is sent when the watched Node already
says what we would write.
"""

from collections.abc import Callable, Mapping
from typing import Protocol

import structlog

from node_core.domain.labels import Labels
from node_core.domain.node import NodeView
from node_core.domain.outputs import NodeOutputs
from node_core.errors import KubeError, PublishError
from node_core.publish.latest import Latest

log = structlog.get_logger(__name__)


YIELDS_TO: Mapping[str, tuple[str, ...]] = {"nfd-lite": ("gfd",)}
"""Field manager -> those whose labels it leaves to them: no rule changes what gfd says of the GPUs."""


class LabelApi(Protocol):
    """What we need of the Kubernetes API; see kube.client.NodeApi."""

    def get(self) -> NodeView: ...

    def apply_labels(
        self, manager: str, labels: Labels, *, annotations: Mapping[str, str], force: bool
    ) -> NodeView: ...


class NodePublisher:
    """manager: the field manager, `nfd-lite` or `gfd`. `observe` brings each state of the Node that the watch sees.

    outputs: what is wanted beside labels at each publishing, of which the annotations go out here; None: they stay as they are.
    """

    def __init__(self, api: LabelApi, manager: str, *, outputs: Callable[[], NodeOutputs | None] = NodeOutputs) -> None:
        self._api = api
        self._manager = manager
        self._outputs = outputs
        self._yielded: frozenset[str] = frozenset()
        self._latest: Latest[NodeView] = Latest()
        self._published: Labels = {}
        self._annotated: Mapping[str, str] = {}

    def observe(self, view: NodeView) -> None:
        self._latest.observe(view)

    def refresh(self) -> None:
        self.observe(self._api.get())

    def known(self) -> Labels | None:
        live = self._latest.view
        return None if live is None else {**live.applied_by(self._manager), **self._published}

    def is_current(self, labels: Labels) -> bool:
        """Whether the Node already says exactly this in our name."""
        live = self._latest.view
        return live is not None and self._says(live, self._ours(live, labels), self._annotations(live))

    def publish(self, labels: Labels) -> bool:
        live = self._latest.view
        if live is None:
            raise PublishError("the Node has not been read yet")
        labels = self._ours(live, labels)
        annotations = self._annotations(live)
        wrote = not self._says(live, labels, annotations)
        if wrote:
            self._latest.answered(self._apply(labels, annotations))
        self._published, self._annotated = dict(labels), annotations
        return wrote

    def _ours(self, live: NodeView, labels: Labels) -> Labels:
        """Without those that another agent of ours says: two that insist would write without end."""
        theirs = {key for manager in YIELDS_TO.get(self._manager, ()) for key in live.owned.get(manager, ())}
        yielded = frozenset(theirs & labels.keys())
        for key in sorted(yielded - self._yielded):
            log.warning(
                "label_left_to_another", manager=self._manager, key=key, why="another agent of this node says it"
            )
        self._yielded = yielded
        return {key: value for key, value in labels.items() if key not in yielded} if yielded else labels

    def _annotations(self, live: NodeView) -> dict[str, str]:
        known = {**live.annotations_by(self._manager), **self._annotated}
        outputs = self._outputs()
        return known if outputs is None else outputs.annotations_over(known)

    def _says(self, live: NodeView, labels: Labels, annotations: Mapping[str, str]) -> bool:
        return live.applied_by(self._manager) == labels and live.annotations_by(self._manager) == annotations

    def _apply(self, labels: Labels, annotations: Mapping[str, str]) -> NodeView:
        try:
            return self._api.apply_labels(self._manager, labels, annotations=annotations, force=False)
        except KubeError as error:
            if error.status != 409:
                raise
            log.warning("label_conflict_taken", manager=self._manager, conflict=error.message)
            return self._api.apply_labels(self._manager, labels, annotations=annotations, force=True)
