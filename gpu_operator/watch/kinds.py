"""The kinds of objects that gpu-operator watches, and the part of each object that is retained."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from gpu_operator.view import DRIVER_SELECTOR, ClusterView, Obj


@dataclass(frozen=True, slots=True, kw_only=True)
class Kind:
    """field: of the ClusterView. selector: a label selector; empty for all objects. prune: returns the retained part."""

    field: str
    group: str
    version: str
    plural: str
    prune: Callable[[Mapping[str, Any]], Obj]
    selector: str = ""


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
    ),
    Kind(field="pods", group="", version="v1", plural="pods", prune=without_managed_fields, selector=DRIVER_SELECTOR),
    Kind(
        field="controller_revisions",
        group="apps",
        version="v1",
        plural="controllerrevisions",
        prune=without_data,
        selector=DRIVER_SELECTOR,
    ),
)


def make_view(objects: Mapping[str, Mapping[str, Obj]]) -> ClusterView:
    """objects: field of the view -> key -> object."""
    return ClusterView(**{kind.field: dict(objects[kind.field]) for kind in KINDS})
