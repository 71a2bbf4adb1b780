"""`gpunode why` agrees with the scheduler about each reason, and the change that it proposes places the pod."""

import json
import re
from collections import Counter
from collections.abc import Mapping
from functools import partial
from typing import Any

import yaml

from gpunode.why.scheduler_words import parse_message
from tests.e2e.objects import pod
from tests.e2e.scenarios.gpus import H100, unschedulable_reason
from tests.e2e.scenarios.scenario import NO_CONTAINERS, Scenario
from tests.e2e.scenarios.sharing import TIME_SLICED
from tests.e2e.world import GPU, Obj, Setup, World

PRODUCT = "nvidia.com/gpu.product"
PRESENT = "nvidia.com/gpu.present=true"
MIG = "nvidia.com/mig-1g.10gb"
TAINT = {"key": "e2e.example/team", "value": "a", "effect": "NoSchedule"}
NO_FILTERS = "the simulated scheduler has no filters for volumes and for other pods"
NO_CONTROLLERS = "the simulated cluster has no controllers of workloads and no quotas"

Case = tuple[Obj, str, str]
"""A pod, the Node of interest, and the kind of the reason there."""


def the_reasons_agree_with_those_of_the_scheduler(world: World) -> None:
    add_nodes(world)
    world.apply(pod("holder", {GPU: 6}, selector=H100))
    world.until_running("holder")
    cases = list_cases(world)
    world.apply(*(wanted for wanted, _, _ in cases))
    for wanted, node, kind in cases:
        name = wanted["metadata"]["name"]
        answer = world.until(f"agreement about {name}", partial(find_agreement, world, name))
        assert (answer["state"], answer["canRun"]) == ("Blocked", False)
        assert kind in reasons_of(answer, node), (name, answer)


def list_cases(world: World) -> list[Case]:
    return [
        (pod("wrong-value", {GPU: 1}, selector={PRODUCT: "NVIDIA-H100-80GB"}), world.node, "LabelMismatch"),
        (pod("wrong-key", {GPU: 1}, selector={"nvidia.com/gpu.prodct": H100[PRODUCT]}), world.node, "LabelMismatch"),
        (pod("in-use", {GPU: 4}, selector=H100), world.node, "DevicesInUse"),
        (pod("too-many", {GPU: 16}), world.node, "TooFewInstalled"),
        (pod("taint", {GPU: 1}, selector=on("fenced")), "fenced", "UntoleratedTaint"),
        (pod("cordoned", {GPU: 1}, selector=on("cordoned")), "cordoned", "Cordoned"),
        (pod("not-ready", {GPU: 1}, selector=on("lost")), "lost", "NodeNotReady"),
        (pod("unhealthy", {GPU: 3}, selector=on("hurt")), "hurt", "UnhealthyDevices"),
        (pod("mig-name", {"nvidia.com/mig-1g.5gb": 1}), "migged", "ResourceNotOffered"),
        (pod("not-registered", {GPU: 1}, selector=on("mute")), "mute", "PluginNotRegistered"),
        (pod("gate-label", {GPU: 1}, selector=on("dark")), "dark", "GateLabelMissing"),
        (pod("without-gpu", {GPU: 1}, selector=on("plain")), "plain", "NoGPU"),
        (cpu_pod("cpu", "10000"), "plain", "InsufficientResource"),
    ]


def add_nodes(world: World) -> None:
    """Adds Nodes without a kubelet, one for each reason."""
    world.agents(Setup())
    world.until_allocatable({GPU: "8"})
    for name, capacity in {
        "fenced": {GPU: "4"}, "cordoned": {GPU: "4"}, "lost": {GPU: "4"}, "hurt": {GPU: "4"}, "migged": {MIG: "7"}, "mute": {}, "dark": {},
        "plain": {},
    }.items():  # fmt: skip
        world.add_node(name, capacity)
        world.kubectl("label", "node", name, f"kubernetes.io/hostname={name}", "--overwrite")
    for name in ("fenced", "cordoned", "lost", "hurt", "migged", "mute"):
        world.kubectl("label", "node", name, PRESENT)
    world.kubectl("label", "node", "dark", "feature.node.kubernetes.io/pci-0302_10de.present=true")
    world.kubectl("taint", "node", "fenced", f"{TAINT['key']}={TAINT['value']}:{TAINT['effect']}")
    world.kubectl("cordon", "cordoned")
    patch_status(world, "hurt", {"allocatable": {GPU: "2"}})
    ready = {"type": "Ready", "status": "False", "reason": "KubeletNotReady", "message": "a node of a test"}
    patch_status(world, "lost", {"conditions": [ready]})
    world.kubectl("taint", "node", "lost", "node.kubernetes.io/not-ready:NoSchedule", "--overwrite")


