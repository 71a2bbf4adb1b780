"""Removes what the agents' field managers own on the Node, according to `managedFields` and annotations, and their objects.

Also restores the labels of DaemonSets that an agent has paused.
"""

import json
from collections.abc import Callable, Iterator, Mapping
from functools import partial
from typing import Any
from urllib.parse import quote

import urllib3

from device_plugin.agent import NAME as PLUGIN
from device_plugin.health.startup_taint import STARTUP_TAINT_ANNOTATION as STARTUP_TAINT
from dra_driver.agent import NAME as DRA_DRIVER
from dra_driver.slices.api import SliceApi
from dra_driver.slices.changes import SliceWrite
from dra_driver.slices.plan import is_slice_of
from gfd.agent import NAME as GFD
from gpu_core.clients.daemon_sets import DaemonSetPause
from gpu_core.clients.pause import Pause
from gpu_exporter.agent import NAME as EXPORTER
from gpu_validator.agent import NAME as VALIDATOR
from mig_manager.agent import NAME as MIG_MANAGER
from nfd_lite.agent import NAME as NFD
from nfd_lite.topology.api import TopologyApi, topology_resource
from node_core.domain.conditions import GPU_READY, GPU_VALIDATED, MIG_CONFIGURED, render_removal
from node_core.domain.desired import Outputs
from node_core.domain.managed_fields import find_owned_keys
from node_core.domain.node_feature import GFD_PREFIX, WORKER_PREFIX
from node_core.domain.reconcile import ApplyMetadata, FieldOwner, SetCapacity, SetTaints, Write, reconcile_taints
from node_core.domain.taints import GFD_TAINTS_ANNOTATION, RULE_TAINTS_ANNOTATION, TaintPlan
from node_core.errors import KubeError
from node_core.kube.client import STRATEGIC, NodeApi
from node_core.kube.node_feature import NodeFeatureApi
from node_core.publish.node import NodeWriter
from node_core.publish.writer import write_outputs

Step = tuple[str, Callable[[], bool]]
"""A name, and the function that removes what the name describes. The function returns True if it removed anything. Raises NodeError."""

TAINTS_ANNOTATIONS = ((GFD, GFD_TAINTS_ANNOTATION), (NFD, RULE_TAINTS_ANNOTATION), (PLUGIN, STARTUP_TAINT))
AGENTS = (NFD, GFD, PLUGIN, EXPORTER, MIG_MANAGER, VALIDATOR, DRA_DRIVER)
CONDITIONS = ((PLUGIN, GPU_READY), (MIG_MANAGER, MIG_CONFIGURED), (VALIDATOR, GPU_VALIDATED))
"""The field manager and the type of each condition."""
OBJECTS = ((NFD, WORKER_PREFIX), (GFD, GFD_PREFIX))


def node_steps(api: NodeApi, namespace: str) -> Iterator[Step]:
    """namespace: of the NodeFeature objects."""
    for manager, taints_annotation in TAINTS_ANNOTATIONS:
        remover = TaintRemover(api, FieldOwner(manager=manager, taints_annotation=taints_annotation))
        yield f"taints of {manager}", partial(remove_outputs, remover, SetTaints)
    writers = {
        manager: NodeWriter(api, FieldOwner(manager=manager, taints_annotation=""))
        for manager in (NFD, GFD, MIG_MANAGER)
    }
    yield f"extended resources of {NFD}", partial(remove_outputs, writers[NFD], SetCapacity)
    for manager, writer in writers.items():
        yield f"labels and annotations of {manager}", partial(remove_outputs, writer, ApplyMetadata)
    pause = DaemonSetPause(api=api, list_pods=lambda _: (), manager=MIG_MANAGER, pause=Pause.MIG_CHANGE)
    yield f"pause of DaemonSets by {MIG_MANAGER}", pause.end
    for manager, kind in CONDITIONS:
        yield f"condition of {manager}", partial(remove_condition, api, manager, kind)
    for manager, prefix in OBJECTS:
        feature = NodeFeatureApi(api, namespace=namespace, prefix=prefix)
        yield feature.resource.description, partial(remove_object, feature, manager)
    yield f"ResourceSlices of the Node {api.node_name}", partial(remove_slices, SliceApi(api))
    yield topology_resource(api.node_name).description, partial(remove_topology, TopologyApi(api))


class DryRunApi(NodeApi):
    """Replaces each request that would change an object by a read of the object."""

    def open(self, verb: str, path: str, **request: Any) -> urllib3.BaseHTTPResponse:
        if verb == "GET":
            return super().open(verb, path, **request)
        return super().open("GET", path.removesuffix("/status"))


