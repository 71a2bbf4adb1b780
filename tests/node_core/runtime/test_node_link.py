"""What is told of our own Node, and to whom, over a real connection."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from node_core.runtime.mailbox import Mailbox
from node_core.runtime.messages import AgentMessage, NodeSeen
from node_core.runtime.node_link import NodeLink
from node_core.simulate.apiserver import ApiServer

KEY = "example.com/config"


@pytest.fixture
def server() -> Iterator[ApiServer]:
    with ApiServer() as server:
        server.add_node("n1", labels={KEY: "a"})
        yield server


class Life:
    """A link; `changes` has what the label was at each call."""

    def __init__(self, server: ApiServer, directory: Path) -> None:
        server.write_kubeconfig(directory / "kubeconfig")
        self.server = server
        self.link = NodeLink("n1", kubeconfig=str(directory / "kubeconfig"), user_agent="test")
        self.mailbox: Mailbox[AgentMessage] = Mailbox()
        self.changes: list[str | None] = []
        self.link.follow_label(KEY, self._changed)
        self.link.tell(self.mailbox)

    def _changed(self) -> None:
        self.changes.append((self.link.labels or {}).get(KEY))

    def label(self, labels: dict[str, str]) -> None:
        def change(node: dict[str, Any]) -> dict[str, Any]:
            node["metadata"]["labels"] = labels
            return node

        self.server.store.mutate("nodes", "n1", change)

    def until_seen(self, labels: dict[str, str]) -> None:
        for _ in range(100):
            message = self.mailbox.take(timeout=20)
            assert isinstance(message, NodeSeen)
            if {key: value for key, value in message.view.labels.items() if key in (KEY, "x")} == labels:
                return
        raise AssertionError(labels)


def test_who_follows_a_label_is_called_at_first_sight_and_when_the_label_says_something_else(
    server: ApiServer, tmp_path: Path
) -> None:
    life = Life(server, tmp_path)
    assert life.link.labels is None
    life.link.start()
    states = [{KEY: "a"}, {KEY: "a", "x": "1"}, {KEY: "b"}, {KEY: "b", "x": "2"}, {"x": "2"}, {}]
    life.until_seen(states[0])
    for labels in states[1:]:
        life.label(labels)
        life.until_seen(labels)
    life.link.stop()
    assert life.changes == ["a", "b", None]
