"""What the three agents leave on a node goes, and nothing else does."""

import copy
import errno
import socket
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from gpunode.cleanup.clean import AGENTS, Outcome, Places, clean, take
from node_core.domain.node_feature import GFD_PREFIX
from node_core.errors import KubeError, NodeError
from node_core.kube.client import NodeApi
from node_core.runtime.instance import InstanceLock
from tests.gpunode.conftest import NODE, Cluster

RULES = """version: v1
premium:
  - name: all
    match: {countAtLeast: 1}
    taint: {key: nvidia.com/gpu.premium, value: "true", effect: NoSchedule}
"""
RULE: dict[str, Any] = {
    "apiVersion": "nfd.k8s-sigs.io/v1alpha1",
    "kind": "NodeFeatureRule",
    "metadata": {"name": "r"},
    "spec": {
        "rules": [
            {
                "name": "all",
                "labels": {"vendor.example/a": "1"},
                "annotations": {"vendor.example/b": "2"},
                "extendedResources": {"vendor.example/c": "3"},
                "taints": [{"key": "vendor.example/d", "effect": "NoSchedule"}],
            }
        ]
    },
}
FOREIGN = {"key": "example.com/theirs", "effect": "NoSchedule"}
THEIR_CONDITION = {"type": "Theirs", "status": "True", "reason": "r", "message": "m"}


def api(cluster: Cluster) -> NodeApi:
    return NodeApi(NODE, kubeconfig=str(cluster.directory / "kubeconfig"), user_agent="test")


def places(cluster: Cluster, namespace: str = "default") -> Places:
    return Places(
        cdi=cluster.directory / "cdi",
        sockets=cluster.directory / "dp",
        state=cluster.directory / "lock",
        namespace=namespace,
    )


def spot(cluster: Cluster) -> dict[str, Any]:
    """What of a Node anybody but its kubelet may write."""
    node = copy.deepcopy(cluster.node)
    metadata, spec, status = node["metadata"], node.get("spec", {}), node["status"]
    return {
        "labels": metadata.get("labels", {}),
        "annotations": metadata.get("annotations") or {},
        "taints": spec.get("taints") or [],
        "capacity": {name: amount for name, amount in status["capacity"].items() if not name.startswith("nvidia.com/")},
        "conditions": {each["type"] for each in status.get("conditions", ())},
    }


@pytest.fixture
def before(cluster: Cluster) -> dict[str, Any]:
    """The Node with what others have there, as it is before an agent of ours comes."""
    door = api(cluster)
    metadata = {"labels": {"example.com/theirs": "1"}, "annotations": {"example.com/theirs": "1"}}
    patch = {"metadata": metadata, "spec": {"taints": [FOREIGN]}}
    door.request("PATCH", f"/api/v1/nodes/{NODE}", body=patch, content="application/merge-patch+json")
    status = {"status": {"conditions": [THEIR_CONDITION], "capacity": {"example.com/theirs": "7"}}}
    door.request("PATCH", f"/api/v1/nodes/{NODE}/status", body=status, content="application/strategic-merge-patch+json")
    return spot(cluster)


def run_agents(cluster: Cluster) -> None:
    """As somebody who uses everything has them, until all of it is there; then they are killed."""
    (cluster.directory / "rules.yaml").write_text(RULES)
    api(cluster).request("POST", "/apis/nfd.k8s-sigs.io/v1alpha1/nodefeaturerules", body=RULE)
    config = f"--config-file={cluster.directory / 'rules.yaml'}"
    cluster.start("nfd_lite", "--simulate=h100x8", "--enable-taints")
    cluster.start("gfd", "--simulate=h100x8", config)
    cluster.start("device_plugin", "--simulate=h100x8")
    keys = {"nvidia.com/gpu.premium", "vendor.example/d"}
    cluster.until(lambda: keys <= {taint["key"] for taint in cluster.node["spec"]["taints"]})
    cluster.until(lambda: "vendor.example/c" in cluster.node["status"]["capacity"])
    cluster.until(lambda: {"vendor.example/a", "nvidia.com/gpu.present"} <= cluster.labels.keys())
    cluster.until(lambda: cluster.gpus == "8" and "nvidia.com/gpu.count" in cluster.labels)
    cluster.until(lambda: "GPUReady" in spot(cluster)["conditions"])
    for process in cluster.processes:
        process.kill()
        process.wait()


def test_what_the_agents_left_is_gone_and_what_others_have_stays(cluster: Cluster, before: dict[str, Any]) -> None:
    run_agents(cluster)
    (cluster.directory / "lock" / "theirs").touch()
    assert (cluster.directory / "lock" / "nvml.gfd.lock").exists()
    assert {"vendor.example/a", "nvidia.com/gpu.present"} <= cluster.labels.keys()
    assert list((cluster.directory / "dp").glob("nvidia-*.sock"))
    outcome = clean(api(cluster), places(cluster))
    assert outcome.problems == ()
    assert spot(cluster) == before
    assert [path.name for path in (cluster.directory / "lock").iterdir()] == ["theirs"]
    assert not list((cluster.directory / "dp").glob("nvidia-*.sock"))
    assert {"taints of gfd", "taints of nfd-lite", "condition of gpu-device-plugin"} <= set(outcome.taken)


