"""What an agent's token may do on a real API server: write its own keys on its own Node, and nothing else."""

import json
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import yaml

from device_plugin.health.news import Condition, News, Subject, render_condition, render_event
from device_plugin.health.startup_taint import CLAIM, StartupTaint, parse_startup_taint
from node_core.domain.events import Complaint
from node_core.domain.events import render_event as render_complaint
from node_core.domain.features import Features
from node_core.domain.inventory import GpuUuid
from node_core.domain.labels import GPU_PRESENT
from node_core.domain.node_feature import GFD_PREFIX, NodeFeature
from node_core.domain.outputs import WantedResources
from node_core.domain.premium import RESERVED
from node_core.domain.taints import RULE_TAINTS_ANNOTATION, TAINTS_ANNOTATION, Taint, WantedTaints
from node_core.errors import KubeError
from node_core.kube.client import APPLY, JSON_PATCH, NodeApi
from node_core.kube.events import EventApi
from node_core.kube.node_feature import NodeFeatureApi
from node_core.publish.resources import ResourceKeeper
from node_core.publish.taints import TaintKeeper
from tests.e2e.cluster import Cluster, attach
from tests.e2e.tokens import NAMESPACE, add_pod, request_token, write_kubeconfig

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(300)]

MANIFESTS = Path(__file__).parents[2] / "manifests"
HERE, THERE = "policy-a", "policy-b"
FPGA = "example.com/fpga"
AGENTS = ("nfd-lite", "gfd", "gpu-device-plugin")
IN_FORCE_S = 60.0
MERGE = "application/merge-patch+json"
STRATEGIC = "application/strategic-merge-patch+json"
READY = Condition(is_ready=True, reason="GPUsReady", message="8 devices")
FOREIGN = {"key": "example.com/theirs", "value": "1", "effect": "NoSchedule"}
CORDON = {"spec": {"unschedulable": True}}

Patch = Any


@pytest.fixture(scope="module")
def cluster() -> Iterator[Cluster]:
    """With both Nodes, a Pod of each agent on each, and the policies in force."""
    found = attach()
    assert found is not None, "there is no cluster: make e2e brings one up and runs these"
    found.kubectl("apply", "-k", str(MANIFESTS / "crds"))
    base = MANIFESTS / "base"
    found.kubectl("apply", "-f", str(base / "namespace.yaml"))
    found.kubectl("apply", "-n", NAMESPACE, "-f", str(base / "rbac.yaml"), "-f", str(base / "admission.yaml"))
    for node in (HERE, THERE):
        found.add_node(node, {"example.com/team": "red"}, {FPGA: "2"})
        for agent in AGENTS:
            add_pod(found, agent, node)
    yield found
    found.kubectl("delete", "pods", "-n", NAMESPACE, "--force", "--grace-period=0", *_pods())
    found.kubectl("delete", "nodes", HERE, THERE)


def _pods() -> list[str]:
    return [f"{agent}-{node}" for agent in AGENTS for node in (HERE, THERE)]


class As:
    """An agent's requests to the API server, with the token of its Pod on HERE or, unbound, with one of its account alone."""

    def __init__(self, cluster: Cluster, folder: Path, agent: str, *, bound: bool = True) -> None:
        flags = ("--bound-object-kind=Pod", f"--bound-object-name={agent}-{HERE}") if bound else ()
        kubeconfig = write_kubeconfig(cluster, folder / agent, request_token(cluster, agent, *flags))
        self.agent = agent
        self.api = NodeApi(HERE, kubeconfig=str(kubeconfig), user_agent="e2e")

    def patch(self, patch: Patch, *, node: str = HERE, part: str = "", content: str = MERGE) -> Any:
        path = f"/api/v1/nodes/{node}{part}"
        manager = self.agent if self.agent in AGENTS else "gpu-device-plugin"
        return self.api.request("PATCH", path, body=patch, content=content, query={"fieldManager": manager})

    def refused(self, why: str, ask: Callable[[], object]) -> None:
        with pytest.raises(KubeError, match=why) as caught:
            ask()
        assert caught.value.status == 403

    def refused_patch(self, why: str, patch: Patch, **where: Any) -> None:
        self.refused(why, lambda: self.patch(patch, **where))


