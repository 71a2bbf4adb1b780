"""The agents as processes: signals, outages, wrong credentials, two on one node. They stay up and lose nothing."""

import signal
import subprocess
import sys
from typing import Any

import pytest

H100 = ("--simulate", "h100x8")
COUNT = "nvidia.com/gpu.count"
PRESENT = "nvidia.com/gpu.present"
KERNEL = "feature.node.kubernetes.io/kernel-version.full"


def test_the_three_agents_as_separate_processes_label_the_node_and_advertise_its_gpus(cluster: Any) -> None:
    plugin = cluster.start("device_plugin", *H100)
    cluster.start("gfd", *H100)
    cluster.until(lambda: cluster.labels.get(COUNT) == "8")
    assert cluster.gpus is None, "the plugin waits for nfd-lite's label"
    nfd = cluster.start("nfd_lite", *H100)
    cluster.until(lambda: cluster.gpus == "8")
    assert KERNEL in cluster.labels
    managers = {entry["manager"] for entry in cluster.node["metadata"]["managedFields"]}
    assert {"nfd-lite", "gfd"} <= managers
    for process in (plugin, nfd):
        process.send_signal(signal.SIGTERM)
        assert process.wait(timeout=10) == 0
    assert cluster.labels[COUNT] == "8"
    assert cluster.labels[PRESENT] == "true"


def test_one_process_does_the_same_and_leaves_labels_and_capacity_behind(cluster: Any) -> None:
    process = cluster.start("gpunode", "run", *H100)
    cluster.until(lambda: cluster.gpus == "8" and COUNT in cluster.labels)
    process.send_signal(signal.SIGTERM)
    assert process.wait(timeout=10) == 0
    assert cluster.labels[COUNT] == "8"
    assert cluster.node["status"]["capacity"]["nvidia.com/gpu"] == "8"
    assert not (cluster.directory / "dp" / "nvidia-gpu.sock").exists()


def test_a_restart_after_a_kill_writes_nothing_that_is_already_so(cluster: Any) -> None:
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


def test_sighup_builds_everything_anew_and_bad_settings_do_not(cluster: Any) -> None:
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


def test_a_kubelet_restart_brings_the_gpus_back(cluster: Any) -> None:
    cluster.start("gpunode", "run", *H100)
    cluster.until(lambda: cluster.gpus == "8")
    cluster.kubelet.restart()
    cluster.until(lambda: cluster.kubelet.resources()["nvidia.com/gpu"].allocatable == 8)


def test_an_api_outage_is_waited_out(cluster: Any) -> None:
    cluster.server.stop()
    process = cluster.start("gfd", *H100)
    cluster.until(lambda: "does not answer" in cluster.log(0))
    cluster.server.start()
    cluster.until(lambda: cluster.labels.get(COUNT) == "8")
    assert process.poll() is None


@pytest.mark.parametrize(
    ("flags", "said"),
    [
        (("--node-name", "other"), "no such Node"),
        (("--kubeconfig", "/nonexistent"), "no usable cluster configuration"),
        (("--kubelet-socket", "/nonexistent/kubelet.sock"), "/nonexistent"),
    ],
)
def test_what_is_missing_is_said_and_the_agent_stays(cluster: Any, flags: tuple[str, str], said: str) -> None:
    cluster.server.store.mutate("nodes", "n1", labelled)
    process = cluster.start("device_plugin", *H100)
    process.kill()
    process.wait()
    command = [*process.args, *flags]
    with (cluster.directory / "again.log").open("w") as log:
        again = subprocess.Popen(command, stderr=log, text=True)
    cluster.processes.append(again)
    cluster.until(lambda: said in (cluster.directory / "again.log").read_text())
    assert again.poll() is None


def labelled(node: dict[str, Any]) -> dict[str, Any]:
    node["metadata"]["labels"][PRESENT] = "true"
    return node


def test_a_token_that_is_refused_is_said_and_a_new_one_is_taken(cluster: Any) -> None:
    cluster.server.write_kubeconfig(cluster.directory / "kubeconfig", "wrong")
    cluster.start("gfd", *H100)
    cluster.until(lambda: "token or certificate was refused" in cluster.log(0))
    cluster.server.write_kubeconfig(cluster.directory / "kubeconfig")
    cluster.until(lambda: cluster.labels.get(COUNT) == "8")


def test_the_second_agent_of_a_node_says_so_and_takes_over_when_the_first_ends(cluster: Any) -> None:
    first = cluster.start("gfd", *H100)
    cluster.until(lambda: COUNT in cluster.labels)
    second = cluster.start("gfd", "--simulate", "t4x1")
    cluster.until(lambda: f"another process (pid {first.pid}) serves this node" in cluster.log(1))
    assert cluster.labels[COUNT] == "8"
    first.send_signal(signal.SIGTERM)
    cluster.until(lambda: cluster.labels[COUNT] == "1")
    assert second.poll() is None


