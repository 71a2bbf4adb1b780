"""What an agent's token may do on a real API server: write its own keys of its own Node, and nothing else."""

import json
import time
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import yaml

from device_plugin.health.gpu_events import GpuEvent, event_about
from device_plugin.health.startup_taint import STARTUP_TAINT_ANNOTATION, parse_startup_taint, plan_startup_taint
from driver_manager.cordon import NodeCordon
from gpu_core.clients.daemon_sets import DaemonSetPause
from gpu_core.clients.pause import DEPLOY, Pause
from gpu_core.domain.inventory import GpuUuid
from gpu_operator.upgrade.keys import ANNOTATIONS, STATE
from gpu_operator.view import OWNER as OWNER_LABEL
from nfd_lite.topology.kubelet_policy import KubeletPolicy
from nfd_lite.topology.node_topology import NodeTopology, render_topology
from nfd_lite.topology.publisher import ApiPublisher
from node_core.domain.conditions import GPU_READY, Condition, render_condition
from node_core.domain.desired import Outputs
from node_core.domain.events import Reference, RuleFinding, render_event, rule_event
from node_core.domain.features import Features
from node_core.domain.labels import DEVICE_PLUGIN_CONFIG, GPU_PRESENT
from node_core.domain.node_feature import GFD_PREFIX, NodeFeature
from node_core.domain.reconcile import FieldOwner, SetCapacity, SetTaints, Write
from node_core.domain.taints import GFD_TAINTS_ANNOTATION, RULE_TAINTS_ANNOTATION, Taint
from node_core.errors import KubeError
from node_core.kube.client import APPLY, JSON_PATCH, NodeApi
from node_core.kube.events import EventApi
from node_core.kube.node_feature import NodeFeatureApi
from node_core.publish.node import NodeWriter
from node_core.publish.writer import write_outputs
from node_core.values import replace
from tests.e2e.cluster import Cluster, attach
from tests.e2e.tokens import NAMESPACE, add_pod, request_token, write_kubeconfig

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(300)]

MANIFESTS = Path(__file__).parents[2] / "manifests"
OWN_NODE, OTHER_NODE = "policy-a", "policy-b"
FPGA = "example.com/fpga"
AGENTS = ("nfd-lite", "gfd", "gpu-device-plugin")
POLICY_TIMEOUT_S = 60.0
MERGE = "application/merge-patch+json"
STRATEGIC = "application/strategic-merge-patch+json"
READY = Condition(type=GPU_READY, is_true=True, reason="GPUsReady", message="8 devices")
FOREIGN = {"key": "example.com/other", "value": "1", "effect": "NoSchedule"}
CORDON = {"spec": {"unschedulable": True}}

Patch = Any


def set_taints(api: NodeApi, manager: str, taints_annotation: str, *desired: Taint) -> bool:
    """Sets exactly these taints of the manager, and removes its other taints."""
    return write(
        api,
        FieldOwner(manager=manager, taints_annotation=taints_annotation),
        SetTaints,
        taints={each.identity: each for each in desired},
    )


def set_resources(api: NodeApi, desired: dict[str, str]) -> bool:
    """Sets exactly these extended resources of nfd-lite, and removes its other resources."""
    return write(api, FieldOwner(manager="nfd-lite", taints_annotation=""), SetCapacity, extended_resources=desired)


def write(api: NodeApi, owner: FieldOwner, kind: type[Write], **outputs: Any) -> bool:
    writer = NodeWriter(api, owner)
    writer.refresh()
    return write_outputs(writer, Outputs(**outputs), kinds=(kind,))


@pytest.fixture(scope="module")
def cluster() -> Iterator[Cluster]:
    """The running cluster, with two Nodes, a Pod of each agent on each Node, and the policies."""
    cluster = attach()
    assert cluster is not None, "no cluster is running: run `make e2e`, which starts a cluster and runs these tests"
    cluster.kubectl("apply", "-k", str(MANIFESTS / "crds"))
    base = MANIFESTS / "base"
    cluster.kubectl("apply", "-f", str(base / "namespace.yaml"))
    cluster.kubectl("apply", "-n", NAMESPACE, "-f", str(base / "rbac.yaml"), "-f", str(base / "admission.yaml"))
    for node in (OWN_NODE, OTHER_NODE):
        cluster.add_node(node, {"example.com/team": "red"}, {FPGA: "2"})
        for agent in AGENTS:
            add_pod(cluster, agent, node)
    yield cluster
    cluster.kubectl("delete", "pods", "-n", NAMESPACE, "--force", "--grace-period=0", "--ignore-not-found", *_pods())
    cluster.kubectl("delete", "nodes", OWN_NODE, OTHER_NODE)


def _pods() -> list[str]:
    return [
        f"{agent}-{node}" for agent in (*AGENTS, TOPOLOGY_AGENT, *DRIVER_ACCOUNTS) for node in (OWN_NODE, OTHER_NODE)
    ]


