"""Which objects are removed."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gpu_operator.garbage.orphans import KINDS, NodeObject, parse_object, select_orphans
from node_core.domain.node_feature import NODE_NAME_LABEL

FEATURE, TOPOLOGY = KINDS
DAEMON_SET = {"kind": "DaemonSet", "name": "nfd-worker", "uid": "1"}
OWNER = {"kind": "Node", "name": "gone", "uid": "2"}


def obj(name: str, *, node: str | None = None, owners: tuple[Any, ...] = ()) -> dict[str, Any]:
    labels = {} if node is None else {NODE_NAME_LABEL: node}
    return {"metadata": {"name": name, "uid": "u", "resourceVersion": "1", "labels": labels, "ownerReferences": owners}}


@pytest.mark.parametrize(
    ("found", "is_removed"),
    [
        pytest.param(parse_object(FEATURE, obj("f", node="gone")), True, id="the Node is gone"),
        pytest.param(parse_object(FEATURE, obj("f", node="gone", owners=(DAEMON_SET,))), True, id="as nfd-worker's"),
        pytest.param(parse_object(FEATURE, obj("f", node="gone", owners=(OWNER,))), False, id="Kubernetes removes it"),
        pytest.param(
            parse_object(TOPOLOGY, obj("gone", owners=(OWNER, {"kind": "Namespace"}))), True, id="another owner remains"
        ),
        pytest.param(parse_object(FEATURE, obj("f", node="n1")), False, id="the Node exists"),
        pytest.param(parse_object(FEATURE, obj("gone")), False, id="its Node is not known"),
        pytest.param(parse_object(TOPOLOGY, obj("gone")), True, id="topology of a Node that is gone"),
        pytest.param(parse_object(TOPOLOGY, obj("n1")), False, id="topology of a Node"),
    ],
)
def test_an_object_is_removed_if_its_node_does_not_exist(found: NodeObject, is_removed: bool) -> None:
    assert select_orphans([found], ["n1"]) == ((found,) if is_removed else ())


@given(st.lists(st.sampled_from("abc")), st.frozensets(st.sampled_from("abc")))
def test_nothing_is_removed_for_an_existing_node_or_without_nodes(names: list[str], nodes: frozenset[str]) -> None:
    removed = select_orphans([parse_object(TOPOLOGY, obj(name)) for name in names], nodes)
    assert not nodes & {each.node_name for each in removed}
    assert nodes or not removed