def test_a_second_go_finds_nothing_and_writes_nothing(cluster: Cluster, before: dict[str, Any]) -> None:
    run_agents(cluster)
    clean(api(cluster), places(cluster))
    cluster.server.forget_requests()
    assert clean(api(cluster), places(cluster)) == Outcome()
    assert cluster.server.writes == 0
    assert spot(cluster) == before


def test_nothing_is_done_while_an_agent_runs(cluster: Cluster) -> None:
    lock = InstanceLock(cluster.directory / "lock", "gfd", NODE)
    assert lock.acquire() is None
    door = api(cluster)
    door.apply_labels("gfd", {"nvidia.com/gpu.count": "8"}, force=False)
    outcome = clean(door, places(cluster))
    assert outcome.taken == ()
    (problem,) = outcome.problems
    assert problem.startswith("gfd still runs here: another process (pid ")
    assert cluster.labels["nvidia.com/gpu.count"] == "8"
    lock.release()
    assert clean(door, places(cluster)).problems == ()
    assert "nvidia.com/gpu.count" not in cluster.labels


def put_pod(cluster: Cluster, name: str, app: str, node: str, namespace: str = "default") -> None:
    labels = {"app.kubernetes.io/part-of": "gpunode", "app.kubernetes.io/name": app}
    metadata = {"name": name, "labels": labels}
    spec = {"nodeName": node, "containers": [{"name": "main", "image": "i"}]}
    body = {"apiVersion": "v1", "kind": "Pod", "metadata": metadata, "spec": spec}
    api(cluster).request("POST", f"/api/v1/namespaces/{namespace}/pods", body=body)


def test_nothing_is_done_while_a_pod_of_ours_is_on_the_node(cluster: Cluster) -> None:
    door = api(cluster)
    door.apply_labels("gfd", {"nvidia.com/gpu.count": "8"}, force=False)
    put_pod(cluster, "gpunode-cleanup-x", "gpunode-cleanup", NODE)
    put_pod(cluster, "gfd-y", "gfd", "elsewhere")
    put_pod(cluster, "gfd-x", "gfd", NODE)
    assert clean(door, places(cluster)) == Outcome(problems=("gfd-x still runs here",))
    assert cluster.labels["nvidia.com/gpu.count"] == "8"
    door.request(
        "DELETE", "/api/v1/namespaces/default/pods/gfd-x", body={"gracePeriodSeconds": 0}, content="application/json"
    )
    assert clean(door, places(cluster)).taken == ("labels and annotations of gfd",)


def test_a_label_that_somebody_applied_as_well_stays_theirs(cluster: Cluster) -> None:
    door = api(cluster)
    door.apply_labels("gfd", {"nvidia.com/gpu.count": "8", "nvidia.com/gpu.family": "hopper"}, force=False)
    door.apply_labels("somebody", {"nvidia.com/gpu.count": "8"}, force=False)
    clean(door, places(cluster))
    assert cluster.labels["nvidia.com/gpu.count"] == "8"
    assert "nvidia.com/gpu.family" not in cluster.labels


@pytest.mark.parametrize("claim", ["nvidia.com/gpu.premium=true:NoSchedule, {", "garbage", ""])
def test_a_taint_that_was_changed_is_somebodys_and_its_claim_goes(cluster: Cluster, claim: str) -> None:
    theirs = {"key": "nvidia.com/gpu.premium", "value": "mine", "effect": "NoSchedule"}
    patch = {
        "metadata": {"annotations": {"gpunode.nvidia.com/taints": claim}},
        "spec": {"taints": [theirs]},
    }
    door = api(cluster)
    door.request("PATCH", f"/api/v1/nodes/{NODE}", body=patch, content="application/merge-patch+json")
    clean(door, places(cluster))
    assert cluster.node["spec"]["taints"] == [theirs]
    assert "gpunode.nvidia.com/taints" not in (cluster.node["metadata"].get("annotations") or {})


def test_a_condition_that_somebody_else_wrote_stays(cluster: Cluster) -> None:
    door = api(cluster)
    status = {"status": {"conditions": [{**THEIR_CONDITION, "type": "GPUReady"}]}}
    path = f"/api/v1/nodes/{NODE}/status"
    door.request(
        "PATCH", path, query={"fieldManager": "npd"}, body=status, content="application/strategic-merge-patch+json"
    )
    clean(door, places(cluster))
    assert "GPUReady" in spot(cluster)["conditions"]