class Agent:
    """Sends requests with the token of an agent's Pod on OWN_NODE. bound=False: with a token that is not bound to a Pod."""

    def __init__(self, cluster: Cluster, folder: Path, agent: str, *, bound: bool = True) -> None:
        flags = ("--bound-object-kind=Pod", f"--bound-object-name={agent}-{OWN_NODE}") if bound else ()
        kubeconfig = write_kubeconfig(cluster, folder / agent, request_token(cluster, agent, *flags))
        self.agent = agent
        self.api = NodeApi(OWN_NODE, kubeconfig=str(kubeconfig), user_agent="e2e")

    def patch(self, patch: Patch, *, node: str = OWN_NODE, part: str = "", content: str = MERGE) -> Any:
        path = f"/api/v1/nodes/{node}{part}"
        manager = self.agent if self.agent in AGENTS else "gpu-device-plugin"
        return self.api.request("PATCH", path, body=patch, content=content, query={"fieldManager": manager})

    def refused(self, why: str, request: Callable[[], object]) -> None:
        with pytest.raises(KubeError, match=why) as caught:
            request()
        assert caught.value.status == 403

    def refused_patch(self, why: str, patch: Patch, **where: Any) -> None:
        self.refused(why, lambda: self.patch(patch, **where))


@pytest.fixture
def acting(cluster: Cluster, tmp_path: Path) -> Callable[..., Agent]:
    """Creates an Agent and waits until the API server enforces the policies."""

    def make(name: str, *, bound: bool = True) -> Agent:
        agent = Agent(cluster, tmp_path, name, bound=bound)
        deadline = time.monotonic() + POLICY_TIMEOUT_S
        while not is_enforced(agent):
            assert time.monotonic() < deadline, "the API server does not enforce the policies"
            time.sleep(0.1)
        return agent

    return make


def is_enforced(agent: Agent) -> bool:
    """Whether a dry run is refused."""
    query = {"fieldManager": agent.agent, "dryRun": "All"}
    body = {"metadata": {"labels": {"kubernetes.io/os": "plan9"}}}
    try:
        agent.api.request("PATCH", f"/api/v1/nodes/{OWN_NODE}", body=body, content=MERGE, query=query)
    except KubeError as error:
        return error.status == 403
    return False


def taints(api: NodeApi) -> list[str]:
    """The keys of the taints, without the taints of Kubernetes."""
    return [taint["key"] for taint in api.get().taints if not taint["key"].startswith("node.kubernetes.io/")]


def test_nfd_lite_may_write_and_remove_its_labels_annotations_taints_and_resources(
    acting: Callable[..., Agent],
) -> None:
    api = acting("nfd-lite").api
    labels = {
        "feature.node.kubernetes.io/cpu-cpuid.AVX512F": "true",
        "vendor.feature.node.kubernetes.io/x": "1",
        "profile.node.kubernetes.io/gold": "true",
        "example.com/tier": "gold",
        GPU_PRESENT: "true",
    }
    annotations = {"example.com/seen": "yes", "feature.node.kubernetes.io/note": "n"}
    view = api.apply_labels("nfd-lite", labels, annotations=annotations, force=False)
    assert labels.items() <= view.labels.items()
    write_taints = partial(set_taints, api, "nfd-lite", RULE_TAINTS_ANNOTATION)
    taint = Taint(key="example.com/training", value="1", effect="NoSchedule")
    assert write_taints(taint)
    assert write_taints(Taint(key=taint.key, value="2", effect=taint.effect))
    assert set_resources(api, {"example.com/seats": "4"})
    assert set_resources(api, {"example.com/seats": "5"})
    assert api.get().capacity["example.com/seats"] == "5"
    assert set_resources(api, {})
    assert write_taints()
    view = api.apply_labels("nfd-lite", {}, force=False)
    assert not labels.keys() & view.labels.keys()
    assert taints(api) == []


def test_nfd_lite_may_set_a_resource_that_a_kubelet_set_to_zero(cluster: Cluster, acting: Callable[..., Agent]) -> None:
    api = acting("nfd-lite").api
    cluster.kubectl(
        "patch", "node", OWN_NODE, "--subresource=status", "-p", '{"status":{"capacity":{"example.com/zeroed":"0"}}}'
    )
    assert set_resources(api, {"example.com/zeroed": "7"})
    assert api.get().capacity["example.com/zeroed"] == "7"
    assert set_resources(api, {})


def test_gfd_may_write_its_labels_and_remove_the_taint_of_an_earlier_version(acting: Callable[..., Agent]) -> None:
    api = acting("gfd").api
    labels = {"nvidia.com/gpu.count": "8", "nvidia.com/cuda.driver.major": "550", "nvidia.com/gpu.premium": "true"}
    assert labels.items() <= api.apply_labels("gfd", labels, force=False).labels.items()
    write_taints = partial(set_taints, api, "gfd", GFD_TAINTS_ANNOTATION)
    assert write_taints(Taint(key="nvidia.com/gpu.premium", value="true", effect="NoSchedule"))
    assert taints(api) == ["nvidia.com/gpu.premium"]
    assert write_taints()
    assert not labels.keys() & api.apply_labels("gfd", {}, force=False).labels.keys()


