"""Our NodeFeature object in a process: who publishes it, and the watch that tells when somebody else changed it."""

import random
from collections.abc import Callable

from node_core.domain.features import Features
from node_core.domain.node_feature import GFD_PREFIX, VERSION_ANNOTATION, WORKER_PREFIX, NodeFeatureView
from node_core.publish.node_feature import NodeFeaturePublisher
from node_core.runtime.mailbox import Mailbox
from node_core.runtime.messages import AgentMessage, PublishedSeen
from node_core.runtime.node_link import NodeLink
from node_core.version import VERSION


class FeatureLink:
    """manager: the field manager. namespace: None for the one of our pod. prefix: before the Node's name in the object's name.

    features: what spec.features shall say at each publishing.
    """

    def __init__(
        self,
        node: NodeLink,
        manager: str,
        *,
        namespace: str | None = None,
        prefix: str = GFD_PREFIX,
        features: Callable[[], Features] = Features,
    ) -> None:
        from node_core.kube.node_feature import NodeFeatureApi, read_pod_namespace  # noqa: PLC0415
        from node_core.kube.watch import ObjectWatch  # noqa: PLC0415

        api = NodeFeatureApi(node.api, namespace=namespace or read_pod_namespace(), prefix=prefix)
        annotations = {VERSION_ANNOTATION: VERSION} if prefix == WORKER_PREFIX else None
        self.publisher = NodeFeaturePublisher(api, node.api, manager, features=features, annotations=annotations)
        self._watch = ObjectWatch(api, seen=self._seen, failed=self.publisher.unseen, rng=random.Random())  # nosec B311 # jitter
        self._mailboxes: tuple[Mailbox[AgentMessage], ...] = ()

    def tell(self, mailbox: Mailbox[AgentMessage]) -> None:
        """From the start of the watch on, this mailbox is told of every state of the object."""
        self._mailboxes = (*self._mailboxes, mailbox)

    def _seen(self, view: NodeFeatureView | None) -> None:
        self.publisher.seen(view)
        for mailbox in self._mailboxes:
            mailbox.post(PublishedSeen())

    def start(self) -> None:
        self._watch.start()

    def stop(self) -> None:
        self._watch.stop()
