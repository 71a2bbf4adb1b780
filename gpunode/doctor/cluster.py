"""Checks the API server and the Node object. Sends no request that changes an object."""

import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any
from urllib.parse import quote

from device_plugin.devices import Plan
from device_plugin.health.kubelet_assessment import parse_amount
from device_plugin.settings import PluginSettings
from gpu_core.assembly import Dependencies
from gpu_core.domain.node_assessment import ADVICE, Reason
from gpunode.doctor.check import Check, note, ok, problem
from node_core.domain.conditions import GPU_READY, ObservedCondition
from node_core.domain.node import NodeView, parse_node
from node_core.domain.taints import parse_taint
from node_core.errors import KubeError
from node_core.kube.access import AccessApi
from node_core.kube.client import NodeApi
from node_core.kube.http import parse_response

BLOCKING = "node.kubernetes.io/"
"""Prefix of the taints of Kubernetes itself: a cordoned Node, or a Node that is not ready."""
NO_EXECUTION = ("NoSchedule", "NoExecute")
PERMISSIONS = (("list", "nodes"), ("watch", "nodes"), ("patch", "nodes/status"), ("create", "events"))
"""What the plugin always needs."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ClusterState:
    """node: None if it was not read. allocatable: of the Node's status. checks: of the API server."""

    node: NodeView | None = None
    allocatable: Mapping[str, str] = field(default_factory=dict)
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
        node, allocatable = parse_response(_parse, response)
    except KubeError as error:
        return ClusterState(checks=(_explain(error, name),))
    permissions = tuple(check_permissions(api)) if is_agent else ()
    return ClusterState(
        node=node, allocatable=allocatable, checks=(ok("api", f"the API server returns the Node {name}"), *permissions)
    )


def _parse(response: Mapping[str, Any]) -> tuple[NodeView, dict[str, str]]:
    node = parse_node(response)
    for taint in node.taints:
        parse_taint(taint)  # check_taints relies on valid taints
    return node, dict((response.get("status") or {}).get("allocatable") or {})


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
    yield check_label(node, settings)
    if settings.gate.is_open(node.labels):
        yield from check_resources(state.allocatable, plan, is_agent=is_agent)
        yield check_condition(node.conditions.get(GPU_READY), wall, is_running=is_running)
    yield from check_taints(node, settings)


def check_label(node: NodeView, settings: PluginSettings) -> Check:
    gate = settings.gate
    if not gate.key:
        return ok("label", "gpu-device-plugin needs no label of the Node (--gate-label is empty)")
    if gate.is_open(node.labels):
        return ok("label", f"the Node has the label {gate.key}={gate.value}")
    value = node.labels.get(gate.key)
    found = "" if value is None else f", but {gate.key}={value}"
    todo = "check that nfd-lite runs on this node and finds the GPU on the PCI bus (lspci -d 10de:), or set the label yourself"
    sentence = f"the Node {node.name} does not have the label {gate.key}={gate.value}{found}, so no GPU is advertised"
    return problem("label", sentence, todo, reason=str(Reason.NOT_LABELLED))


def check_resources(allocatable: Mapping[str, str], plan: Plan, *, is_agent: bool) -> Iterator[Check]:
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


def check_condition(observed: ObservedCondition | None, wall: float, *, is_running: bool) -> Check:
    """is_running: the plugin may run. Otherwise the condition is from an earlier time."""
    if observed is None:
        todo = "check that gpu-device-plugin runs on this node, and read its log"
        return problem("condition", f"the Node has no condition {GPU_READY}", todo)
    sentence = f"{GPU_READY} is {observed.status} since {_age(observed.since, wall)}: {observed.reason}: {observed.message.rstrip('.')}"
    if not is_running:
        return note("condition", f"the condition is from the time when gpu-device-plugin ran: {sentence}")
    if observed.status == "True":
        return ok("condition", sentence, reason=observed.reason)
    advice = {str(reason): todo for reason, todo in ADVICE.items()}
    todo = advice.get(observed.reason, "see the reason in docs/reference/health.md")
    return problem("condition", sentence, todo, reason=observed.reason)


def check_taints(node: NodeView, settings: PluginSettings) -> Iterator[Check]:
    for live in node.taints:
        taint = parse_taint(live)
        text = f"the Node has the taint {taint}"
        if taint.effect not in NO_EXECUTION:
            continue
        if settings.startup_taint is not None and taint.identity == settings.startup_taint.identity:
            todo = "gpu-device-plugin removes it when the GPUs are registered. If it stays, read the log of gpu-device-plugin"
            yield problem("taints", f"{text}, which keeps pods off this Node until its GPUs are registered", todo)
        elif taint.key.startswith(BLOCKING):
            todo = "kubectl uncordon, or see the conditions of the Node"
            yield problem("taints", f"{text}, so it gets no new pods", todo)
        else:
            yield note("taints", f"{text}: only pods with a toleration for it run here")


def _age(since: str, wall: float) -> str:
    """Returns `2 d`, `3 h`, `4 min` or `5 s`. since: RFC 3339."""
    try:
        seconds = max(0.0, wall - datetime.fromisoformat(since).replace(tzinfo=UTC).timestamp())
    except ValueError:
        return "an unknown time"
    for unit, size in (("d", 86400), ("h", 3600), ("min", 60)):
        if seconds >= size:
            return f"{seconds // size:.0f} {unit}"
    return f"{seconds:.0f} s"


def expects_gpus(state: ClusterState, settings: PluginSettings) -> bool:
    """Whether the cluster expects GPUs on this node: by the label of the gate, or because the Node had GPUs."""
    if state.node is None:
        return False
    gate = settings.gate
    has_gpus = any(amount != "0" for name, amount in state.node.capacity.items() if name.startswith("nvidia.com/"))
    return has_gpus or (bool(gate.key) and gate.is_open(state.node.labels))
