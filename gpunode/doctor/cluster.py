"""Checks the API server and the Node object. Sends no request that changes an object."""

import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import partial
from urllib.parse import quote

import msgspec

from device_plugin.devices import Plan
from device_plugin.health.kubelet_assessment import parse_amount
from device_plugin.settings import PluginSettings
from gpu_core.assembly import Dependencies
from gpu_core.domain.node_assessment import Reason
from gpunode.doctor.check import Check, note, ok, problem
from gpunode.doctor.node_checks import check_condition, check_kubelet_conditions, check_label, check_taints
from node_core.errors import KubeError
from node_core.kube.access import AccessApi
from node_core.kube.client import NodeApi
from node_core.kube.http import parse_response
from node_core.scheduling.objects import Node, Quantity

PERMISSIONS = (("list", "nodes"), ("watch", "nodes"), ("patch", "nodes/status"), ("create", "events"))
"""What the plugin always needs."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ClusterState:
    """node: None if it was not read. checks: of the API server."""

    node: Node | None = None
    checks: tuple[Check, ...] = ()

    @property
    def labels(self) -> Mapping[str, str]:
        return self.node.labels if self.node is not None else {}


def read_cluster_state(dependencies: Dependencies, *, is_agent: bool) -> ClusterState:
    """is_agent: the credentials are those of the plugin, so its permissions are checked, too."""
    name = dependencies.common.node_name
    if not dependencies.common.kubeconfig and not os.environ.get("KUBERNETES_SERVICE_HOST"):
        sentence = "no cluster given, so the Node was not checked. Set --kubeconfig or KUBECONFIG to check the Node"
        return ClusterState(checks=(note("api", sentence),))
    if not name:
        return ClusterState(
            checks=(problem("node", "the name of the Node is unknown", "set --node-name or NODE_NAME"),)
        )
    api = dependencies.node.api
    try:
        response = api.request("GET", f"/api/v1/nodes/{quote(name, safe='')}")
        node = parse_response(partial(msgspec.convert, type=Node), response)
    except KubeError as error:
        return ClusterState(checks=(_explain(error, name),))
    permissions = tuple(check_permissions(api)) if is_agent else ()
    return ClusterState(node=node, checks=(ok("api", f"the API server returns the Node {name}"), *permissions))


def _explain(error: KubeError, name: str) -> Check:
    if error.status == 404:
        todo = "compare --node-name or NODE_NAME with `kubectl get nodes`"
        return problem("node", f"the cluster has no Node {name}", todo)
    if error.status in (401, 403):
        return problem("api", f"the API server refuses the request: {error.message}", str(error.hint))
    todo = (
        error.hint
        or "check that the API server runs, and the network, firewall and proxy between this node and the API server"
    )
    return problem("api", error.message, todo)


def check_permissions(api: NodeApi) -> Iterator[Check]:
    access = AccessApi(api)
    try:
        missing = [f"{verb} {resource}" for verb, resource in PERMISSIONS if not access.may_i(verb, resource)]
    except KubeError as error:
        yield note("permissions", f"the permissions of gpu-device-plugin are unknown: {error.message}")
        return
    if missing:
        todo = "apply the roles of the chart, or manifests/base/rbac.yaml"
        yield problem("permissions", f"the account of gpu-device-plugin may not: {', '.join(missing)}", todo)
    else:
        yield ok("permissions", "the account of gpu-device-plugin has its permissions")


def check_node(
    state: ClusterState, settings: PluginSettings, plan: Plan, wall: float, *, is_agent: bool, is_running: bool
) -> Iterator[Check]:
    """plan: what the plugin advertises on this Node. wall: Unix seconds. is_agent: see check_resources. is_running: the plugin may run."""
    node = state.node
    if node is None:
        return
    yield from check_kubelet_conditions(node, wall)
    yield check_label(node, settings.gate)
    if settings.gate.is_open(node.labels):
        yield from check_resources(node.status.allocatable, plan, is_agent=is_agent)
        yield check_condition(node, wall, is_running=is_running)
    yield from check_taints(node, settings.startup_taint)


def check_resources(allocatable: Mapping[str, Quantity], plan: Plan, *, is_agent: bool) -> Iterator[Check]:
    """Compares the Node with the plan. is_agent: the plan has the settings of the running plugin, so every difference is a problem."""
    for resource, offer in plan.resources.items():
        healthy = sum(device.is_healthy for device in offer.devices)
        amount = allocatable.get(resource, "0")
        sentence = f"the Node has {amount} allocatable {resource}, and {healthy} devices are healthy"
        if parse_amount(amount) == healthy:
            yield ok("resources", sentence)
        elif is_agent or amount == "0":
            todo = (
                "read the log of gpu-device-plugin (event resource_not_served), and check that no other device plugin serves this resource."
                " After a change, wait some seconds and run doctor again"
            )
            yield problem("resources", sentence, todo, reason=str(Reason.NOT_ALLOCATABLE))
        else:
            yield note("resources", f"{sentence} with the flags of this command")
