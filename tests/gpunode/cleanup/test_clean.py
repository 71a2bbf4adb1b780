"""Cleanup removes what the three agents wrote to a node, and nothing else."""

import copy
import errno
import socket
from pathlib import Path
from typing import Any

import pytest

from gpu_core.clients.daemon_sets import DaemonSetPause
from gpu_core.clients.pause import DEPLOY, Pause
from gpu_core.host.mig_status import mig_status_path
from gpu_validator.container import CONTAINER_LOCK
from gpunode.cleanup.clean import CleanupTargets, Outcome, clean, run_steps
from gpunode.cleanup.node import AGENTS
from mig_manager.clients import SERVICES_FILE
from nfd_lite.topology.node_topology import MANAGER as TOPOLOGY
from node_core.domain.node_feature import GFD_PREFIX
from node_core.domain.taints import GFD_TAINTS_ANNOTATION, Taint, TaintPlan, render_taint
from node_core.errors import KubeError, NodeError
from node_core.kube.client import NodeApi
from node_core.runtime.instance_lock import InstanceLock
from node_core.values import replace
from tests.gpunode.conftest import NODE, Cluster

EARLIER = Taint(key="nvidia.com/gpu.premium", value="true", effect="NoSchedule")
"""A taint of an earlier version of gfd, which had premium rules."""
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
FOREIGN = {"key": "example.com/other", "effect": "NoSchedule"}
OTHER_CONDITION = {"type": "Other", "status": "True", "reason": "r", "message": "m"}


def api(cluster: Cluster) -> NodeApi:
    return NodeApi(NODE, kubeconfig=str(cluster.directory / "kubeconfig"), user_agent="test")


def targets(cluster: Cluster, namespace: str = "default") -> CleanupTargets:
    return CleanupTargets(
        cdi=cluster.directory / "cdi",
        sockets=cluster.directory / "dp",
        state=cluster.directory / "lock",
        records=cluster.directory / "records",
        namespace=namespace,
        validations=cluster.directory / "validations",
    )


def written_state(cluster: Cluster) -> dict[str, Any]:
    """The parts of the Node that clients other than the kubelet write."""
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
    """Writes labels, annotations, taints and status of other clients to the Node, and returns its state before an agent starts."""
    client = api(cluster)
    metadata = {"labels": {"example.com/other": "1"}, "annotations": {"example.com/other": "1"}}
    patch = {"metadata": metadata, "spec": {"taints": [FOREIGN]}}
    client.request("PATCH", f"/api/v1/nodes/{NODE}", body=patch, content="application/merge-patch+json")
    status = {"status": {"conditions": [OTHER_CONDITION], "capacity": {"example.com/other": "7"}}}
    client.request(
        "PATCH", f"/api/v1/nodes/{NODE}/status", body=status, content="application/strategic-merge-patch+json"
    )
    return written_state(cluster)


def run_agents(cluster: Cluster) -> None:
    """Starts the agents with all their outputs, waits until the Node has all outputs, then kills the agents."""
    api(cluster).request("POST", "/apis/nfd.k8s-sigs.io/v1alpha1/nodefeaturerules", body=RULE)
    cluster.start("nfd_lite", "--simulate=h100x8", "--enable-taints")
    cluster.start("gfd", "--simulate=h100x8")
    cluster.start("device_plugin", "--simulate=h100x8")
    cluster.until(lambda: "vendor.example/d" in {taint["key"] for taint in cluster.node["spec"]["taints"]})
    cluster.until(lambda: "vendor.example/c" in cluster.node["status"]["capacity"])
    cluster.until(lambda: {"vendor.example/a", "nvidia.com/gpu.present"} <= cluster.labels.keys())
    cluster.until(lambda: cluster.gpus == "8" and "nvidia.com/gpu.count" in cluster.labels)
    cluster.until(lambda: "GPUReady" in written_state(cluster)["conditions"])
    for process in cluster.processes:
        process.kill()
        process.wait()
    node = api(cluster).get()
    plan = TaintPlan(taints=(*node.taints, render_taint(EARLIER)), owned=frozenset({EARLIER}))
    api(cluster).set_taints("gfd", plan, node, taints_annotation=GFD_TAINTS_ANNOTATION)


