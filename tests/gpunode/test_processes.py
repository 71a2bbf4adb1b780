"""The agents as processes: signals, outages, wrong credentials, two agents on one node. The agents keep running."""

import signal
import subprocess
import sys
from typing import Any

import pytest

from node_core.host.atomic_write import write_atomically
from node_core.kube.client import NodeApi
from tests.exhaustive import params

H100 = ("--simulate", "h100x8")
COUNT = "nvidia.com/gpu.count"
PRESENT = "nvidia.com/gpu.present"
KERNEL = "feature.node.kubernetes.io/kernel-version.full"


@pytest.mark.exhaustive
def test_three_processes_label_the_node_and_advertise_its_gpus(cluster: Any) -> None:
    plugin = cluster.start("device_plugin", *H100)
    cluster.start("gfd", *H100)
    cluster.until(lambda: cluster.labels.get(COUNT) == "8")
    assert cluster.gpus is None, "the plugin waits for the label of nfd-lite"
    nfd = cluster.start("nfd_lite", *H100)
    cluster.until(lambda: cluster.gpus == "8")
    assert KERNEL in cluster.labels
    managers = {entry["manager"] for entry in cluster.node["metadata"]["managedFields"]}
    assert {"nfd-lite", "gfd"} <= managers
    for process in (plugin, nfd):
        process.send_signal(signal.SIGTERM)
        assert process.wait(timeout=60) == 0
    assert cluster.labels[COUNT] == "8"
    assert cluster.labels[PRESENT] == "true"


def test_labels_and_capacity_remain_after_gpunode_run_ends(cluster: Any) -> None:
    process = cluster.start("gpunode", "run", *H100)
    cluster.until(lambda: cluster.gpus == "8" and COUNT in cluster.labels)
    process.send_signal(signal.SIGTERM)
    assert process.wait(timeout=60) == 0
    assert cluster.labels[COUNT] == "8"
    assert cluster.node["status"]["capacity"]["nvidia.com/gpu"] == "8"
    assert not (cluster.directory / "dp" / "nvidia-gpu.sock").exists()


@pytest.mark.exhaustive
def test_a_restart_after_a_kill_does_not_write_to_a_correct_node(cluster: Any) -> None:
    process = cluster.start("gpunode", "run", *H100)
    cluster.until(lambda: cluster.gpus == "8" and COUNT in cluster.labels)
    process.kill()
    process.wait()
    cluster.until(lambda: cluster.gpus == "0")
    cluster.server.forget_requests()
    cluster.start("gpunode", "run", *H100)
    cluster.until(lambda: cluster.gpus == "8")
    cluster.until(lambda: cluster.log(1).count('"event": "ready"') >= 2)
    assert ("patch", "/api/v1/nodes/{name}") not in cluster.server.requests


@pytest.mark.exhaustive
def test_sighup_applies_valid_settings_and_refuses_others(cluster: Any) -> None:
    config = cluster.directory / "config.yaml"
    config.write_text("flags: {migStrategy: mixed}\n")
    process = cluster.start("gpunode", "run", "--simulate", "a100x4-mig-single", "--config-file", str(config))
    cluster.until(lambda: cluster.labels.get("nvidia.com/mig.strategy") == "mixed")
    config.write_text("flags: {migStrategie: single}\n")
    process.send_signal(signal.SIGHUP)
    cluster.until(lambda: "settings_refused" in cluster.log(0))
    assert cluster.gpus is None
    config.write_text("flags: {migStrategy: single}\n")
    process.send_signal(signal.SIGHUP)
    cluster.until(lambda: cluster.gpus == "28")
    cluster.until(lambda: cluster.labels.get("nvidia.com/mig.strategy") == "single")
    assert process.poll() is None


def test_the_plugin_registers_again_after_a_kubelet_restart(cluster: Any) -> None:
    cluster.start("gpunode", "run", *H100)
    cluster.until(lambda: cluster.gpus == "8")
    cluster.kubelet.restart()
    cluster.until(lambda: cluster.kubelet.resources()["nvidia.com/gpu"].allocatable == 8)


def test_an_agent_waits_for_the_api_server(cluster: Any) -> None:
    cluster.server.stop()
    process = cluster.start("gfd", *H100)
    cluster.until(lambda: "does not respond" in cluster.log(0))
    cluster.server.start()
    cluster.until(lambda: cluster.labels.get(COUNT) == "8")
    assert process.poll() is None


