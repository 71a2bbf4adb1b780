"""Reads a Node by its name, and finds the nearest names of one that does not exist."""

import difflib
from typing import TypeVar
from urllib.parse import quote

from gpunode.cluster.lists import NODES, get_object, list_nodes
from node_core.errors import KubeError, NodeError
from node_core.kube.http import ApiClient

Item = TypeVar("Item")

NEAREST = 3


def read_node(api: ApiClient, name: str, item: type[Item]) -> Item:
    """Returns a Node. item: the type of the object, as in `get_object`. Raises NodeError, with the nearest names of a missing Node."""
    node = get_object(api, f"{NODES.path}/{quote(name, safe='')}", item, NODES.name)
    if node is None:
        raise NodeError(f"the cluster has no Node {name}", hint=_hint(api, name))
    return node


def _hint(api: ApiClient, name: str) -> str:
    try:
        names = [node.name for page in list_nodes(api) for node in page]
    except KubeError as error:
        return str(error)
    near = difflib.get_close_matches(name, names, n=NEAREST)
    return f"did you mean {' or '.join(near)}?" if near else "gpunode nodes --all shows all Nodes"
