"""Our own Node, shared by the agents of a process: one connection and one watch that tells each mailbox."""

import random
from collections.abc import Sequence

from node_core.errors import KubeError
from node_core.runtime.mailbox import Mailbox
from node_core.runtime.messages import AgentMessage, NodeLost, NodeSeen


class NodeLink:
    """Importing the Kubernetes client costs 30 MB, so that happens here, when a process first needs a cluster."""

    def __init__(self, node_name: str, *, kubeconfig: str | None, user_agent: str) -> None:
        from node_core.kube.client import NodeApi  # noqa: PLC0415
        from node_core.kube.watch import NodeWatch  # noqa: PLC0415

        self.api = NodeApi(node_name, kubeconfig=kubeconfig, user_agent=user_agent)
        self._watch = NodeWatch(
            self.api,
            seen=lambda view: self._tell(NodeSeen(view)),
            failed=self._failed,
            rng=random.Random(),
        )
        self._mailboxes: Sequence[Mailbox[AgentMessage]] = ()

    def tell(self, mailbox: Mailbox[AgentMessage]) -> None:
        """From the start of the watch on, this mailbox gets every state of the Node."""
        self._mailboxes = (*self._mailboxes, mailbox)

    def start(self) -> None:
        self._watch.start()

    def stop(self) -> None:
        self._watch.stop()

    def _failed(self, error: KubeError) -> None:
        self._tell(NodeLost(error))

    def _tell(self, message: AgentMessage) -> None:
        for mailbox in self._mailboxes:
            mailbox.post(message)