def test_cleanup_removes_what_the_agents_wrote_and_nothing_else_and_a_second_one_writes_nothing(
    cluster: Cluster, before: dict[str, Any]
) -> None:
    run_agents(cluster)
    for name in ("other", CONTAINER_LOCK):
        (cluster.directory / "lock" / name).touch()
    assert (cluster.directory / "lock" / "nvml.gfd.lock").exists()
    assert {"vendor.example/a", "nvidia.com/gpu.present"} <= cluster.labels.keys()
    assert list((cluster.directory / "dp").glob("nvidia-*.sock"))
    outcome = clean(api(cluster), targets(cluster))
    assert outcome.problems == ()
    assert written_state(cluster) == before
    assert [path.name for path in (cluster.directory / "lock").iterdir()] == ["other"]
    assert not list((cluster.directory / "dp").glob("nvidia-*.sock"))
    assert {"taints of gfd", "taints of nfd-lite", "condition of gpu-device-plugin"} <= set(outcome.removed)
    cluster.server.forget_requests()
    assert clean(api(cluster), targets(cluster)) == Outcome()
    assert cluster.server.writes == 0, "a second cleanup"
    assert written_state(cluster) == before


def test_cleanup_removes_nothing_while_an_agent_has_its_lock(cluster: Cluster) -> None:
    lock = InstanceLock(cluster.directory / "lock", "gfd", NODE)
    assert lock.acquire() is None
    client = api(cluster)
    client.apply_labels("gfd", {"nvidia.com/gpu.count": "8"}, force=False)
    outcome = clean(client, targets(cluster))
    assert outcome.removed == ()
    (problem,) = outcome.problems
    assert problem.startswith("gfd still runs on this node: another process (pid ")
    assert cluster.labels["nvidia.com/gpu.count"] == "8"
    lock.release()
    assert clean(client, targets(cluster)).problems == ()
    assert "nvidia.com/gpu.count" not in cluster.labels


def put_pod(cluster: Cluster, name: str, app: str, node: str, namespace: str = "default") -> None:
    labels = {"app.kubernetes.io/part-of": "gpunode", "app.kubernetes.io/name": app}
    metadata = {"name": name, "labels": labels}
    spec = {"nodeName": node, "containers": [{"name": "main", "image": "i"}]}
    body = {"apiVersion": "v1", "kind": "Pod", "metadata": metadata, "spec": spec}
    api(cluster).request("POST", f"/api/v1/namespaces/{namespace}/pods", body=body)


def test_cleanup_removes_nothing_while_a_pod_of_an_agent_runs_on_the_node(cluster: Cluster) -> None:
    client = api(cluster)
    client.apply_labels("gfd", {"nvidia.com/gpu.count": "8"}, force=False)
    put_pod(cluster, "gpunode-cleanup-x", "gpunode-cleanup", NODE)
    put_pod(cluster, "gfd-y", "gfd", "elsewhere")
    put_pod(cluster, "gfd-x", "gfd", NODE)
    assert clean(client, targets(cluster)) == Outcome(problems=("the pod gfd-x still runs on this node",))
    assert cluster.labels["nvidia.com/gpu.count"] == "8"
    client.request(
        "DELETE", "/api/v1/namespaces/default/pods/gfd-x", body={"gracePeriodSeconds": 0}, content="application/json"
    )
    assert clean(client, targets(cluster)).removed == ("labels and annotations of gfd",)


