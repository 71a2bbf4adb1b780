"""Our own Node, shared by the agents of a process: one connection and one watch that tells each mailbox."""

import random
from collections.abc import Callable, Sequence

from node_core.domain.labels import Labels
from node_core.domain.node import NodeView
from node_core.errors import KubeError
from node_core.runtime.mailbox import Mailbox
from node_core.runtime.messages import AgentMessage, NodeLost, NodeSeen


class NodeLink:
    """Importing the Kubernetes client costs 30 MB, so that happens here, when a process first needs a cluster.

    labels: of the Node as it was last seen, None before. They may be read from any thread.
    """

    def __init__(self, node_name: str, *, kubeconfig: str | None, user_agent: str) -> None:
        from node_core.kube.client import NodeApi  # noqa: PLC0415
        from node_core.kube.watch import NodeWatch  # noqa: PLC0415

        self.api = NodeApi(node_name, kubeconfig=kubeconfig, user_agent=user_agent)
        self._watch = NodeWatch(
            self.api,
            seen=self._seen,
            failed=self._failed,
            rng=random.Random(),  # nosec B311 # jitter
        )
        self.labels: Labels | None = None
        self._mailboxes: Sequence[Mailbox[AgentMessage]] = ()
        self._followers: Sequence[tuple[str, Callable[[], None]]] = ()

    def tell(self, mailbox: Mailbox[AgentMessage]) -> None:
        """From the start of the watch on, this mailbox gets every state of the Node."""
        self._mailboxes = (*self._mailboxes, mailbox)

    def follow_label(self, key: str, changed: Callable[[], None]) -> None:
        """From the start of the watch on, this is called when the Node is first seen and whenever the label says something else."""
        self._followers = (*self._followers, (key, changed))

    def start(self) -> None:
        self._watch.start()

    def stop(self) -> None:
        self._watch.stop()

    def _seen(self, view: NodeView) -> None:
        before, self.labels = self.labels, view.labels
        for key, changed in self._followers:
            if before is None or before.get(key) != view.labels.get(key):
                changed()
        self._tell(NodeSeen(view))

    def _failed(self, error: KubeError) -> None:
        self._tell(NodeLost(error))

    def _tell(self, message: AgentMessage) -> None:
        for mailbox in self._mailboxes:
            mailbox.post(message)