def patch_status(world: World, node: str, status: Obj) -> None:
    world.kubectl(
        "patch", "node", node, "--subresource=status", "--type=strategic", "--patch", json.dumps({"status": status})
    )


def the_change_that_why_proposes_places_the_pod(world: World) -> None:
    world.agents(Setup())
    world.until_allocatable({GPU: "8"})
    world.add_node("b200", {GPU: "8"})
    world.kubectl("label", "node", "b200", PRESENT, f"{PRODUCT}=NVIDIA-B200-192GB")
    world.kubectl("taint", "node", "b200", f"{TAINT['key']}={TAINT['value']}:{TAINT['effect']}")
    wanted = pod("refused", {GPU: 8}, selector={PRODUCT: "NVIDIA-B200-192G"})
    world.apply(wanted)
    answer = world.until("agreement", lambda: find_agreement(world, "refused"))
    assert answer["solutions"][0]["nodes"] == ["b200"]
    changed = with_steps(wanted | {"metadata": {"name": "placed", "namespace": "default"}}, answer["solutions"][0])
    (before,) = world.gpunode("why", "-f", "-", stdin=json.dumps(changed))["items"]
    assert (before["state"], before["nodes"]) == ("Placeable", ["b200"])
    world.apply(changed)
    assert world.until("a node for the pod", lambda: world.bound_to("placed")) == "b200"


def with_steps(wanted: Obj, solution: Obj) -> Obj:
    """Returns the Pod with the YAML of the steps, which are a toleration and an entry of the nodeSelector."""
    spec = dict(wanted["spec"])
    for step in solution["steps"]:
        part = yaml.safe_load(step["yaml"])
        spec["tolerations"] = [*spec["tolerations"], *part.get("tolerations", [])]
        spec["nodeSelector"] = {**spec["nodeSelector"], **part.get("nodeSelector", {})}
    return {**wanted, "spec": spec}


def gates_and_other_schedulers_are_named(world: World) -> None:
    world.agents(Setup())
    world.until_allocatable({GPU: "8"})
    world.apply(with_spec(pod("gated", {GPU: 1}), schedulingGates=[{"name": "example.com/queue"}]))
    world.apply(with_spec(pod("elsewhere", {GPU: 1}), schedulerName="volcano"))
    for name, words in (("gated", "example.com/queue"), ("elsewhere", "volcano")):
        answer = explain(world, name)
        assert (answer["state"], answer["nodes"]) == ("Waiting", [world.node])
        assert words in answer["summary"]


def a_pod_that_the_kubelet_refuses_is_explained(world: World) -> None:
    world.agents(Setup(gpus="t4x1", config=TIME_SLICED))
    world.until_allocatable({GPU: "3"})
    world.apply(pod("greedy", {GPU: 2}))
    world.until("the pod to be rejected", lambda: world.phase("greedy") == "Failed")
    answer = explain(world, "greedy")
    assert (answer["state"], answer["canRun"]) == ("Failed", False)
    assert answer["findings"][0].startswith("UnexpectedAdmissionError: ")
    assert "a container may request only 1" in answer["findings"][0]


def reasons_of_other_filters_are_repeated(world: World) -> None:
    world.agents(Setup())
    world.until_allocatable({GPU: "8"})
    volume = {"name": "data", "persistentVolumeClaim": {"claimName": "missing"}}
    world.apply(with_spec(pod("volume", {GPU: 1}), volumes=[volume]))
    apart = {"labelSelector": {"matchLabels": {"apart": "yes"}}, "topologyKey": "kubernetes.io/hostname"}
    affinity = {"podAntiAffinity": {"requiredDuringSchedulingIgnoredDuringExecution": [apart]}}
    for name in ("first", "second"):
        wanted = with_spec(pod(name, {GPU: 1}, selector=H100), affinity=affinity)
        world.apply({**wanted, "metadata": {**wanted["metadata"], "labels": {"apart": "yes"}}})
        if name == "first":
            world.until_running("first")
    for name, words in (("volume", "volumes"), ("second", "pod anti-affinity")):
        world.until("the reason", partial(unschedulable_reason, world, name))
        answer = explain(world, name)
        assert (answer["state"], answer["nodes"]) == ("Blocked", [world.node])
        assert any(words in each for each in answer["findings"])