@pytest.mark.parametrize(
    ("flags", "message"),
    params(
        [
            (("--node-name", "other"), "no such Node"),
            (("--kubeconfig", "/nonexistent"), "no usable cluster configuration"),
            (("--kubelet-socket", "/nonexistent/kubelet.sock"), "/nonexistent"),
        ],
        ids=["node", "kubeconfig", "kubelet"],
    ),
)
def test_an_agent_reports_what_is_missing_and_keeps_running(cluster: Any, flags: tuple[str, str], message: str) -> None:
    cluster.server.store.mutate("nodes", "n1", add_label)
    command = [sys.executable, "-m", "device_plugin", *H100, *cluster.flags("device_plugin"), *flags]
    with (cluster.directory / "0.log").open("w") as log:
        process = subprocess.Popen(command, stderr=log, text=True)
    cluster.processes.append(process)
    cluster.until(lambda: message in cluster.log(0))
    assert process.poll() is None


def add_label(node: dict[str, Any]) -> dict[str, Any]:
    node["metadata"]["labels"][PRESENT] = "true"
    return node


def test_a_rejected_token_is_reported_and_a_new_token_is_used(cluster: Any) -> None:
    cluster.server.write_kubeconfig(cluster.directory / "kubeconfig", "wrong")
    cluster.start("gfd", *H100)
    cluster.until(lambda: "token or certificate was rejected" in cluster.log(0))
    cluster.server.write_kubeconfig(cluster.directory / "kubeconfig")
    cluster.until(lambda: cluster.labels.get(COUNT) == "8")


@pytest.mark.exhaustive
def test_the_second_agent_of_a_node_waits_and_takes_over_when_the_first_ends(cluster: Any) -> None:
    first = cluster.start("gfd", *H100)
    cluster.until(lambda: COUNT in cluster.labels)
    second = cluster.start("gfd", "--simulate", "t4x1")
    cluster.until(lambda: f"another process (pid {first.pid}) serves this node" in cluster.log(1))
    assert cluster.labels[COUNT] == "8"
    first.send_signal(signal.SIGTERM)
    cluster.until(lambda: cluster.labels[COUNT] == "1")
    assert second.poll() is None


def test_oneshot_with_stdout_prints_sorted_lines_without_a_cluster() -> None:
    lines = run_once("gfd", "--publish", "stdout", *H100).stdout.splitlines()
    keys = [line.partition("=")[0] for line in lines]
    assert keys == sorted(keys)
    assert f"{COUNT}=8" in lines
    assert run_once("nfd_lite", "--publish", "stdout").stdout.count(f"{KERNEL}=") == 1