def test_the_plugin_may_write_its_condition_and_startup_taint(acting: Callable[..., Agent]) -> None:
    who = acting("gpu-device-plugin")
    who.patch(render_condition(READY, None, "2026-01-01T00:00:00Z"), part="/status", content=STRATEGIC)
    assert set_startup_taint(who.api, who.agent, is_desired=True)
    assert set_startup_taint(who.api, who.agent, is_desired=False)
    assert taints(who.api) == []


def test_the_plugin_may_remove_a_startup_taint_of_the_kubelet(cluster: Cluster, acting: Callable[..., Agent]) -> None:
    who = acting("gpu-device-plugin")
    cluster.kubectl("taint", "node", OWN_NODE, "nvidia.com/gpu-not-ready=:NoSchedule")
    assert set_startup_taint(who.api, who.agent, is_desired=False)


def _owner(kind: str, name: str) -> dict[str, str]:
    return {"apiVersion": "v1", "kind": kind, "name": name, "uid": "1"}


@pytest.mark.parametrize("agent", AGENTS)
@pytest.mark.parametrize(
    ("why", "patch"),
    [
        ("only its own Node", {"metadata": {"labels": {"feature.node.kubernetes.io/x": "1"}}, "node": OTHER_NODE}),
        ("node-role.kubernetes.io/control-plane", {"metadata": {"labels": {"node-role.kubernetes.io/control-plane": ""}}}),
        ("kubernetes.io/hostname", {"metadata": {"labels": {"kubernetes.io/hostname": "other"}}}),
        ("kubernetes.io/os", {"metadata": {"labels": {"kubernetes.io/os": None}}}),
        ("node.k8s.io/x", {"metadata": {"labels": {"node.k8s.io/x": "1"}}}),
        ("bare", {"metadata": {"labels": {"bare": "1"}}}),
        ("xfeature.node.kubernetes.io/x", {"metadata": {"labels": {"xfeature.node.kubernetes.io/x": "1"}}}),
        ("volumes.kubernetes.io/x", {"metadata": {"annotations": {"volumes.kubernetes.io/x": "1"}}}),
        ("gpunode.nvidia.com/other", {"metadata": {"annotations": {"gpunode.nvidia.com/other": "1"}}}),
        ("metadata.finalizers", {"metadata": {"finalizers": ["example.com/stays"]}}),
        ("metadata.ownerReferences", {"metadata": {"ownerReferences": [_owner("Node", OTHER_NODE)]}}),
        ("spec.unschedulable", CORDON),
        ("spec.podCIDR", {"spec": {"podCIDR": "10.9.0.0/24", "podCIDRs": ["10.9.0.0/24"]}}),
        ("spec.providerID", {"spec": {"providerID": "cloud://other"}}),
        ("example.com/other", {"spec": {"taints": []}}),
        ("example.com/mine", {"spec": {"taints": [FOREIGN, {"key": "example.com/mine", "effect": "NoExecute"}]}}),
    ],
    ids=lambda each: each if isinstance(each, str) else "",
)  # fmt: skip
def test_an_agent_may_not_change(
    cluster: Cluster, acting: Callable[..., Agent], agent: str, why: str, patch: Patch
) -> None:
    cluster.kubectl("patch", "node", OWN_NODE, "--type=merge", "-p", json.dumps({"spec": {"taints": [FOREIGN]}}))
    who = acting(agent)
    node = patch.get("node", OWN_NODE)
    who.refused_patch(why, {name: value for name, value in patch.items() if name != "node"}, node=node)
    cluster.kubectl("patch", "node", OWN_NODE, "--type=merge", "-p", json.dumps({"spec": {"taints": None}}))


@pytest.mark.parametrize("agent", ["nfd-lite", "gpu-device-plugin"])
@pytest.mark.parametrize(
    ("why", "status"),
    [
        ("cpu", {"capacity": {"cpu": "999"}}),
        ("memory", {"capacity": {"memory": "1Ki"}}),
        ("pods", {"capacity": {"pods": "0"}}),
        ("example.com/fpga", {"capacity": {"example.com/fpga": "9"}}),
        ("requests.example.com/x", {"capacity": {"requests.example.com/x": "9"}}),
        ("status.allocatable", {"allocatable": {"cpu": "1"}}),
        ("Ready", {"conditions": [{"type": "Ready", "status": "False"}]}),
        ("Mine", {"conditions": [{"type": "Mine", "status": "True"}]}),
        ("status.addresses", {"addresses": [{"type": "InternalIP", "address": "10.1.1.1"}]}),
        ("status.images", {"images": [{"names": ["evil"], "sizeBytes": 1}]}),
        ("status.nodeInfo", {"nodeInfo": {"kubeletVersion": "v9"}}),
    ],
    ids=lambda each: each if isinstance(each, str) else "",
)
def test_an_agent_may_not_change_in_the_status(
    acting: Callable[..., Agent], agent: str, why: str, status: Patch
) -> None:
    acting(agent).refused_patch(why, {"status": status}, part="/status", content=STRATEGIC)


def test_a_status_request_may_not_change_labels(acting: Callable[..., Agent]) -> None:
    patch = {"metadata": {"labels": {"node-role.kubernetes.io/control-plane": ""}}}
    for agent in ("nfd-lite", "gpu-device-plugin"):
        acting(agent).refused_patch("node-role", patch, part="/status")