def test_one_shot_prints_sorted_lines_and_needs_nothing() -> None:
    lines = run_once("gfd", "--publish", "stdout", *H100).stdout.splitlines()
    keys = [line.partition("=")[0] for line in lines]
    assert keys == sorted(keys)
    assert f"{COUNT}=8" in lines
    assert run_once("nfd_lite", "--publish", "stdout").stdout.count(f"{KERNEL}=") == 1


def run_once(module: str, *arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", module, "--oneshot", *arguments]
    return subprocess.run(command, capture_output=True, text=True, check=True)


PREMIUM = """
premium:
  - name: big-gpus
    match: {product: "*H100*", memoryAtLeast: 80Gi}
    taint: {key: nvidia.com/gpu.premium, value: "true", effect: NoSchedule}
    labels: {nvidia.com/gpu.premium: "true"}
"""


def test_premium_gpus_taint_the_node_and_a_rule_that_is_gone_takes_its_taint_along(cluster: Any) -> None:
    theirs = {"key": "example.com/mine", "effect": "NoExecute"}
    cluster.server.store.mutate("nodes", "n1", lambda node: node | {"spec": {"taints": [theirs]}})
    config = cluster.directory / "config.yaml"
    config.write_text(PREMIUM)
    process = cluster.start("gfd", *H100, "--config-file", str(config))
    cluster.until(lambda: cluster.labels.get("nvidia.com/gpu.premium") == "true")
    ours = {"key": "nvidia.com/gpu.premium", "value": "true", "effect": "NoSchedule"}
    assert cluster.node["spec"]["taints"] == [theirs, ours]
    config.write_text("version: v1\n")
    process.send_signal(signal.SIGHUP)
    cluster.until(lambda: cluster.node["spec"]["taints"] == [theirs])
    cluster.until(lambda: "nvidia.com/gpu.premium" not in cluster.labels)
    assert cluster.labels[COUNT] == "8"


def test_labels_go_to_a_node_feature_object_where_that_is_asked_for(cluster: Any) -> None:
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
    cluster.until(lambda: labels().get(COUNT) == "8", seconds=45)


FABRIC = """
driver: {version: "570.172.08", cuda: "12.8"}
gpus:
  - {model: NVIDIA GB200, count: 4, memory: 189471Mi, compute: "10.0", device_id: "2941"}
nvlink: {nvswitch: true}
fabric: {cluster_uuid: 4f1a6d7e-93b2-4c58-8e0d-2ba71c9f5d63, clique: 7}
faults:
  - {at: 0, for: 10, kind: fabric, state: not-started}
"""


def test_a_fabric_manager_that_is_late_is_seen_by_labels_and_health(cluster: Any) -> None:
    scenario = cluster.directory / "late.yaml"
    scenario.write_text(FABRIC)
    cluster.start("gpunode", "run", "--simulate", str(scenario), "--sleep-interval", "1s")
    cluster.until(lambda: cluster.labels.get(COUNT) == "4")
    cluster.until(lambda: cluster.log(0).count('"gpu_suspect"') == 4)
    cluster.until(lambda: cluster.gpus == "4")
    assert "nvidia.com/gpu.clique" not in cluster.labels
    cluster.until(lambda: cluster.labels.get("nvidia.com/gpu.clique") == "4f1a6d7e-93b2-4c58-8e0d-2ba71c9f5d63.7")
    cluster.until(lambda: cluster.log(0).count('"gpu_not_suspect"') == 4)


GARBAGE = (
    "\0\0\0", "{", "- 1\n- 2\n", "version: v9\n", "flags: {migStrategie: mixed}\n", "sharing: 7\n", "a: &a [*a]\n", "x" * 3_000_000,
    "!!python/x", "sharing: {timeSlicing: {resources: [{name: nvidia.com/gpu, replicas: -1}]}}\n",
)  # fmt: skip
SOUND = "version: v1\nsharing: {timeSlicing: {resources: [{name: nvidia.com/gpu, replicas: %d}]}}\n"


def test_a_config_that_is_rewritten_with_garbage_ten_times_loses_neither_label_nor_device(cluster: Any) -> None:
    config = cluster.directory / "config.yaml"
    config.write_text(SOUND % 2)
    process = cluster.start("gpunode", "run", *H100, "--config-file", str(config))
    cluster.until(lambda: cluster.gpus == "16" and cluster.labels.get("nvidia.com/gpu.replicas") == "2")
    labels = cluster.labels
    for number, garbage in enumerate(GARBAGE, start=1):
        config.write_text(garbage)
        cluster.until(lambda number=number: cluster.log(0).count("settings_refused") == number)
        assert (cluster.gpus, cluster.labels) == ("16", labels)
    config.write_text(SOUND % 4)
    cluster.until(lambda: cluster.gpus == "32" and cluster.labels.get("nvidia.com/gpu.replicas") == "4")
    assert process.poll() is None
