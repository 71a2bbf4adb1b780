"""Pods that request an extended resource which the scheduler serves with a ResourceClaim."""

import json
from collections.abc import Mapping
from fractions import Fraction
from pathlib import Path
from typing import Any

import msgspec
import pytest

from gpunode.cluster.claim_devices import ClaimDevice
from gpunode.cluster.claim_objects import DeviceClass
from gpunode.why import snapshot
from gpunode.why.extended import find_served, map_resources, offer_devices
from gpunode.why.subject import ClaimSnapshot, Snapshot
from node_core.errors import KubeError
from node_core.scheduling.objects import Node
from simulation.apiserver import ApiServer
from tests.conftest import Golden
from tests.gpunode.recorded import read_cluster, store_objects
from tests.gpunode.verbs import run_verb, without_styles
from tests.gpunode.why.conftest import Why

IMPLICIT = "deviceclass.resource.kubernetes.io/gpu.nvidia.com"


def pod(
    name: str, amount: str = "1", resource: str = "nvidia.com/gpu", node: str = "", **status: Any
) -> dict[str, Any]:
    container = {"name": "main", "image": "train", "resources": {"limits": {resource: amount}}}
    spec = {"containers": [container], **({"nodeSelector": {"kubernetes.io/hostname": node}} if node else {})}
    return {
        "kind": "Pod",
        "metadata": {"name": name, "namespace": "team"},
        "spec": spec,
        "status": {"phase": "Pending", **status},
    }


PODS = (
    pod("one"),
    pod("four-of-dra-1", "4", node="dra-1"),
    pod("seven-of-dra-1", "7", node="dra-1"),
    pod("tainted", "2", node="dra-2"),
    pod("of-the-plugin", node="plugin-1"),
    pod("typo", resource="nvidia.com/gpus"),
    pod("implicit", "9", resource=IMPLICIT),
    pod("class-typo", resource="deviceclass.resource.kubernetes.io/gpu.nvidia.co"),
    pod("no-class", resource="deviceclass.resource.kubernetes.io/tpu"),
    pod("other-class", resource="example.com/nic"),
    pod(
        "bound-soon",
        "2",
        node="dra-1",
        extendedResourceClaimStatus={"resourceClaimName": "old-style-extended-resources-x7k2p", "requestMappings": []},
    ),
)


def _with_classes(cluster: list[dict[str, Any]], names: Mapping[str, str]) -> list[dict[str, Any]]:
    for each in cluster:
        if each["kind"] == "DeviceClass" and (resource := names.get(each["metadata"]["name"])):
            each["spec"]["extendedResourceName"] = resource
    return cluster


@pytest.fixture(scope="module")
def server() -> Any:
    names = {"gpu.nvidia.com": "nvidia.com/gpu", "nic.example.com": "example.com/nic"}
    with ApiServer() as running:
        store_objects(running, (*_with_classes(read_cluster("dra"), names), *PODS))
        yield running


@pytest.mark.golden
@pytest.mark.parametrize("name", ["four-of-dra-1", "tainted", "seven-of-dra-1", "implicit", "class-typo"])
def test_the_explanation_of_an_extended_resource_is_the_golden_file(why: Why, golden: Golden, name: str) -> None:
    result = why(name)
    assert (result.exit_code, result.stderr) == (1, "")
    golden(f"gpunode/why/extended-{name}.txt", without_styles(result.stdout))


@pytest.mark.parametrize(
    ("name", "kinds"),
    [
        ("four-of-dra-1", {"DevicesInUse"}),
        ("tainted", {"UnhealthyDevices"}),
        ("seven-of-dra-1", {"TooFewInstalled"}),
        ("of-the-plugin", {"DevicesInUse"}),
    ],
)
def test_a_node_is_refused_for_the_same_reasons_as_with_a_device_plugin(why: Why, name: str, kinds: set[str]) -> None:
    (item,) = json.loads(why(name, "-o", "json").stdout)["items"]
    assert item["state"] == "Blocked"
    selected = next(
        each["spec"]["nodeSelector"]["kubernetes.io/hostname"] for each in PODS if each["metadata"]["name"] == name
    )
    (group,) = (each for each in item["groups"] if each["nodes"] == [selected])
    assert {each["kind"] for each in group["reasons"]} == kinds


def node(allocatable: str) -> Node:
    status = {"capacity": {"nvidia.com/gpu": "8"}, "allocatable": {"nvidia.com/gpu": allocatable}}
    return msgspec.convert({"metadata": {"name": "moved"}, "status": status}, Node)


def offer(node: Node, *devices: str) -> Node:
    """Returns the Node with GPUs of ResourceSlices, none of which has a claim."""
    gpus = tuple(ClaimDevice(name=name, device_class="gpu.nvidia.com", gpu=name) for name in devices)
    claims = ClaimSnapshot(devices={node.name: gpus}, resources={"nvidia.com/gpu": "gpu.nvidia.com"})
    served = find_served(["nvidia.com/gpu"], claims)
    (offered,) = offer_devices(Snapshot(nodes=(node,)), served, {"nvidia.com/gpu": Fraction(1)}).nodes
    return offered