def test_an_agent_may_not_write_keys_of_another_agent(acting: Callable[..., Agent]) -> None:
    nfd, gfd, plugin = map(acting, AGENTS)
    gfd.api.apply_labels("gfd", {"nvidia.com/gpu.count": "8"}, force=False)
    count = {"metadata": {"labels": {"nvidia.com/gpu.count": "9"}}}
    nfd.refused_patch("nvidia.com/gpu.count", count)
    plugin.refused_patch("nvidia.com/gpu.count", count)
    nfd.refused("field manager", lambda: nfd.api.apply_labels("gfd", {}, force=True))
    for key in (GPU_PRESENT, DEVICE_PLUGIN_CONFIG):
        gfd.refused_patch(key, {"metadata": {"labels": {key: "mine"}}})
        plugin.refused_patch(key, {"metadata": {"labels": {key: "mine"}}})
    gfd.refused_patch("feature.node", {"metadata": {"labels": {"feature.node.kubernetes.io/x": "1"}}})
    plugin.refused_patch("example.com/fpga", {"status": {"capacity": {"example.com/fpga": "9"}}}, part="/status")
    nfd.refused_patch(
        "GPUReady", render_condition(READY, None, "2026-02-02T00:00:00Z"), part="/status", content=STRATEGIC
    )
    claims = {
        nfd: (GFD_TAINTS_ANNOTATION, STARTUP_TAINT_ANNOTATION),
        gfd: (RULE_TAINTS_ANNOTATION, STARTUP_TAINT_ANNOTATION),
        plugin: (GFD_TAINTS_ANNOTATION,),
    }
    for who, keys in claims.items():
        for key in keys:
            who.refused_patch(key, {"metadata": {"annotations": {key: "nvidia.com/x:NoSchedule"}}})
    gfd.api.apply_labels("gfd", {}, force=False)


@pytest.mark.parametrize(
    ("agent", "taints_annotation"), [("nfd-lite", RULE_TAINTS_ANNOTATION), ("gfd", GFD_TAINTS_ANNOTATION)]
)
def test_an_agent_may_not_record_taints_that_it_does_not_set(
    cluster: Cluster, acting: Callable[..., Agent], agent: str, taints_annotation: str
) -> None:
    who = acting(agent)
    other = {"key": "nvidia.com/other", "effect": "NoSchedule"}
    cluster.kubectl("patch", "node", OWN_NODE, "--type=merge", "-p", json.dumps({"spec": {"taints": [other]}}))
    named = "nvidia.com/other:NoSchedule"
    who.refused_patch("may record only", {"metadata": {"annotations": {taints_annotation: named}}})
    who.refused_patch(
        "may record only", {"metadata": {"annotations": {taints_annotation: named}}, "spec": {"taints": None}}
    )
    who.refused_patch(
        "may record only", {"metadata": {"annotations": {taints_annotation: "nvidia.com/later:NoSchedule"}}}
    )
    who.refused_patch("may not set", {"spec": {"taints": [{**other, "value": "changed"}]}})
    unreachable = {"key": "node.kubernetes.io/unreachable", "effect": "NoExecute"}
    recorded = {"metadata": {"annotations": {taints_annotation: "node.kubernetes.io/unreachable:NoExecute"}}}
    who.refused_patch("node.kubernetes.io/unreachable", {**recorded, "spec": {"taints": [other, unreachable]}})
    cluster.kubectl("patch", "node", OWN_NODE, "--type=merge", "-p", json.dumps({"spec": {"taints": None}}))


@pytest.mark.parametrize("agent", AGENTS)
def test_a_token_without_a_node_may_change_nothing(acting: Callable[..., Agent], agent: str) -> None:
    labels = {"metadata": {"labels": {"feature.node.kubernetes.io/x": "1", "nvidia.com/x": "1"}}}
    acting(agent, bound=False).refused_patch("does not name a Node", labels)


@pytest.mark.parametrize("agent", AGENTS)
@pytest.mark.parametrize("verb", ["POST", "DELETE"])
def test_an_agent_may_not_create_or_delete_nodes(acting: Callable[..., Agent], agent: str, verb: str) -> None:
    who = acting(agent)
    path = "/api/v1/nodes" if verb == "POST" else f"/api/v1/nodes/{OWN_NODE}"
    body = {"apiVersion": "v1", "kind": "Node", "metadata": {"name": "new"}} if verb == "POST" else None
    who.refused("cannot", lambda: who.api.request(verb, path, body=body, content="application/json"))