def run_once(module: str, *arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", module, "--oneshot", *arguments]
    return subprocess.run(command, capture_output=True, text=True, check=True)


RULES = "/apis/nfd.k8s-sigs.io/v1alpha1/nodefeaturerules"
BIG = {
    "nvidia.com/gpu.product": {"op": "InRegexp", "value": ["H100"]},
    "nvidia.com/gpu.memory": {"op": "Ge", "value": ["81559"]},
}
PREMIUM = {
    "apiVersion": "nfd.k8s-sigs.io/v1alpha1",
    "kind": "NodeFeatureRule",
    "metadata": {"name": "premium"},
    "spec": {
        "rules": [
            {
                "name": "big-gpus",
                "labels": {"nvidia.com/gpu.premium": "true"},
                "taints": [{"key": "nvidia.com/gpu.premium", "value": "true", "effect": "NoSchedule"}],
                "matchFeatures": [{"feature": "node.label", "matchExpressions": BIG}],
            }
        ]
    },
}


@pytest.mark.exhaustive
def test_a_rule_taints_the_node_until_the_rule_is_deleted(cluster: Any) -> None:
    other = {"key": "example.com/other", "effect": "NoExecute"}
    cluster.server.store.mutate("nodes", "n1", lambda node: node | {"spec": {"taints": [other]}})
    api = NodeApi("n1", kubeconfig=str(cluster.directory / "kubeconfig"), user_agent="test")
    api.request("POST", RULES, body=PREMIUM)
    cluster.start("nfd_lite", *H100, "--enable-taints")
    cluster.start("gfd", *H100)
    premium = {"key": "nvidia.com/gpu.premium", "value": "true", "effect": "NoSchedule"}
    cluster.until(
        lambda: (
            cluster.labels.get("nvidia.com/gpu.premium") == "true"
            and cluster.node["spec"]["taints"] == [other, premium]
        )
    )
    api.request("DELETE", f"{RULES}/premium")
    cluster.until(lambda: cluster.node["spec"]["taints"] == [other] and "nvidia.com/gpu.premium" not in cluster.labels)
    assert cluster.labels[COUNT] == "8"


def test_with_the_node_feature_api_labels_are_written_to_an_object(cluster: Any) -> None:
    cluster.start("gfd", *H100, "--use-node-feature-api=true", "--namespace", "kube-system")

    def labels() -> dict[str, str]:
        objects, _ = cluster.server.store.list("nodefeatures.nfd.k8s-sigs.io")
        return {key: value for each in objects for key, value in each["spec"]["labels"].items()}

    cluster.until(lambda: labels().get(COUNT) == "8")
    assert COUNT not in cluster.labels
    (only,), _ = cluster.server.store.list("nodefeatures.nfd.k8s-sigs.io")
    assert only["metadata"]["name"] == "nvidia-features-for-n1"
    assert only["metadata"]["ownerReferences"][0]["kind"] == "Node"
    cluster.server.store.delete("nodefeatures.nfd.k8s-sigs.io", "nvidia-features-for-n1", namespace="kube-system")
    cluster.until(lambda: labels().get(COUNT) == "8")


FABRIC = """
driver: {version: "570.172.08", cuda: "12.8"}
gpus:
  - {model: NVIDIA GB200, count: 4, memory: 189471Mi, compute: "10.0", device_id: "2941"}
nvlink: {nvswitch: true}
fabric: {cluster_uuid: 4f1a6d7e-93b2-4c58-8e0d-2ba71c9f5d63, clique: 7}
faults:
  - {at: 0, for: 10, kind: fabric, state: not-started}
"""


@pytest.mark.exhaustive
def test_labels_and_health_follow_a_fabric_manager_that_starts_late(cluster: Any) -> None:
    scenario = cluster.directory / "late.yaml"
    scenario.write_text(FABRIC)
    cluster.start("gpunode", "run", "--simulate", str(scenario), "--sleep-interval", "1s")
    cluster.until(lambda: cluster.labels.get(COUNT) == "4" and "nvidia.com/gpu.clique" not in cluster.labels)
    cluster.until(lambda: cluster.log(0).count('"gpu_suspect"') >= 4 and cluster.gpus == "4")
    cluster.until(lambda: cluster.labels.get("nvidia.com/gpu.clique") == "4f1a6d7e-93b2-4c58-8e0d-2ba71c9f5d63.7")
    cluster.until(lambda: cluster.log(0).count('"gpu_no_longer_suspect"') >= 4)


GARBAGE = (
    "\0\0\0", "{", "- 1\n- 2\n", "version: v9\n", "flags: {migStrategie: mixed}\n", "sharing: 7\n", "a: &a [*a]\n", "x" * 3_000_000,
    "!!python/x", "sharing: {timeSlicing: {resources: [{name: nvidia.com/gpu, replicas: -1}]}}\n",
)  # fmt: skip
VALID = "version: v1\nsharing: {timeSlicing: {resources: [{name: nvidia.com/gpu, replicas: %d}]}}\n"


@pytest.mark.exhaustive
def test_ten_invalid_configs_change_neither_labels_nor_devices(cluster: Any) -> None:
    config = cluster.directory / "config.yaml"
    write_atomically(config, VALID % 2)
    process = cluster.start("gpunode", "run", *H100, "--config-file", str(config))
    cluster.until(lambda: cluster.gpus == "16" and cluster.labels.get("nvidia.com/gpu.replicas") == "2")
    labels = cluster.labels
    for number, garbage in enumerate(GARBAGE, start=1):
        write_atomically(config, garbage)
        cluster.until(lambda number=number: cluster.log(0).count("settings_refused") >= number)
        assert (cluster.gpus, cluster.labels) == ("16", labels)
    write_atomically(config, VALID % 4)
    cluster.until(lambda: cluster.gpus == "32" and cluster.labels.get("nvidia.com/gpu.replicas") == "4")
    assert process.poll() is None