def put_object(cluster: Cluster, manager: str, name: str, labels: dict[str, str]) -> None:
    body = {
        "apiVersion": "nfd.k8s-sigs.io/v1alpha1",
        "kind": "NodeFeature",
        "metadata": {"name": name, "namespace": "default"},
        "spec": {"labels": labels},
    }
    path = f"/apis/nfd.k8s-sigs.io/v1alpha1/namespaces/default/nodefeatures/{name}"
    query = {"fieldManager": manager}
    api(cluster).request("PATCH", path, query=query, body=body, content="application/apply-patch+yaml")


def objects(cluster: Cluster) -> dict[str, Any]:
    items = cluster.server.store.list("nodefeatures.nfd.k8s-sigs.io")[0]
    return {item["metadata"]["name"]: item["spec"].get("labels", {}) for item in items}


def test_objects_of_ours_are_deleted_and_those_of_others_are_not(cluster: Cluster) -> None:
    put_object(cluster, "gfd", f"{GFD_PREFIX}{NODE}", {"a": "1"})
    put_object(cluster, "nfd-worker", NODE, {"b": "1"})
    outcome = clean(api(cluster), places(cluster))
    assert outcome == Outcome(taken=(f"NodeFeature default/{GFD_PREFIX}{NODE}",))
    assert objects(cluster) == {NODE: {"b": "1"}}


def test_of_an_object_that_others_write_too_only_our_part_goes(cluster: Cluster) -> None:
    put_object(cluster, "nfd-lite", NODE, {"ours": "1"})
    put_object(cluster, "somebody", NODE, {"theirs": "1"})
    assert clean(api(cluster), places(cluster)).problems == ()
    assert objects(cluster) == {NODE: {"theirs": "1"}}


def test_a_socket_that_somebody_serves_and_files_of_others_stay(cluster: Cluster) -> None:
    folder = cluster.directory / "dp"
    (folder / "nvidia-note.sock").write_text("no socket")
    (cluster.directory / "cdi").mkdir()
    theirs = cluster.directory / "cdi" / "vendor.com-gpu.json"
    theirs.write_text("{}")
    with socket.socket(socket.AF_UNIX) as served, socket.socket(socket.AF_UNIX) as dead:
        served.bind(str(folder / "nvidia-gpu.sock"))
        served.listen()
        dead.bind(str(folder / "nvidia-team-a.sock"))
        dead.close()
        outcome = clean(api(cluster), places(cluster))
    assert outcome.taken == (f"sockets in {folder}",)
    assert {path.name for path in folder.glob("nvidia-*")} == {"nvidia-note.sock", "nvidia-gpu.sock"}
    assert theirs.exists()


def test_our_cdi_specs_go(cluster: Cluster) -> None:
    folder = cluster.directory / "cdi"
    folder.mkdir()
    (folder / "k8s.device-plugin.nvidia.com-gpu.json").write_text("{}")
    assert clean(api(cluster), places(cluster)).taken == (f"CDI specs in {folder}",)
    assert list(folder.iterdir()) == []


def test_folders_that_are_not_there_hold_nothing(cluster: Cluster, tmp_path: Path) -> None:
    nowhere = Places(cdi=tmp_path / "a", sockets=tmp_path / "b", state=tmp_path / "c", namespace="default")
    assert clean(api(cluster), nowhere) == Outcome()


def test_a_folder_that_cannot_be_looked_into_is_a_problem_and_the_others_go_on(cluster: Cluster) -> None:
    closed = cluster.directory / ("x" * 300)
    door, here = api(cluster), places(cluster)
    door.apply_labels("gfd", {"nvidia.com/gpu.count": "8"}, force=False)
    (unknown, *_) = clean(door, replace(here, state=closed)).problems
    assert unknown == f"it is not known whether nfd-lite runs here: {closed}: File name too long"
    outcome = clean(door, replace(here, cdi=closed))
    assert outcome.taken == ("labels and annotations of gfd",)
    assert outcome.problems == (f"CDI specs in {closed}: File name too long",)


def test_what_fails_is_a_problem_and_the_others_go_on() -> None:
    def fails() -> bool:
        raise KubeError("refused", status=403)

    def breaks() -> bool:
        raise NodeError("full")

    def denies() -> bool:
        raise PermissionError(errno.EACCES, "Permission denied", "/var/run/cdi/a.json")

    steps = [("a", fails), ("b", lambda: True), ("c", breaks), ("d", denies), ("e", lambda: False), ("f", lambda: True)]
    assert take(steps) == Outcome(taken=("b", "f"), problems=("a: refused", "c: full", "d: Permission denied"))


def test_all_agents_have_their_locks_looked_at() -> None:
    assert set(AGENTS) == {"nfd-lite", "gfd", "gpu-device-plugin"}