def test_a_label_that_another_field_manager_also_applied_is_retained(cluster: Cluster) -> None:
    client = api(cluster)
    client.apply_labels("gfd", {"nvidia.com/gpu.count": "8", "nvidia.com/gpu.family": "hopper"}, force=False)
    client.apply_labels("somebody", {"nvidia.com/gpu.count": "8"}, force=False)
    outcome = clean(client, targets(cluster))
    assert outcome.retained == ("label nvidia.com/gpu.count, because somebody also set it",)
    assert cluster.labels["nvidia.com/gpu.count"] == "8"
    assert "nvidia.com/gpu.family" not in cluster.labels
    assert "gfd" not in {each["manager"] for each in cluster.node["metadata"]["managedFields"]}, "the ownership ends"
    assert clean(client, targets(cluster)) == Outcome()


def test_a_label_that_two_agents_applied_is_removed(cluster: Cluster) -> None:
    client = api(cluster)
    for agent in ("gfd", "nfd-lite"):
        client.apply_labels(agent, {"nvidia.com/gpunode.simulated": "true"}, force=False)
    assert clean(client, targets(cluster)).retained == ()
    assert "nvidia.com/gpunode.simulated" not in cluster.labels


@pytest.mark.parametrize("taints_annotation", ["nvidia.com/gpu.premium=true:NoSchedule, {", "garbage", ""])
def test_a_taint_that_another_client_changed_is_retained_but_the_annotation_is_removed(
    cluster: Cluster, taints_annotation: str
) -> None:
    other = {"key": "nvidia.com/gpu.premium", "value": "mine", "effect": "NoSchedule"}
    patch = {
        "metadata": {"annotations": {"gpunode.nvidia.com/taints": taints_annotation}},
        "spec": {"taints": [other]},
    }
    client = api(cluster)
    client.request("PATCH", f"/api/v1/nodes/{NODE}", body=patch, content="application/merge-patch+json")
    clean(client, targets(cluster))
    assert cluster.node["spec"]["taints"] == [other]
    assert "gpunode.nvidia.com/taints" not in (cluster.node["metadata"].get("annotations") or {})


def test_a_condition_that_another_field_manager_wrote_is_retained(cluster: Cluster) -> None:
    client = api(cluster)
    status = {"status": {"conditions": [{**OTHER_CONDITION, "type": "GPUReady"}]}}
    path = f"/api/v1/nodes/{NODE}/status"
    client.request(
        "PATCH", path, query={"fieldManager": "npd"}, body=status, content="application/strategic-merge-patch+json"
    )
    clean(client, targets(cluster))
    assert "GPUReady" in written_state(cluster)["conditions"]


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


def test_the_labels_of_paused_daemon_sets_are_restored(cluster: Cluster) -> None:
    client = api(cluster)
    client.apply_labels("gpu-operator", {f"{DEPLOY}dcgm": "true"}, force=False)
    pause = DaemonSetPause(api=client, list_pods=lambda _: (), manager="mig-manager", pause=Pause.MIG_CHANGE)
    pause.begin(("dcgm", "client"))
    assert "pause of DaemonSets by mig-manager" in clean(client, targets(cluster)).removed
    assert {key: value for key, value in cluster.labels.items() if key.startswith(DEPLOY)} == {f"{DEPLOY}dcgm": "true"}
    assert Pause.MIG_CHANGE.annotation not in client.get().annotations


def test_the_records_of_mig_manager_are_removed_and_files_of_others_stay(cluster: Cluster) -> None:
    records, status = cluster.directory / "records", mig_status_path(cluster.directory / "lock", NODE)
    for path in (records / "mig.json", records / "mig.lock", records / "mig-reboot.json", records / "other", status):
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()
    dry = clean(api(cluster), replace(targets(cluster), is_dry_run=True, only="host"))
    assert f"records of mig-manager in {records}" in dry.removed
    assert status.exists()
    outcome = clean(api(cluster), targets(cluster))
    assert f"records of mig-manager in {records}" in outcome.removed
    assert [path.name for path in records.iterdir()] == ["other"]
    assert not status.parent.exists()


