"""Lists in pages, and missing rights."""

import pytest

from gpunode.cluster import lists
from gpunode.cluster.connection import Connection
from gpunode.cluster.lists import count_objects, get_object, list_nodes, list_pods
from node_core.errors import KubeError
from node_core.scheduling.objects import Node
from simulation.apiserver import ApiServer


def test_nodes_are_listed_in_pages_by_name(
    server: ApiServer, connection: Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(lists, "PAGE", 2)
    for name in ("c", "a", "b"):
        server.add_node(name)
    server.forget_requests()
    pages = list_nodes(connection.api)
    assert [node.name for node in next(pages)] == ["a", "b"]
    assert server.requests[("list", "/api/v1/nodes")] == 1, "the second page is requested before it is needed"
    assert [[node.name for node in page] for page in pages] == [["c"]]


def test_nodes_are_selected_by_label(server: ApiServer, connection: Connection) -> None:
    server.add_node("a", labels={"team": "x"})
    server.add_node("b")
    assert [node.name for page in list_nodes(connection.api, selector="team=x") for node in page] == ["a"]


def test_a_cluster_without_pods_has_one_empty_page(connection: Connection) -> None:
    assert list(list_pods(connection.api)) == [()]


@pytest.mark.parametrize("count", [0, 1, 3])
def test_objects_are_counted(server: ApiServer, connection: Connection, count: int) -> None:
    for number in range(count):
        server.add_node(str(number))
    assert count_objects(connection.api, lists.NODES) == count


def test_a_server_that_does_not_state_the_number(connection: Connection, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lists, "_read", lambda *_, **__: b'{"metadata": {"continue": "x"}, "items": [{}]}')
    assert count_objects(connection.api, lists.NODES) is None


def test_an_object_that_does_not_exist_is_none(server: ApiServer, connection: Connection) -> None:
    server.add_node("a")
    found = get_object(connection.api, "/api/v1/nodes/a", Node, "nodes")
    assert found is not None
    assert found.name == "a"
    assert get_object(connection.api, "/api/v1/nodes/b", Node, "nodes") is None


def test_a_missing_right_is_named(server: ApiServer, connection: Connection) -> None:
    server.fail_next(1, 403)
    with pytest.raises(KubeError, match="you are not permitted to list nodes") as caught:
        list(list_nodes(connection.api))
    assert "ClusterRole gpunode-viewer" in str(caught.value)
    assert caught.value.status == 403


def test_a_selector_that_is_not_valid_is_named(connection: Connection) -> None:
    with pytest.raises(KubeError, match=r"the label selector '\(\(' is not valid: .*write for example team=research"):
        list(list_nodes(connection.api, selector="(("))


def test_an_expired_list_is_an_error_with_a_hint(server: ApiServer, connection: Connection) -> None:
    server.fail_next(1, 410)
    with pytest.raises(KubeError, match=r"the list of nodes expired while it was read \(run the command again\)"):
        list(list_nodes(connection.api))


def test_a_response_that_is_not_a_list_is_an_error(monkeypatch: pytest.MonkeyPatch, connection: Connection) -> None:
    monkeypatch.setattr(lists, "_read", lambda *_, **__: b'{"items": [{"metadata": {"labels": 5}}]}')
    with pytest.raises(KubeError, match=r"the response for nodes is not valid: .*\$.items\[0\].metadata.labels"):
        list(list_nodes(connection.api))