@pytest.mark.parametrize(("agent", "prefix"), [("nfd-lite", ""), ("gfd", GFD_PREFIX)])
def test_an_agent_may_write_only_its_own_node_feature(acting: Callable[..., Agent], agent: str, prefix: str) -> None:
    who = acting(agent)
    uid = who.api.get().uid
    api = NodeFeatureApi(who.api, namespace=NAMESPACE, prefix=prefix)
    desired = NodeFeature(node_name=OWN_NODE, node_uid=uid, labels={"nvidia.com/gpu.count": "8"})
    assert api.apply(agent, desired, force=False).node_name == OWN_NODE
    assert api.apply(agent, replace(desired, labels={}), force=False).labels == {}
    about_other = NodeFeature(node_name=OTHER_NODE, node_uid=uid, labels=desired.labels)
    who.refused("owned only by its Node|must have the label", lambda: api.apply(agent, about_other, force=True))
    other = f"{api.resource.path}/{prefix}{OTHER_NODE}"
    body = {
        "apiVersion": "nfd.k8s-sigs.io/v1alpha1",
        "kind": "NodeFeature",
        "metadata": {"name": f"{prefix}{OTHER_NODE}", "labels": {"nfd.node.kubernetes.io/node-name": OWN_NODE}},
        "spec": {},
    }
    query = {"fieldManager": agent}
    who.refused("may write only", lambda: who.api.request("PATCH", other, body=body, content=APPLY, query=query))
    for more in ({"finalizers": ["example.com/stays"]}, {"ownerReferences": [_owner("Pod", OWN_NODE)]}):
        patch = {"metadata": more}
        mine = f"{api.resource.path}/{prefix}{OWN_NODE}"
        ask = lambda patch=patch, mine=mine: who.api.request("PATCH", mine, body=patch, content=MERGE)  # noqa: E731
        who.refused("owned only by its Node", ask)


def test_a_node_feature_may_become_empty(acting: Callable[..., Agent]) -> None:
    """An apply without the last key of a map sets the map to null, which the API server refuses in custom objects."""
    who = acting("nfd-lite")
    kernel = {"kernel.version": {"full": "6.8.0"}}
    full = Features(
        flags={"cpu.cpuid": frozenset({"AVX"})},
        attributes={**kernel, "local.label": {"a": "1"}},
        instances={"usb.device": ({"a": "1"},)},
    )
    empty = Features(
        flags={"cpu.cpuid": frozenset()}, attributes={**kernel, "local.label": {}}, instances={"usb.device": ()}
    )
    desired = NodeFeature(node_name=OWN_NODE, node_uid=who.api.get().uid, labels={"example.com/a": "1"}, features=full)
    api = NodeFeatureApi(who.api, namespace=NAMESPACE)
    for features in (full, empty, full, Features(attributes=kernel), full):
        feature = replace(desired, features=features, labels=desired.labels if features is full else {})
        assert feature.is_applied_in(api.apply("nfd-lite", feature, force=False), "nfd-lite")


def test_an_agent_may_create_events_only_about_its_own_objects_and_in_its_own_name(
    acting: Callable[..., Agent],
) -> None:
    nfd, gfd, plugin = map(acting, AGENTS)
    rule = {"metadata": {"name": "rules", "uid": "1", "generation": 1, "resourceVersion": "1"}}
    finding = RuleFinding(rule="a", key=None, why="w")
    EventApi(nfd.api).create(render_event(rule_event(rule, finding, agent="nfd-lite", node_name=OWN_NODE, at=NOW)))
    EventApi(plugin.api).create(gpu_event(Reference(kind="Node", name=OWN_NODE, uid=OWN_NODE)))
    EventApi(plugin.api).create(gpu_event(Reference(kind="Pod", name="any", uid="1", namespace="default")))
    nfd.refused(
        "may not create Events about Node",
        lambda: EventApi(nfd.api).create(
            gpu_event(Reference(kind="Node", name=OWN_NODE, uid=OWN_NODE), agent="nfd-lite")
        ),
    )
    other = gpu_event(Reference(kind="Node", name=OTHER_NODE, uid=OTHER_NODE))
    plugin.refused(f"may not create Events about Node {OTHER_NODE}", lambda: EventApi(plugin.api).create(other))
    of_kubelet = gpu_event(Reference(kind="Node", name=OWN_NODE, uid=OWN_NODE), agent="kubelet")
    plugin.refused("must name its reporter", lambda: EventApi(plugin.api).create(of_kubelet))
    gfd.refused("cannot create resource", lambda: EventApi(gfd.api).create(other))


NOW = "2026-01-01T00:00:00Z"


def gpu_event(about: Reference, agent: str = "gpu-device-plugin") -> dict[str, Any]:
    event = GpuEvent(reason="GPUUnhealthy", note="n", gpu=GpuUuid("GPU-1"), at=time.time())
    return render_event(event_about(event, about, agent=agent, node_name=OWN_NODE))


STARTUP_TAINT = parse_startup_taint("nvidia.com/gpu-not-ready:NoSchedule")


def set_startup_taint(api: NodeApi, agent: str, *, is_desired: bool) -> bool:
    """Returns whether a write was necessary."""
    seen = api.get()
    plan = plan_startup_taint(seen, STARTUP_TAINT, is_desired=is_desired)
    if plan is not None:
        api.set_taints(agent, plan, seen, taints_annotation=STARTUP_TAINT_ANNOTATION)
    return plan is not None


def test_the_policy_evaluates_a_node_with_thousands_of_labels(acting: Callable[..., Agent]) -> None:
    who = acting("nfd-lite")
    labels = {f"vendor-{number}.example.com/{'x' * 60}": "true" for number in range(2000)}
    assert len(who.api.apply_labels("nfd-lite", labels, force=False).labels) >= 2000
    who.refused_patch("node-role", {"metadata": {"labels": {"node-role.kubernetes.io/control-plane": ""}}})
    who.api.apply_labels("nfd-lite", {}, force=False)