def test_services_that_are_still_stopped_are_a_problem_if_they_cannot_start(
    cluster: Cluster,
) -> None:
    path = cluster.directory / "records" / SERVICES_FILE
    path.parent.mkdir()
    path.write_text('{"stopped": ["gpunode-test-of-cleanup.service"]}')
    outcome = clean(api(cluster), replace(targets(cluster), only="host"))
    assert any(each.startswith("services that mig-manager has stopped: systemctl start") for each in outcome.problems)
    assert path.exists()


@pytest.mark.parametrize("manager", [TOPOLOGY, "nfd-topology-updater"])
def test_only_a_topology_of_the_agent_is_deleted(cluster: Cluster, manager: str) -> None:
    body = {
        "apiVersion": "topology.node.k8s.io/v1alpha2",
        "kind": "NodeResourceTopology",
        "metadata": {"name": NODE},
        "topologyPolicies": [],
        "zones": [],
    }
    path = f"/apis/topology.node.k8s.io/v1alpha2/noderesourcetopologies/{NODE}"
    query = {"fieldManager": manager}
    api(cluster).request("PATCH", path, query=query, body=body, content="application/apply-patch+yaml")
    outcome = clean(api(cluster), targets(cluster))
    left = cluster.server.store.list("noderesourcetopologies.topology.node.k8s.io")[0]
    assert outcome.problems == ()
    assert (f"NodeResourceTopology {NODE}" in outcome.removed, len(left)) == (manager == TOPOLOGY, manager != TOPOLOGY)


def test_only_node_feature_objects_of_the_agents_are_deleted(cluster: Cluster) -> None:
    put_object(cluster, "gfd", f"{GFD_PREFIX}{NODE}", {"a": "1"})
    put_object(cluster, "nfd-worker", NODE, {"b": "1"})
    outcome = clean(api(cluster), targets(cluster))
    assert outcome == Outcome(removed=(f"NodeFeature default/{GFD_PREFIX}{NODE}",))
    assert objects(cluster) == {NODE: {"b": "1"}}


def test_in_a_shared_node_feature_object_only_the_fields_of_the_agent_are_removed(cluster: Cluster) -> None:
    put_object(cluster, "nfd-lite", NODE, {"ours": "1"})
    put_object(cluster, "somebody", NODE, {"other": "1"})
    assert clean(api(cluster), targets(cluster)).problems == ()
    assert objects(cluster) == {NODE: {"other": "1"}}


def test_a_served_socket_and_files_of_other_programs_are_retained(cluster: Cluster) -> None:
    folder = cluster.directory / "dp"
    (folder / "nvidia-note.sock").write_text("not a socket")
    (cluster.directory / "cdi").mkdir()
    other = cluster.directory / "cdi" / "vendor.com-gpu.json"
    other.write_text("{}")
    with socket.socket(socket.AF_UNIX) as served, socket.socket(socket.AF_UNIX) as dead:
        served.bind(str(folder / "nvidia-gpu.sock"))
        served.listen()
        dead.bind(str(folder / "nvidia-team-a.sock"))
        dead.close()
        outcome = clean(api(cluster), targets(cluster))
    assert outcome.removed == (f"sockets in {folder}",)
    assert {path.name for path in folder.glob("nvidia-*")} == {"nvidia-note.sock", "nvidia-gpu.sock"}
    assert other.exists()


def test_cdi_specifications_of_the_plugin_are_removed(cluster: Cluster) -> None:
    folder = cluster.directory / "cdi"
    folder.mkdir()
    (folder / "k8s.device-plugin.nvidia.com-gpu.json").write_text("{}")
    assert clean(api(cluster), targets(cluster)).removed == (f"CDI specs in {folder}",)
    assert list(folder.iterdir()) == []


def set_boot_id(cluster: Cluster, boot_id: str) -> None:
    def change(node: dict[str, Any]) -> dict[str, Any]:
        info = {**node["status"].get("nodeInfo", {}), "bootID": boot_id, "machineID": ""}
        return {**node, "status": {**node["status"], "nodeInfo": info}}

    cluster.server.store.mutate("nodes", NODE, change)