@pytest.fixture
def acting(cluster: Cluster, tmp_path: Path) -> Callable[..., As]:
    """Waits until the API server has taken the policies in, which it does a moment after it was told."""

    def make(agent: str, *, bound: bool = True) -> As:
        made = As(cluster, tmp_path, agent, bound=bound)
        deadline = time.monotonic() + IN_FORCE_S
        while not in_force(made):
            assert time.monotonic() < deadline, "the policy is not in force"
            time.sleep(0.1)
        return made

    return make


def in_force(who: As) -> bool:
    """Whether a request is refused, that is no more than a question."""
    query = {"fieldManager": who.agent, "dryRun": "All"}
    body = {"metadata": {"labels": {"kubernetes.io/os": "plan9"}}}
    try:
        who.api.request("PATCH", f"/api/v1/nodes/{HERE}", body=body, content=MERGE, query=query)
    except KubeError as error:
        return error.status == 403
    return False


def taints(api: NodeApi) -> list[str]:
    """Keys; those of Kubernetes come and go."""
    return [taint["key"] for taint in api.get().taints if not taint["key"].startswith("node.kubernetes.io/")]


def test_nfd_lite_writes_its_labels_annotations_taints_and_resources_and_takes_them_away(
    acting: Callable[..., As],
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
    keeper = TaintKeeper(api, "nfd-lite", claim=RULE_TAINTS_ANNOTATION)
    ours = Taint(key="example.com/training", value="1", effect="NoSchedule")
    assert keeper.apply(WantedTaints(taints=(ours,)))
    assert keeper.apply(WantedTaints(taints=(Taint(key=ours.key, value="2", effect=ours.effect),)))
    resources = ResourceKeeper(api, "nfd-lite")
    assert resources.apply(WantedResources(resources={"example.com/seats": "4"}))
    assert resources.apply(WantedResources(resources={"example.com/seats": "5"}))
    assert api.get().capacity["example.com/seats"] == "5"
    assert resources.apply(WantedResources())
    assert keeper.apply(WantedTaints())
    view = api.apply_labels("nfd-lite", {}, force=False)
    assert not labels.keys() & view.labels.keys()
    assert taints(api) == []


def test_a_resource_that_a_kubelet_zeroed_is_set_again(cluster: Cluster, acting: Callable[..., As]) -> None:
    api = acting("nfd-lite").api
    cluster.kubectl(
        "patch", "node", HERE, "--subresource=status", "-p", '{"status":{"capacity":{"example.com/zeroed":"0"}}}'
    )
    resources = ResourceKeeper(api, "nfd-lite")
    assert resources.apply(WantedResources(resources={"example.com/zeroed": "7"}))
    assert api.get().capacity["example.com/zeroed"] == "7"
    assert resources.apply(WantedResources())


def test_gfd_writes_its_labels_and_premium_taint_and_takes_them_away(acting: Callable[..., As]) -> None:
    api = acting("gfd").api
    labels = {"nvidia.com/gpu.count": "8", "nvidia.com/cuda.driver.major": "550", "nvidia.com/gpu.premium": "true"}
    assert labels.items() <= api.apply_labels("gfd", labels, force=False).labels.items()
    keeper = TaintKeeper(api, "gfd", claim=TAINTS_ANNOTATION)
    assert keeper.apply(WantedTaints(taints=(Taint(key="nvidia.com/gpu.premium", value="true", effect="NoSchedule"),)))
    assert taints(api) == ["nvidia.com/gpu.premium"]
    assert keeper.apply(WantedTaints())
    assert not labels.keys() & api.apply_labels("gfd", {}, force=False).labels.keys()


def test_the_plugin_writes_its_condition_and_startup_taint(acting: Callable[..., As]) -> None:
    who = acting("gpu-device-plugin")
    who.patch(render_condition(READY, "2026-01-01T00:00:00Z"), part="/status", content=STRATEGIC)
    taint = StartupTaint(who.api, who.agent, parse_startup_taint("nvidia.com/gpu-not-ready:NoSchedule"))
    assert taint.apply(wanted=True)
    assert taint.apply(wanted=False)
    assert taints(who.api) == []


def test_the_plugin_takes_a_startup_taint_away_that_the_kubelet_brought(
    cluster: Cluster, acting: Callable[..., As]
) -> None:
    who = acting("gpu-device-plugin")
    cluster.kubectl("taint", "node", HERE, "nvidia.com/gpu-not-ready=:NoSchedule")
    taint = StartupTaint(who.api, who.agent, parse_startup_taint("nvidia.com/gpu-not-ready:NoSchedule"))
    assert taint.apply(wanted=False)


@pytest.mark.parametrize("agent", AGENTS)
@pytest.mark.parametrize(
    ("why", "patch"),
    [
        ("its own Node alone", {"metadata": {"labels": {"feature.node.kubernetes.io/x": "1"}}, "node": THERE}),
        ("node-role.kubernetes.io/control-plane", {"metadata": {"labels": {"node-role.kubernetes.io/control-plane": ""}}}),
        ("kubernetes.io/hostname", {"metadata": {"labels": {"kubernetes.io/hostname": "other"}}}),
        ("kubernetes.io/os", {"metadata": {"labels": {"kubernetes.io/os": None}}}),
        ("node.k8s.io/x", {"metadata": {"labels": {"node.k8s.io/x": "1"}}}),
        ("bare", {"metadata": {"labels": {"bare": "1"}}}),
        ("xfeature.node.kubernetes.io/x", {"metadata": {"labels": {"xfeature.node.kubernetes.io/x": "1"}}}),
        ("volumes.kubernetes.io/x", {"metadata": {"annotations": {"volumes.kubernetes.io/x": "1"}}}),
        ("gpunode.nvidia.com/other", {"metadata": {"annotations": {"gpunode.nvidia.com/other": "1"}}}),
        ("metadata.finalizers", {"metadata": {"finalizers": ["example.com/stays"]}}),
        ("metadata.ownerReferences", {"metadata": {"ownerReferences": [{"apiVersion": "v1", "kind": "Node", "name": THERE, "uid": "1"}]}}),
        ("spec.unschedulable", CORDON),
        ("spec.podCIDR", {"spec": {"podCIDR": "10.9.0.0/24", "podCIDRs": ["10.9.0.0/24"]}}),
        ("spec.providerID", {"spec": {"providerID": "cloud://other"}}),
        ("example.com/theirs", {"spec": {"taints": []}}),
        ("example.com/mine", {"spec": {"taints": [FOREIGN, {"key": "example.com/mine", "effect": "NoExecute"}]}}),
    ],
    ids=lambda each: each if isinstance(each, str) else "",
)  # fmt: skip
def test_no_agent_may(cluster: Cluster, acting: Callable[..., As], agent: str, why: str, patch: Patch) -> None:
    cluster.kubectl("patch", "node", HERE, "--type=merge", "-p", json.dumps({"spec": {"taints": [FOREIGN]}}))
    who = acting(agent)
    node = patch.get("node", HERE)
    who.refused_patch(why, {name: value for name, value in patch.items() if name != "node"}, node=node)
    cluster.kubectl("patch", "node", HERE, "--type=merge", "-p", json.dumps({"spec": {"taints": None}}))


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
def test_no_agent_may_say_in_the_status(acting: Callable[..., As], agent: str, why: str, status: Patch) -> None:
    acting(agent).refused_patch(why, {"status": status}, part="/status", content=STRATEGIC)


def test_labels_cannot_be_smuggled_in_through_the_status(acting: Callable[..., As]) -> None:
    smuggled = {"metadata": {"labels": {"node-role.kubernetes.io/control-plane": ""}}}
    for agent in ("nfd-lite", "gpu-device-plugin"):
        acting(agent).refused_patch("node-role", smuggled, part="/status")


def test_the_agents_keep_off_each_others_keys(acting: Callable[..., As]) -> None:
    nfd, gfd, plugin = map(acting, AGENTS)
    gfd.api.apply_labels("gfd", {"nvidia.com/gpu.count": "8"}, force=False)
    count = {"metadata": {"labels": {"nvidia.com/gpu.count": "9"}}}
    nfd.refused_patch("nvidia.com/gpu.count", count)
    plugin.refused_patch("nvidia.com/gpu.count", count)
    nfd.refused("field manager", lambda: nfd.api.apply_labels("gfd", {}, force=True))
    for key in RESERVED:
        gfd.refused_patch(key, {"metadata": {"labels": {key: "mine"}}})
        plugin.refused_patch(key, {"metadata": {"labels": {key: "mine"}}})
    gfd.refused_patch("feature.node", {"metadata": {"labels": {"feature.node.kubernetes.io/x": "1"}}})
    plugin.refused_patch("example.com/fpga", {"status": {"capacity": {"example.com/fpga": "9"}}}, part="/status")
    nfd.refused_patch("GPUReady", render_condition(READY, "2026-02-02T00:00:00Z"), part="/status", content=STRATEGIC)
    claims = {nfd: (TAINTS_ANNOTATION, CLAIM), gfd: (RULE_TAINTS_ANNOTATION, CLAIM), plugin: (TAINTS_ANNOTATION,)}
    for who, keys in claims.items():
        for key in keys:
            who.refused_patch(key, {"metadata": {"annotations": {key: "nvidia.com/x:NoSchedule"}}})
    gfd.api.apply_labels("gfd", {}, force=False)


@pytest.mark.parametrize(("agent", "claim"), [("nfd-lite", RULE_TAINTS_ANNOTATION), ("gfd", TAINTS_ANNOTATION)])
def test_a_taint_that_is_there_or_will_be_cannot_be_claimed(
    cluster: Cluster, acting: Callable[..., As], agent: str, claim: str
) -> None:
    who = acting(agent)
    theirs = {"key": "nvidia.com/theirs", "effect": "NoSchedule"}
    cluster.kubectl("patch", "node", HERE, "--type=merge", "-p", json.dumps({"spec": {"taints": [theirs]}}))
    named = "nvidia.com/theirs:NoSchedule"
    who.refused_patch("may claim only", {"metadata": {"annotations": {claim: named}}})
    who.refused_patch("may claim only", {"metadata": {"annotations": {claim: named}}, "spec": {"taints": None}})
    who.refused_patch("may claim only", {"metadata": {"annotations": {claim: "nvidia.com/later:NoSchedule"}}})
    who.refused_patch("may not set", {"spec": {"taints": [{**theirs, "value": "changed"}]}})
    unreachable = {"key": "node.kubernetes.io/unreachable", "effect": "NoExecute"}
    claimed = {"metadata": {"annotations": {claim: "node.kubernetes.io/unreachable:NoExecute"}}}
    who.refused_patch("node.kubernetes.io/unreachable", {**claimed, "spec": {"taints": [theirs, unreachable]}})
    cluster.kubectl("patch", "node", HERE, "--type=merge", "-p", json.dumps({"spec": {"taints": None}}))


@pytest.mark.parametrize("agent", AGENTS)
def test_a_token_that_is_bound_to_no_node_can_change_nothing(acting: Callable[..., As], agent: str) -> None:
    labels = {"metadata": {"labels": {"feature.node.kubernetes.io/x": "1", "nvidia.com/x": "1"}}}
    acting(agent, bound=False).refused_patch("does not say on which Node", labels)


@pytest.mark.parametrize("agent", AGENTS)
@pytest.mark.parametrize("verb", ["POST", "DELETE"])
def test_nodes_are_neither_made_nor_deleted_by_agents(acting: Callable[..., As], agent: str, verb: str) -> None:
    who = acting(agent)
    path = "/api/v1/nodes" if verb == "POST" else f"/api/v1/nodes/{HERE}"
    body = {"apiVersion": "v1", "kind": "Node", "metadata": {"name": "new"}} if verb == "POST" else None
    who.refused("cannot", lambda: who.api.request(verb, path, body=body, content="application/json"))


@pytest.mark.parametrize(("agent", "prefix"), [("nfd-lite", ""), ("gfd", GFD_PREFIX)])
def test_an_agent_writes_its_own_node_feature_and_no_other(acting: Callable[..., As], agent: str, prefix: str) -> None:
    who = acting(agent)
    uid = who.api.get().uid
    api = NodeFeatureApi(who.api, namespace=NAMESPACE, prefix=prefix)
    wanted = NodeFeature(node_name=HERE, node_uid=uid, labels={"nvidia.com/gpu.count": "8"})
    assert api.apply(agent, wanted, force=False).node_name == HERE
    assert api.apply(agent, replace(wanted, labels={}), force=False).labels == {}
    about_other = NodeFeature(node_name=THERE, node_uid=uid, labels=wanted.labels)
    who.refused("owned by its Node|own Node", lambda: api.apply(agent, about_other, force=True))
    other = f"{api.path}/{prefix}{THERE}"
    body = {
        "apiVersion": "nfd.k8s-sigs.io/v1alpha1",
        "kind": "NodeFeature",
        "metadata": {"name": f"{prefix}{THERE}", "labels": {"nfd.node.kubernetes.io/node-name": HERE}},
        "spec": {},
    }
    query = {"fieldManager": agent}
    who.refused("alone", lambda: who.api.request("PATCH", other, body=body, content=APPLY, query=query))
    for more in ({"finalizers": ["example.com/stays"]}, {"ownerReferences": [_owner("Pod", HERE)]}):
        patch = {"metadata": more}
        mine = f"{api.path}/{prefix}{HERE}"
        ask = lambda patch=patch, mine=mine: who.api.request("PATCH", mine, body=patch, content=MERGE)  # noqa: E731
        who.refused("owned by its Node", ask)


def test_a_node_feature_loses_the_last_of_anything(acting: Callable[..., As]) -> None:
    """Of what is emptied by an apply the API server makes null, which it refuses in custom objects."""
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
    wanted = NodeFeature(node_name=HERE, node_uid=who.api.get().uid, labels={"example.com/a": "1"}, features=full)
    api = NodeFeatureApi(who.api, namespace=NAMESPACE)
    for features in (full, empty, full, Features(attributes=kernel), full):
        made = replace(wanted, features=features, labels=wanted.labels if features is full else {})
        assert made.is_said_by(api.apply("nfd-lite", made, force=False), "nfd-lite")


def _owner(kind: str, name: str) -> dict[str, str]:
    return {"apiVersion": "v1", "kind": kind, "name": name, "uid": "1"}


def test_an_agent_tells_of_what_is_its_own_and_in_its_own_name(acting: Callable[..., As]) -> None:
    nfd, gfd, plugin = map(acting, AGENTS)
    rule = {"metadata": {"name": "rules", "uid": "1", "generation": 1, "resourceVersion": "1"}}
    told = render_complaint(rule, Complaint(rule="a", key=None, why="w"), agent="nfd-lite", node_name=HERE, now=NOW)
    EventApi(nfd.api).create(told)
    EventApi(plugin.api).create(news(Subject(kind="Node", name=HERE, uid=HERE)))
    EventApi(plugin.api).create(news(Subject(kind="Pod", name="any", uid="1", namespace="default")))
    nfd.refused(
        "may not tell of Node",
        lambda: EventApi(nfd.api).create(news(Subject(kind="Node", name=HERE, uid=HERE), agent="nfd-lite")),
    )
    other = news(Subject(kind="Node", name=THERE, uid=THERE))
    plugin.refused(f"may not tell of Node {THERE}", lambda: EventApi(plugin.api).create(other))
    of_kubelet = news(Subject(kind="Node", name=HERE, uid=HERE), agent="kubelet")
    plugin.refused("who tells it", lambda: EventApi(plugin.api).create(of_kubelet))
    gfd.refused("cannot create resource", lambda: EventApi(gfd.api).create(other))


NOW = "2026-01-01T00:00:00Z"


def news(about: Subject, agent: str = "gpu-device-plugin") -> dict[str, Any]:
    what = News(reason="GPUUnhealthy", note="n", gpu=GpuUuid("GPU-1"), at=time.time())
    return render_event(what, about, agent=agent, node_name=HERE, now=NOW)


def test_a_node_with_thousands_of_labels_is_still_one_that_can_be_judged(acting: Callable[..., As]) -> None:
    who = acting("nfd-lite")
    labels = {f"vendor-{number}.example.com/{'x' * 60}": "true" for number in range(2000)}
    assert len(who.api.apply_labels("nfd-lite", labels, force=False).labels) >= 2000
    who.refused_patch("node-role", {"metadata": {"labels": {"node-role.kubernetes.io/control-plane": ""}}})
    who.api.apply_labels("nfd-lite", {}, force=False)


def test_nobody_else_is_hindered(cluster: Cluster) -> None:
    cluster.kubectl("label", "node", HERE, "node-role.kubernetes.io/worker=")
    cluster.kubectl("cordon", HERE)
    cluster.kubectl("uncordon", HERE)


def test_a_json_patch_is_judged_by_what_it_makes(acting: Callable[..., As]) -> None:
    who = acting("gfd")
    cordon = [{"op": "add", "path": "/spec/unschedulable", "value": True}]
    who.refused_patch("spec.unschedulable", cordon, content=JSON_PATCH)


@pytest.mark.parametrize("agent", AGENTS)
def test_an_agent_writes_under_its_own_name(acting: Callable[..., As], agent: str) -> None:
    who = acting(agent)
    for manager in {"kubectl", *AGENTS} - {agent}:
        who.refused("field manager", partial(who.api.apply_labels, manager, {}, force=False))


def test_what_others_have_put_into_the_capacity_cannot_be_claimed(acting: Callable[..., As]) -> None:
    who = acting("nfd-lite")
    same = {"apiVersion": "v1", "kind": "Node", "metadata": {"name": HERE}, "status": {"capacity": {FPGA: "2"}}}
    who.refused_patch("capacity of these resources", same, part="/status", content=APPLY)


@pytest.fixture
def one_process(cluster: Cluster) -> Iterator[None]:
    """The account of `gpunode run`, with a Pod on HERE."""
    cluster.kubectl("create", "serviceaccount", "gpunode", "-n", NAMESPACE)
    for role in ("gpunode-labeller", "gpunode-rules", "gpunode-health"):
        flags = (f"--clusterrole={role}", f"--serviceaccount={NAMESPACE}:gpunode")
        cluster.kubectl("create", "clusterrolebinding", f"e2e-{role}", *flags)
    pod = add_pod(cluster, "gpunode", HERE)
    yield
    cluster.kubectl("delete", "pod", pod, "-n", NAMESPACE, "--force", "--grace-period=0")
    cluster.kubectl("delete", "clusterrolebinding", "e2e-gpunode-labeller", "e2e-gpunode-rules", "e2e-gpunode-health")
    cluster.kubectl("delete", "serviceaccount", "gpunode", "-n", NAMESPACE)


@pytest.mark.usefixtures("one_process")
def test_the_three_agents_in_one_process_have_the_keys_of_all_three_and_no_others(acting: Callable[..., As]) -> None:
    who = acting("gpunode")
    who.api.apply_labels("nfd-lite", {GPU_PRESENT: "true", "example.com/tier": "gold"}, force=False)
    who.api.apply_labels("gfd", {"nvidia.com/gpu.count": "8"}, force=False)
    rules = TaintKeeper(who.api, "nfd-lite", claim=RULE_TAINTS_ANNOTATION)
    premium = TaintKeeper(who.api, "gfd", claim=TAINTS_ANNOTATION)
    startup = StartupTaint(who.api, "gpu-device-plugin", parse_startup_taint("nvidia.com/gpu-not-ready:NoSchedule"))
    for keeper, key in ((rules, "example.com/t"), (premium, "nvidia.com/p")):
        assert keeper.apply(WantedTaints(taints=(Taint(key=key, effect="NoSchedule"),)))
    assert startup.apply(wanted=True)
    assert sorted(taints(who.api)) == ["example.com/t", "nvidia.com/gpu-not-ready", "nvidia.com/p"]
    assert startup.apply(wanted=False)
    assert rules.apply(WantedTaints())
    assert premium.apply(WantedTaints())
    who.patch(render_condition(READY, "2026-03-03T00:00:00Z"), part="/status", content=STRATEGIC)
    EventApi(who.api).create(news(Subject(kind="Node", name=HERE, uid=HERE)))
    who.refused_patch("node-role", {"metadata": {"labels": {"node-role.kubernetes.io/control-plane": ""}}})
    who.refused_patch("its own Node alone", {"metadata": {"labels": {"example.com/x": "1"}}}, node=THERE)
    who.refused_patch("spec.unschedulable", CORDON)
    for manager in ("nfd-lite", "gfd"):
        who.api.apply_labels(manager, {}, force=False)


@pytest.fixture
def cleanup_account(cluster: Cluster) -> Iterator[None]:
    """The account of `gpunode cleanup` with its roles, and a Pod on HERE."""
    objects = yaml.safe_load_all((MANIFESTS / "cleanup" / "cleanup.yaml").read_text())
    rights = "\n---\n".join(json.dumps(each) for each in objects if each["kind"] != "DaemonSet")
    cluster.kubectl("apply", "-f", "-", stdin=rights)
    pod = add_pod(cluster, "gpunode-cleanup", HERE)
    yield
    cluster.kubectl("delete", "pod", pod, "-n", NAMESPACE, "--force", "--grace-period=0")
    cluster.kubectl("delete", "-f", "-", stdin=rights)


@pytest.mark.usefixtures("cleanup_account")
def test_the_cleanup_takes_away_what_agents_wrote_and_nothing_else(acting: Callable[..., As]) -> None:
    gfd, who = acting("gfd"), acting("gpunode-cleanup")
    gfd.api.apply_labels("gfd", {"nvidia.com/gpu.count": "8"}, force=False)
    premium = TaintKeeper(gfd.api, "gfd", claim=TAINTS_ANNOTATION)
    assert premium.apply(WantedTaints(taints=(Taint(key="nvidia.com/p", effect="NoSchedule"),)))
    assert TaintKeeper(who.api, "gfd", claim=TAINTS_ANNOTATION).apply(WantedTaints())
    who.api.apply_labels("gfd", {}, force=False)
    assert taints(gfd.api) == []
    assert "nvidia.com/gpu.count" not in gfd.api.get().labels
    who.refused_patch("its own Node alone", {"metadata": {"labels": {"example.com/x": "1"}}}, node=THERE)
    who.refused_patch("node-role", {"metadata": {"labels": {"node-role.kubernetes.io/control-plane": ""}}})
    who.refused_patch("spec.unschedulable", CORDON)


@pytest.mark.usefixtures("cleanup_account")
def test_the_cleanup_has_the_node_features_of_its_own_node_alone(cluster: Cluster, acting: Callable[..., As]) -> None:
    who = acting("gpunode-cleanup")
    folder = f"/apis/nfd.k8s-sigs.io/v1alpha1/namespaces/{NAMESPACE}/nodefeatures"
    paths = [f"{folder}/{GFD_PREFIX}{node}" for node in (HERE, THERE)]
    for node in (HERE, THERE):
        labels = {"nfd.node.kubernetes.io/node-name": node}
        metadata = {"name": f"{GFD_PREFIX}{node}", "namespace": NAMESPACE, "labels": labels}
        feature = {"apiVersion": "nfd.k8s-sigs.io/v1alpha1", "kind": "NodeFeature", "metadata": metadata, "spec": {}}
        cluster.kubectl("apply", "-f", "-", stdin=json.dumps(feature))
    mine, theirs = paths
    patch = {"spec": {"labels": {"example.com/x": "1"}}}
    who.refused("alone", lambda: who.api.request("PATCH", theirs, body=patch, content=MERGE))
    who.refused("alone", lambda: who.api.request("DELETE", theirs, body={}, content="application/json"))
    who.api.request("DELETE", mine, body={}, content="application/json")
    cluster.kubectl("delete", "nodefeatures", "-n", NAMESPACE, f"{GFD_PREFIX}{THERE}")