def test_other_clients_are_not_restricted(cluster: Cluster) -> None:
    cluster.kubectl("label", "node", OWN_NODE, "node-role.kubernetes.io/worker=")
    cluster.kubectl("cordon", OWN_NODE)
    cluster.kubectl("uncordon", OWN_NODE)


def test_the_result_of_a_json_patch_is_checked(acting: Callable[..., Agent]) -> None:
    who = acting("gfd")
    cordon = [{"op": "add", "path": "/spec/unschedulable", "value": True}]
    who.refused_patch("spec.unschedulable", cordon, content=JSON_PATCH)


@pytest.mark.parametrize("agent", AGENTS)
def test_an_agent_must_use_its_own_field_manager(acting: Callable[..., Agent], agent: str) -> None:
    who = acting(agent)
    for manager in {"kubectl", *AGENTS} - {agent}:
        who.refused("field manager", partial(who.api.apply_labels, manager, {}, force=False))


def test_an_agent_may_not_apply_capacity_of_another_owner(acting: Callable[..., Agent]) -> None:
    who = acting("nfd-lite")
    same = {"apiVersion": "v1", "kind": "Node", "metadata": {"name": OWN_NODE}, "status": {"capacity": {FPGA: "2"}}}
    who.refused_patch("capacity of these resources", same, part="/status", content=APPLY)


@pytest.fixture
def one_process(cluster: Cluster) -> Iterator[None]:
    """Creates the account of `gpunode run`, with a Pod on OWN_NODE."""
    cluster.kubectl("create", "serviceaccount", "gpunode", "-n", NAMESPACE)
    for role in ("gpunode-labeller", "gpunode-rules", "gpunode-health"):
        flags = (f"--clusterrole={role}", f"--serviceaccount={NAMESPACE}:gpunode")
        cluster.kubectl("create", "clusterrolebinding", f"e2e-{role}", *flags)
    pod = add_pod(cluster, "gpunode", OWN_NODE)
    yield
    cluster.kubectl("delete", "pod", pod, "-n", NAMESPACE, "--force", "--grace-period=0")
    cluster.kubectl("delete", "clusterrolebinding", "e2e-gpunode-labeller", "e2e-gpunode-rules", "e2e-gpunode-health")
    cluster.kubectl("delete", "serviceaccount", "gpunode", "-n", NAMESPACE)


@pytest.mark.usefixtures("one_process")
def test_gpunode_run_may_write_the_keys_of_all_three_agents_and_no_others(acting: Callable[..., Agent]) -> None:
    who = acting("gpunode")
    who.api.apply_labels("nfd-lite", {GPU_PRESENT: "true", "example.com/tier": "gold"}, force=False)
    who.api.apply_labels("gfd", {"nvidia.com/gpu.count": "8"}, force=False)
    rules = partial(set_taints, who.api, "nfd-lite", RULE_TAINTS_ANNOTATION)
    premium = partial(set_taints, who.api, "gfd", GFD_TAINTS_ANNOTATION)
    for write_taints, key in ((rules, "example.com/t"), (premium, "nvidia.com/p")):
        assert write_taints(Taint(key=key, effect="NoSchedule"))
    assert set_startup_taint(who.api, "gpu-device-plugin", is_desired=True)
    assert sorted(taints(who.api)) == ["example.com/t", "nvidia.com/gpu-not-ready", "nvidia.com/p"]
    assert set_startup_taint(who.api, "gpu-device-plugin", is_desired=False)
    assert rules()
    assert premium()
    who.patch(render_condition(READY, None, "2026-03-03T00:00:00Z"), part="/status", content=STRATEGIC)
    EventApi(who.api).create(gpu_event(Reference(kind="Node", name=OWN_NODE, uid=OWN_NODE)))
    who.refused_patch("node-role", {"metadata": {"labels": {"node-role.kubernetes.io/control-plane": ""}}})
    who.refused_patch("only its own Node", {"metadata": {"labels": {"example.com/x": "1"}}}, node=OTHER_NODE)
    who.refused_patch("spec.unschedulable", CORDON)
    for manager in ("nfd-lite", "gfd"):
        who.api.apply_labels(manager, {}, force=False)


@pytest.fixture
def cleanup_account(cluster: Cluster) -> Iterator[None]:
    """Creates the account of `gpunode cleanup` with its roles, and a Pod on OWN_NODE."""
    objects = yaml.safe_load_all((MANIFESTS / "cleanup" / "cleanup.yaml").read_text())
    rights = "\n---\n".join(json.dumps(each) for each in objects if each["kind"] != "DaemonSet")
    cluster.kubectl("apply", "-f", "-", stdin=rights)
    pod = add_pod(cluster, "gpunode-cleanup", OWN_NODE)
    yield
    cluster.kubectl("delete", "pod", pod, "-n", NAMESPACE, "--force", "--grace-period=0")
    cluster.kubectl("delete", "-f", "-", stdin=rights)