def test_after_the_device_plugin_ended_the_devices_of_the_slices_count_although_its_capacity_remains() -> None:
    ended = offer(node("0"), "gpu-0", "gpu-1")
    assert (ended.status.capacity, ended.status.allocatable) == ({"nvidia.com/gpu": "2"}, {"nvidia.com/gpu": "2"})
    assert offer(node("7"), "gpu-0", "gpu-1") == node("7")


def test_without_devices_in_slices_the_devices_of_the_plugin_are_unhealthy() -> None:
    assert offer(node("0")) == node("0")


def test_nodes_with_free_devices_can_run_the_pod(why: Why) -> None:
    (item,) = json.loads(why("one", "-o", "json").stdout)["items"]
    assert (item["canRun"], item["nodes"]) == (True, ["dra-1", "dra-2"])
    assert "2 nodes have such devices in ResourceSlices" in item["findings"][0]


def test_the_devices_of_its_own_claim_are_free_for_a_pod(why: Why) -> None:
    (item,) = json.loads(why("bound-soon", "-o", "json").stdout)["items"]
    assert item["nodes"] == ["dra-1"]
    assert (
        "The ResourceClaim team/old-style-extended-resources-x7k2p is allocated: gpu-3 of the pool dra-1."
        in item["findings"]
    )


def test_a_resource_of_a_class_is_near_to_a_typing_error(why: Why) -> None:
    assert "Did you mean nvidia.com/gpu? 3 nodes offer it." in why("typo").stdout.replace("\n", " ")


def test_a_class_that_does_not_exist_is_answered_with_those_that_exist_and_with_the_nearest_one(why: Why) -> None:
    (item,) = json.loads(why("no-class", "-o", "json").stdout)["items"]
    names = "The DeviceClasses are: gpu.nvidia.com, mig.nvidia.com, nic.example.com."
    assert item["findings"] == [f"No DeviceClass has the name tpu. {names}"]
    (item,) = json.loads(why("class-typo", "-o", "json").stdout)["items"]
    assert item["findings"] == [f"No DeviceClass has the name gpu.nvidia.co. Did you mean {IMPLICIT}? {names}"]
    (solution,) = item["solutions"]
    assert solution["nodes"] == ["dra-1", "dra-2"]


def test_a_typing_error_in_a_cluster_whose_classes_name_no_resource_is_found(tmp_path: Path) -> None:
    with ApiServer() as running:
        store_objects(running, (*read_cluster("dra"), *PODS))
        running.write_kubeconfig(tmp_path / "kubeconfig")
        result = run_verb("why", "class-typo", "-n", "team", "--kubeconfig", str(tmp_path / "kubeconfig"))
    assert f"Did you mean {IMPLICIT}?" in result.stdout.replace("\n", " ")


def test_a_class_with_unknown_selectors_is_evaluated_by_the_scheduler_alone(why: Why) -> None:
    (item,) = json.loads(why("other-class", "-o", "json").stdout)["items"]
    (finding,) = item["findings"]
    assert finding.startswith(
        "example.com/nic is served by a ResourceClaim of the DeviceClass nic.example.com. The scheduler"
    )
    assert item["canRun"]


@pytest.mark.parametrize(("name", "status"), [("one", 403), ("one", 404), ("class-typo", 404)])
def test_a_missing_right_is_a_note_and_a_missing_api_is_one_only_for_a_class(
    why: Why, monkeypatch: pytest.MonkeyPatch, name: str, status: int
) -> None:
    def refuse(*_: object) -> None:
        raise KubeError("you are not permitted to list deviceclasses", status=status)

    monkeypatch.setattr(snapshot, "read_classes", refuse)
    (item,) = json.loads(why(name, "-o", "json").stdout)["items"]
    words = "Whether resource claims serve the pod was not evaluated: you are not permitted to list deviceclasses."
    assert item["notes"] == ([] if (name, status) == ("one", 404) else [words])


def test_claims_are_read_only_if_a_class_serves_an_extended_resource(tmp_path: Path) -> None:
    with ApiServer() as running:
        store_objects(running, (*read_cluster("dra"), *PODS))
        running.write_kubeconfig(tmp_path / "kubeconfig")
        result = run_verb("why", "one", "-n", "team", "--kubeconfig", str(tmp_path / "kubeconfig"))
        assert result.exit_code == 1
        read = {path for _, path in running.requests if "resource.k8s.io" in path}
        assert not [path for path in read if "resourceclaims" in path or "resourceslices" in path]


def _class(name: str, created: str, resource: str) -> DeviceClass:
    content = {"metadata": {"name": name, "creationTimestamp": created}, "spec": {"extendedResourceName": resource}}
    return msgspec.convert(content, DeviceClass)


def test_the_newest_class_serves_a_resource_and_then_the_first_by_name() -> None:
    old = _class("a", "2026-01-01T00:00:00Z", "r/gpu")
    new = [_class(name, "2026-01-02T00:00:00Z", "r/gpu") for name in ("c", "b")]
    assert map_resources([*new, old])["r/gpu"] == "b"
    assert map_resources([old])["r/gpu"] == "a"
