"""The kinds of objects that gpu-operator watches, and the part of each object that is retained."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote

from gpu_operator.view import DRIVER_SELECTOR, Obj


@dataclass(frozen=True, slots=True, kw_only=True)
class Kind:
    """field: of the ClusterView. selector: a label selector; empty for all objects. prune: returns the retained part.

    is_namespaced: only the objects in the namespace of gpu-operator are watched.
    """

    field: str
    group: str
    version: str
    plural: str
    prune: Callable[[Mapping[str, Any]], Obj]
    selector: str = ""
    is_namespaced: bool = False

    def path(self, namespace: str) -> str:
        """The path of the collection. namespace: of gpu-operator."""
        api = f"/apis/{self.group}/{self.version}" if self.group else f"/api/{self.version}"
        return (
            f"{api}/namespaces/{quote(namespace, safe='')}/{self.plural}"
            if self.is_namespaced
            else f"{api}/{self.plural}"
        )


def without_managed_fields(body: Mapping[str, Any]) -> Obj:
    """managedFields are half of an object, and nothing reads them."""
    metadata = {key: value for key, value in body["metadata"].items() if key != "managedFields"}
    return {**body, "metadata": metadata}


def prune_node(body: Mapping[str, Any]) -> Obj:
    """The images and the heartbeats of a Node are large, and change often."""
    node = without_managed_fields(body)
    status = body.get("status") or {}
    conditions = [
        {key: value for key, value in each.items() if key != "lastHeartbeatTime"}
        for each in status.get("conditions") or ()
    ]
    return {**node, "status": {"conditions": conditions, "nodeInfo": status.get("nodeInfo") or {}}}


def without_data(body: Mapping[str, Any]) -> Obj:
    """A ControllerRevision contains a whole pod template, of which only the revision matters."""
    return {key: value for key, value in without_managed_fields(body).items() if key != "data"}


KINDS = (
    Kind(field="nodes", group="", version="v1", plural="nodes", prune=prune_node),
    Kind(field="drivers", group="nvidia.com", version="v1alpha1", plural="nvidiadrivers", prune=without_managed_fields),
    Kind(
        field="daemon_sets",
        group="apps",
        version="v1",
        plural="daemonsets",
        prune=without_managed_fields,
        selector=DRIVER_SELECTOR,
        is_namespaced=True,
    ),
    Kind(
        field="pods",
        group="",
        version="v1",
        plural="pods",
        prune=without_managed_fields,
        selector=DRIVER_SELECTOR,
        is_namespaced=True,
    ),
    Kind(
        field="controller_revisions",
        group="apps",
        version="v1",
        plural="controllerrevisions",
        prune=without_data,
        selector=DRIVER_SELECTOR,
        is_namespaced=True,
    ),
)