@pytest.mark.usefixtures("cleanup_account")
def test_cleanup_may_remove_only_what_the_agents_wrote(acting: Callable[..., Agent]) -> None:
    gfd, who = acting("gfd"), acting("gpunode-cleanup")
    gfd.api.apply_labels("gfd", {"nvidia.com/gpu.count": "8"}, force=False)
    premium = partial(set_taints, gfd.api, "gfd", GFD_TAINTS_ANNOTATION)
    assert premium(Taint(key="nvidia.com/p", effect="NoSchedule"))
    assert set_taints(who.api, "gfd", GFD_TAINTS_ANNOTATION)
    who.api.apply_labels("gfd", {}, force=False)
    assert taints(gfd.api) == []
    assert "nvidia.com/gpu.count" not in gfd.api.get().labels
    who.refused_patch("only its own Node", {"metadata": {"labels": {"example.com/x": "1"}}}, node=OTHER_NODE)
    who.refused_patch("node-role", {"metadata": {"labels": {"node-role.kubernetes.io/control-plane": ""}}})
    who.refused_patch("spec.unschedulable", CORDON)


@pytest.mark.usefixtures("cleanup_account")
def test_cleanup_may_delete_only_node_features_of_its_own_node(cluster: Cluster, acting: Callable[..., Agent]) -> None:
    who = acting("gpunode-cleanup")
    folder = f"/apis/nfd.k8s-sigs.io/v1alpha1/namespaces/{NAMESPACE}/nodefeatures"
    paths = [f"{folder}/{GFD_PREFIX}{node}" for node in (OWN_NODE, OTHER_NODE)]
    for node in (OWN_NODE, OTHER_NODE):
        labels = {"nfd.node.kubernetes.io/node-name": node}
        metadata = {"name": f"{GFD_PREFIX}{node}", "namespace": NAMESPACE, "labels": labels}
        feature = {"apiVersion": "nfd.k8s-sigs.io/v1alpha1", "kind": "NodeFeature", "metadata": metadata, "spec": {}}
        cluster.kubectl("apply", "-f", "-", stdin=json.dumps(feature))
    mine, other = paths
    patch = {"spec": {"labels": {"example.com/x": "1"}}}
    who.refused("may write only", lambda: who.api.request("PATCH", other, body=patch, content=MERGE))
    who.refused("may write only", lambda: who.api.request("DELETE", other, body={}, content="application/json"))
    who.api.request("DELETE", mine, body={}, content="application/json")
    cluster.kubectl("delete", "nodefeatures", "-n", NAMESPACE, f"{GFD_PREFIX}{OTHER_NODE}")


DRIVER_ACCOUNTS = ("gpu-driver", "gpu-operator")
TOPOLOGY_AGENT = "nfd-lite-topology"
TOPOLOGIES = "/apis/topology.node.k8s.io/v1alpha2/noderesourcetopologies"
OWNER = {"apiVersion": "v1", "kind": "Node", "name": OWN_NODE, "uid": "u"}


def topology_body(node: str, *owners: dict[str, Any], **metadata: Any) -> dict[str, Any]:
    body = render_topology(NodeTopology(policy=KubeletPolicy(), zones=()), node_name=node, node_uid="")
    return {**body, "metadata": {**body["metadata"], "ownerReferences": list(owners), **metadata}}


@pytest.fixture
def topology(cluster: Cluster, tmp_path: Path) -> Callable[..., Agent]:
    """Creates the account, the role and the policy of the agent, without its DaemonSet. Waits until the policy is enforced."""
    overlay = MANIFESTS / "overlays" / "topology" / "nfd-lite-topology.yaml"
    objects = [each for each in yaml.safe_load_all(overlay.read_text()) if each["kind"] != "DaemonSet"]
    cluster.kubectl("apply", "-n", NAMESPACE, "-f", "-", stdin="\n---\n".join(map(json.dumps, objects)))
    add_pod(cluster, TOPOLOGY_AGENT, OWN_NODE)

    def make(*, bound: bool = True) -> Agent:
        agent = Agent(cluster, tmp_path, TOPOLOGY_AGENT, bound=bound)
        deadline = time.monotonic() + POLICY_TIMEOUT_S
        while not is_topology_refused(agent):
            assert time.monotonic() < deadline, "the API server does not enforce the policy"
            time.sleep(0.1)
        return agent

    return make


def apply_topology(agent: Agent, body: dict[str, Any], **query: str) -> Any:
    path = f"{TOPOLOGIES}/{body['metadata']['name']}"
    parameters = {"fieldManager": TOPOLOGY_AGENT, "force": "true", **query}
    return agent.api.request("PATCH", path, body=body, content=APPLY, query=parameters)


def is_topology_refused(agent: Agent) -> bool:
    """Whether a dry run for another Node is refused by the policy, and not by a missing right."""
    try:
        apply_topology(agent, topology_body(OTHER_NODE), dryRun="All")
    except KubeError as error:
        return error.status == 403 and "gpunode-topology" in error.message
    return False