def read_node(api: NodeApi) -> Mapping[str, Any]:
    """Returns the Node as JSON. Raises KubeError."""
    try:
        return api.request("GET", _path(api))
    except KubeError as error:
        if error.status != 404:
            raise
        sentence = "the cluster has no such Node, so nothing was removed"
        hint = "compare --node-name with `kubectl get nodes`. To remove only files of this machine, use --only host"
        raise KubeError(sentence, status=404, hint=hint) from error


def find_shared_keys(node: Mapping[str, Any]) -> Iterator[str]:
    """Yields a sentence for each label and annotation that an agent and another field manager wrote. PURE. Cleanup does not remove it."""
    managed = (node.get("metadata") or {}).get("managedFields") or ()
    for kind in ("labels", "annotations"):
        owned = find_owned_keys(managed, "metadata", kind)
        for key in sorted(frozenset().union(*(owned.get(agent, frozenset()) for agent in AGENTS))):
            others = sorted({each["manager"] for each in managed if _has_key(each, kind, key)} - {*AGENTS})
            if others:
                yield f"{kind.removesuffix('s')} {key}, because {' and '.join(others)} also set it"


def _has_key(entry: Mapping[str, Any], kind: str, key: str) -> bool:
    return f"f:{key}" in (entry.get("fieldsV1") or {}).get("f:metadata", {}).get(f"f:{kind}", {})


class TaintRemover(NodeWriter):
    """Also removes an annotation that lists no existing taint."""

    def reconcile(self, desired: Outputs) -> tuple[Write, ...]:
        node = self._observed()
        writes = reconcile_taints(desired, node, self._owner)
        if writes or self._owner.taints_annotation not in node.annotations:
            return writes
        return (SetTaints(plan=TaintPlan(taints=node.taints, owned=frozenset()), observed=node),)


def remove_outputs(writer: NodeWriter, kind: type[Write]) -> bool:
    """Applies only the writes of one kind. Keys that another field manager also applied remain on the Node."""
    writer.refresh()
    return write_outputs(writer, Outputs(), kinds=(kind,))


def remove_condition(api: NodeApi, manager: str, kind: str) -> bool:
    """kind: the type of the condition."""
    path = _path(api)
    if not owns_condition(api.request("GET", path), manager, kind):
        return False
    body = render_removal(kind)
    api.request("PATCH", f"{path}/status", query={"fieldManager": manager}, body=body, content=STRATEGIC)
    return True


def _path(api: NodeApi) -> str:
    return f"/api/v1/nodes/{quote(api.node_name, safe='')}"


def owns_condition(node: Mapping[str, Any], manager: str, kind: str) -> bool:
    """Whether the Node has a condition of this type, and this field manager wrote the condition. Source: Kubernetes API, FieldsV1."""
    conditions = (node.get("status") or {}).get("conditions") or ()
    key = f"k:{json.dumps({'type': kind}, separators=(',', ':'))}"
    return any(each.get("type") == kind for each in conditions) and any(
        key in (entry.get("fieldsV1") or {}).get("f:status", {}).get("f:conditions", {})
        for entry in node["metadata"].get("managedFields") or ()
        if entry.get("manager") == manager
    )


def remove_topology(api: TopologyApi) -> bool:
    """Deletes the object if nfd-lite-topology has written it, also if nfd-topology-updater had created it before."""
    try:
        live = api.get()
    except KubeError as error:
        if error.status == 404:  # the cluster does not have the kind
            return False
        raise
    if live is None or not live.is_of_agent:
        return False
    api.delete(live)
    return True


def remove_slices(api: SliceApi) -> bool:
    """Deletes the ResourceSlices that gpu-dra-driver has written. Those of NVIDIA's DRA driver have other names."""
    try:
        version = api.discover_version()
    except KubeError as error:
        if error.status == 404:  # the cluster does not have the kind
            return False
        raise
    own = {name: each for name, each in api.list(version).items() if is_slice_of(api.client.node_name, name)}
    for name, each in own.items():
        api.write(SliceWrite(verb="delete", name=name, uid=each["metadata"].get("uid")), version)
    return bool(own)


def remove_object(api: NodeFeatureApi, manager: str) -> bool:
    """Deletes the object if `manager` is its only field manager; otherwise releases the fields of `manager`."""
    try:
        live = api.get()
    except KubeError as error:
        if error.status == 404:  # the cluster does not serve NodeFeature objects
            return False
        raise
    managers = {entry.get("manager") for entry in live.managed} if live is not None else set()
    if live is None or manager not in managers:
        return False
    if managers == {manager}:
        api.delete(live)
    else:
        api.release(manager)
    return True