def test_the_files_and_the_node_of_another_machine_are_retained(cluster: Cluster) -> None:
    set_boot_id(cluster, "another")
    state = cluster.directory / "lock" / f"gfd.{NODE}.lock"
    state.parent.mkdir()
    state.touch()
    client = api(cluster)
    client.apply_labels("gfd", {"nvidia.com/gpu.count": "8"}, force=False)
    (problem,) = clean(client, targets(cluster)).problems
    assert problem.startswith(f"this machine is not the Node {NODE}. Run cleanup on that node, or use --only cluster")
    assert state.exists()
    assert cluster.labels["nvidia.com/gpu.count"] == "8"
    assert clean(client, replace(targets(cluster), only="cluster")).removed == ("labels and annotations of gfd",)
    assert state.exists()
    assert clean(client, replace(targets(cluster), only="host")).removed == (f"state in {state.parent}",)


def test_a_dry_run_reports_locked_agents_without_a_change(cluster: Cluster) -> None:
    lock = InstanceLock(cluster.directory / "lock", "gfd", NODE)
    assert lock.acquire() is None
    outcome = clean(api(cluster), replace(targets(cluster), is_dry_run=True))
    lock.release()
    assert outcome == Outcome(problems=("gfd still runs on this node",))


def test_missing_folders_are_not_a_problem(cluster: Cluster, tmp_path: Path) -> None:
    nowhere = CleanupTargets(
        cdi=tmp_path / "a", sockets=tmp_path / "b", state=tmp_path / "c", records=tmp_path / "d", namespace="default"
    )
    assert clean(api(cluster), nowhere) == Outcome()


def test_the_files_of_a_validator_that_was_killed_are_removed_but_not_those_of_another_validator(
    cluster: Cluster,
) -> None:
    here = targets(cluster)
    here.validations.mkdir()
    for name in ("driver-ready", ".driver-ctr-ready"):
        (here.validations / name).touch()
    assert clean(api(cluster), here) == Outcome()
    assert here.state is not None
    here.state.mkdir(exist_ok=True)
    (here.state / f"gpu-validator.{NODE}.lock").touch()
    what = f"files of gpu-validator in {here.validations}"
    assert what in clean(api(cluster), replace(here, is_dry_run=True)).removed
    assert what in clean(api(cluster), here).removed
    assert [each.name for each in here.validations.iterdir()] == [".driver-ctr-ready"]


def test_a_folder_that_cannot_be_listed_is_a_problem_and_the_other_steps_run(cluster: Cluster) -> None:
    closed = cluster.directory / ("x" * 300)
    client, here = api(cluster), targets(cluster)
    client.apply_labels("gfd", {"nvidia.com/gpu.count": "8"}, force=False)
    (unknown, *_) = clean(client, replace(here, state=closed)).problems
    assert unknown == f"cannot determine whether nfd-lite runs on this node: {closed}: File name too long"
    outcome = clean(client, replace(here, cdi=closed))
    assert outcome.removed == ("labels and annotations of gfd",)
    assert outcome.problems == (f"CDI specs in {closed}: File name too long",)


def test_a_step_that_fails_is_a_problem_and_the_other_steps_run() -> None:
    def fails() -> bool:
        raise KubeError("refused", status=403)

    def breaks() -> bool:
        raise NodeError("full")

    def denies() -> bool:
        raise PermissionError(errno.EACCES, "Permission denied", "/var/run/cdi/a.json")

    steps = [("a", fails), ("b", lambda: True), ("c", breaks), ("d", denies), ("e", lambda: False), ("f", lambda: True)]
    assert run_steps(steps) == Outcome(removed=("b", "f"), problems=("a: refused", "c: full", "d: Permission denied"))


def test_cleanup_checks_the_locks_of_all_agents() -> None:
    assert set(AGENTS) == {
        "nfd-lite",
        "gfd",
        "gpu-device-plugin",
        "gpu-exporter",
        "mig-manager",
        "gpu-validator",
        "gpu-dra-driver",
    }
