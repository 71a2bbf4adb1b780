"""Nodes by their names."""

import pytest

from gpunode.cluster.connection import Connection
from gpunode.cluster.names import read_node
from node_core.errors import KubeError, NodeError
from node_core.scheduling.objects import Node
from simulation.apiserver import ApiServer


def test_the_error_has_the_nearest_names(server: ApiServer, connection: Connection) -> None:
    for name in ("gpu-1", "gpu-2", "gpu-3", "gpu-4", "control"):
        server.add_node(name)
    assert read_node(connection.api, "gpu-1", Node).name == "gpu-1"
    with pytest.raises(NodeError, match=r"has no Node gpu-11 \(did you mean gpu-1 or gpu-4 or gpu-3\?\)"):
        read_node(connection.api, "gpu-11", Node)
    with pytest.raises(NodeError, match=r"has no Node a/b \(gpunode nodes --all shows all Nodes\)"):
        read_node(connection.api, "a/b", Node)


def test_a_person_who_may_not_list_nodes_gets_no_names(connection: Connection, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object) -> None:
        raise KubeError("you are not permitted to list nodes", status=403)

    monkeypatch.setattr("gpunode.cluster.names.list_nodes", refuse)
    with pytest.raises(NodeError, match=r"has no Node x \(you are not permitted to list nodes\)"):
        read_node(connection.api, "x", Node)
