"""Labels as a NodeFeature object, for clusters where nfd-master writes the Nodes. It takes the labels from there.

The object is ours: server-side apply under our field manager, sent only when the live object says something else. It is owned by
the Node and by no pod, so labels outlive our pods. It is read once; from then on our own writes bring its state, and a watch does
where there is one.
"""

from collections import deque
from collections.abc import Callable, Mapping
from typing import Protocol

import structlog

from node_core.domain.features import Features
from node_core.domain.labels import Labels
from node_core.domain.node import NodeView
from node_core.domain.node_feature import NodeFeature, NodeFeatureView, node_label_problem
from node_core.errors import KubeError, PublishError
from node_core.publish.latest import Latest

log = structlog.get_logger(__name__)


class FeatureApi(Protocol):
    """What we need of the Kubernetes API; see kube.node_feature.NodeFeatureApi."""

    def get(self) -> NodeFeatureView | None: ...

    def apply(self, manager: str, wanted: NodeFeature, *, force: bool) -> NodeFeatureView: ...


class NodeSource(Protocol):
    """Where a process that does not watch asks for its Node; see kube.client.NodeApi."""

    def get(self) -> NodeView: ...


class NodeFeaturePublisher:
    """manager: the field manager. features: what spec.features shall say at each publishing; nothing, for gfd.

    annotations: of the object.
    """

    def __init__(
        self,
        api: FeatureApi,
        node: NodeSource,
        manager: str,
        *,
        features: Callable[[], Features] = Features,
        annotations: Mapping[str, str] | None = None,
    ) -> None:
        self._api = api
        self._node = node
        self._manager = manager
        self._features = features
        self._annotations = dict(annotations or {})
        self._owner: NodeView | None = None
        self._latest: Latest[NodeFeatureView] = Latest()
        self._was_read = False
        self._published: Labels = {}
        self._news: deque[NodeFeatureView | None] = deque(maxlen=1)
        self._watched: bool | None = None

    def observe(self, view: NodeView) -> None:
        """Our Node, which owns the object: one that was created anew is another owner, so the object is written again."""
        self._owner = view

    def refresh(self) -> None:
        self.observe(self._node.get())
        self._read()

    def known(self) -> Labels | None:
        """None before the Node is known. Reads the object the first time, so it raises KubeError until that worked."""
        if self._owner is None:
            return None
        self._take_news()
        if not self._was_read:
            self._read()
        live = self._latest.view
        return {**(live.applied_by(self._manager) if live else {}), **self._published}

    def is_current(self, labels: Labels) -> bool:
        """Whether the object already says exactly this in our name."""
        self._take_news()
        if self._owner is None or not self._was_read:
            return False
        return self._wanted(labels, self._owner).is_said_by(self._latest.view, self._manager)

    def publish(self, labels: Labels) -> bool:
        if self._owner is None:
            raise PublishError("the Node has not been read yet")
        if problem := node_label_problem(self._owner.name):
            raise PublishError(problem, hint="publish with --publish node")
        self._take_news()
        if not self._was_read:
            self._read()
        wrote = not self.is_current(labels)
        if wrote:
            self._latest.answered(self._apply(self._wanted(labels, self._owner)))
        self._published = dict(labels)
        return wrote

    def seen(self, live: NodeFeatureView | None) -> None:
        """A state of the object that a watch brought, None for no object. From any thread; taken in when we next look."""
        self._watched = True
        self._news.append(live)

    def unseen(self, error: KubeError) -> None:
        """The watch broke. From any thread. Our own writes are known without it."""
        if self._watched is not False:
            log.warning("node_feature_unwatched", manager=self._manager, why=str(error))
        self._watched = False

    def _take_news(self) -> None:
        """What the watch brought last."""
        if not self._news:
            return
        live = self._news.pop()
        if live is None:
            self._latest.gone()
        else:
            self._latest.observe(live)
        self._was_read = True

    def _wanted(self, labels: Labels, node: NodeView) -> NodeFeature:
        return NodeFeature(
            node_name=node.name,
            node_uid=node.uid,
            labels=labels,
            features=self._features(),
            annotations=self._annotations,
        )

    def _read(self) -> None:
        live = self._api.get()
        if live is None:
            self._latest.gone()
        else:
            self._latest.answered(live)
        self._was_read = True

    def _apply(self, wanted: NodeFeature) -> NodeFeatureView:
        try:
            return self._api.apply(self._manager, wanted, force=False)
        except KubeError as error:
            if error.status != 409:
                raise
            log.warning("label_conflict_taken", manager=self._manager, conflict=error.message)
            return self._api.apply(self._manager, wanted, force=True)