def a_workload_is_explained_by_its_pods_or_its_events(world: World) -> None:
    world.agents(Setup())
    world.until_allocatable({GPU: "8"})
    try:
        world.apply(deployment("large", {GPU: "16"}))
        world.until("a pod", lambda: explain(world, "deploy/large")["kind"] == "Pod")
        answer = world.until("agreement", partial(find_agreement, world, "deploy/large"))
        assert (answer["owner"], answer["state"]) == ("Deployment default/large", "Blocked")
        world.kubectl("create", "quota", "gpus", f"--hard=requests.{GPU}=0")
        world.apply(deployment("refused", {GPU: "1"}))
        answer = world.until("an Event", lambda: with_finding(explain(world, "refused"), "exceeded quota: gpus"))
        assert (answer["state"], answer["nodes"]) == ("NotCreated", [world.node])
    finally:
        world.kubectl("delete", "quota", "gpus", "--ignore-not-found")
        world.kubectl("delete", "deployment", "large", "refused", "--ignore-not-found")


def an_image_that_is_missing_is_named(world: World) -> None:
    wanted = pod("image")
    (container,) = wanted["spec"]["containers"]
    world.apply(with_spec(wanted, containers=[{**container, "image": "registry.example/missing:1"}]))
    answer = world.until("the reason", lambda: with_finding(explain(world, "image"), "ErrImageNeverPull"))
    assert answer["state"] == "Failing"


def find_agreement(world: World, name: str) -> Obj | None:
    """Returns the answer if its evaluation gives the reasons of the scheduler, each for as many Nodes."""
    answer = explain(world, name)
    message = unschedulable_reason(world, answer["name"])
    agrees = message is not None and words_of(parse_message(message)) == words_of(answer["filterReasons"])
    return answer if agrees else None


def words_of(reasons: Mapping[str, int]) -> Counter[str]:
    """Omits the taint, which some versions of the scheduler do not name."""
    counts: Counter[str] = Counter()
    for reason, number in reasons.items():
        counts[re.sub(r"(untolerated taint).*", r"\1", reason)] += number
    return counts


def explain(world: World, target: str) -> Obj:
    answer: Obj = world.gpunode("why", target, "-n", "default")["items"][0]
    return answer


def reasons_of(answer: Obj, node: str) -> list[str]:
    """The kinds of the reasons of one Node."""
    return [each["kind"] for group in answer["groups"] if node in group["nodes"] for each in group["reasons"]]


def with_finding(answer: Obj, words: str) -> Obj | None:
    return answer if any(words in each for each in answer["findings"]) else None


def on(node: str) -> dict[str, str]:
    return {"kubernetes.io/hostname": node}


def with_spec(wanted: Obj, **fields: Any) -> Obj:
    return {**wanted, "spec": {**wanted["spec"], **fields}}


def cpu_pod(name: str, amount: str) -> Obj:
    wanted = pod(name)
    (container,) = wanted["spec"]["containers"]
    return with_spec(wanted, containers=[{**container, "resources": {"requests": {"cpu": amount}}}])


def deployment(name: str, limits: Mapping[str, str]) -> Obj:
    spec = pod(name)["spec"]
    (container,) = spec["containers"]
    template = {
        "metadata": {"labels": {"app": name}},
        "spec": {**spec, "containers": [{**container, "resources": {"limits": dict(limits)}}]},
    }
    return {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": {"name": name, "namespace": "default"},
        "spec": {"replicas": 1, "selector": {"matchLabels": {"app": name}}, "template": template},
    }


SCENARIOS = (
    Scenario(the_reasons_agree_with_those_of_the_scheduler),
    Scenario(the_change_that_why_proposes_places_the_pod),
    Scenario(gates_and_other_schedulers_are_named),
    Scenario(reasons_of_other_filters_are_repeated, real_only=NO_FILTERS),
    Scenario(a_workload_is_explained_by_its_pods_or_its_events, real_only=NO_CONTROLLERS),
    Scenario(an_image_that_is_missing_is_named, real_only=NO_CONTAINERS),
    Scenario(a_pod_that_the_kubelet_refuses_is_explained),
)