def test_the_topology_agent_may_write_only_the_object_of_its_own_node(
    cluster: Cluster, topology: Callable[..., Agent]
) -> None:
    agent = topology()
    publisher = ApiPublisher(agent.api)
    publisher.refresh()
    assert publisher.publish(NodeTopology(policy=KubeletPolicy(), zones=())) is True
    assert publisher.publish(NodeTopology(policy=KubeletPolicy(scope="pod"), zones=())) is True
    (owner,) = json.loads(cluster.kubectl("get", "noderesourcetopologies", OWN_NODE, "-o", "json"))["metadata"][
        "ownerReferences"
    ]
    assert (owner["kind"], owner["name"]) == ("Node", OWN_NODE)
    refused = (
        ("may write only the NodeResourceTopology", topology_body(OTHER_NODE)),
        ("may add no owner but the Node", topology_body(OWN_NODE, {**OWNER, "name": OTHER_NODE})),
        ("may add no owner but the Node", topology_body(OWN_NODE, {**OWNER, "kind": "Pod"})),
        ("may add no owner but the Node", topology_body(OWN_NODE, {**OWNER, "blockOwnerDeletion": True})),
        ("and no finalizers", topology_body(OWN_NODE, finalizers=["example.com/stay"])),
    )
    for why, body in refused:
        agent.refused(why, partial(apply_topology, agent, body))
    agent.refused("cannot delete", lambda: agent.api.request("DELETE", f"{TOPOLOGIES}/{OWN_NODE}"))


def test_a_token_without_a_node_may_write_no_topology(topology: Callable[..., Agent]) -> None:
    agent = topology(bound=False)
    agent.refused("the token does not name a Node", lambda: apply_topology(agent, topology_body(OWN_NODE)))


@pytest.fixture
def drivers(cluster: Cluster, tmp_path: Path) -> dict[str, Agent]:
    """Creates the accounts, roles and the policy of gpu-operator and its driver pods, and waits until the policy is enforced."""
    overlay = MANIFESTS / "overlays" / "gpu-operator" / "gpu-operator.yaml"
    objects = [each for each in yaml.safe_load_all(overlay.read_text()) if each["kind"] != "Deployment"]
    cluster.kubectl("apply", "-n", NAMESPACE, "-f", "-", stdin="\n---\n".join(map(json.dumps, objects)))
    for account in DRIVER_ACCOUNTS:
        add_pod(cluster, account, OWN_NODE)
    agents = {account: Agent(cluster, tmp_path, account) for account in DRIVER_ACCOUNTS}
    deadline = time.monotonic() + POLICY_TIMEOUT_S
    while not all(map(is_refused_by_the_policy_of_drivers, agents.values())):
        assert time.monotonic() < deadline, "the API server does not enforce the policy"
        time.sleep(0.1)
    return agents


def is_refused_by_the_policy_of_drivers(agent: Agent) -> bool:
    """Whether a dry run is refused by the policy, and not by a missing right."""
    body = {"metadata": {"labels": {"kubernetes.io/os": "plan9"}}}
    try:
        agent.api.request("PATCH", f"/api/v1/nodes/{OWN_NODE}", body=body, content=MERGE, query={"dryRun": "All"})
    except KubeError as error:
        return error.status == 403 and "gpunode-drivers" in error.message
    return False


def test_a_driver_pod_may_cordon_and_pause_only_its_own_node(drivers: dict[str, Agent]) -> None:
    agent = drivers["gpu-driver"]
    cordon = NodeCordon(api=agent.api, node_name=OWN_NODE, manager="gpu-driver-manager")
    pause = DaemonSetPause(
        api=agent.api, list_pods=lambda _: (), manager="gpu-driver-manager", pause=Pause.DRIVER_UPGRADE
    )
    cordon.begin()
    pause.begin(["dcgm"])
    assert pause.end()
    cordon.end()
    agent.refused_patch("only its own Node", CORDON, node=OTHER_NODE)
    agent.refused_patch(
        "not its own: nvidia.com/gpu-operator.driver.owner", {"metadata": {"labels": {OWNER_LABEL: "a"}}}
    )
    agent.refused_patch("not its own: example.com/a", {"metadata": {"annotations": {"example.com/a": "b"}}})
    agent.refused_patch("these fields of a Node: spec.taints", {"spec": {"taints": [FOREIGN]}})


def test_gpu_operator_may_write_only_its_keys_of_all_nodes(drivers: dict[str, Agent]) -> None:
    agent = drivers["gpu-operator"]
    annotations = dict.fromkeys(ANNOTATIONS, "x")
    agent.patch(
        {"metadata": {"labels": {OWNER_LABEL: "a", STATE: "upgrade-done"}, "annotations": annotations}, **CORDON}
    )
    agent.patch({"metadata": {"labels": {OWNER_LABEL: "a"}}}, node=OTHER_NODE)
    for node in (OWN_NODE, OTHER_NODE):
        removed = {"labels": {OWNER_LABEL: None, STATE: None}, "annotations": dict.fromkeys(ANNOTATIONS)}
        agent.patch({"metadata": removed, "spec": {"unschedulable": None}}, node=node)
    agent.refused_patch(
        "not its own: nvidia.com/gpu.deploy.driver", {"metadata": {"labels": {f"{DEPLOY}driver": "false"}}}
    )
    agent.refused_patch("these fields of a Node: spec.taints", {"spec": {"taints": [FOREIGN]}})
