"""`gpunode doctor` with agents that run as processes, a cluster and a kubelet."""

import json
import re
import socket
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from gpunode.doctor.command import main
from node_core.host.flock import is_locked
from tests.gpunode.conftest import NODE, Cluster

SHARED = """
version: v1
sharing: {timeSlicing: {resources: [{name: nvidia.com/gpu, replicas: 10}]}}
"""


@pytest.fixture
def report(cluster: Cluster, capsys: pytest.CaptureFixture[str]) -> Any:
    """Runs doctor, which knows only the folder of the locks, and returns its exit status and its report."""

    def run(*flags: str) -> tuple[int, dict[str, Any]]:
        status = main(["--lock-dir", str(cluster.directory / "lock"), "-o", "json", *flags])
        return status, json.loads(capsys.readouterr().out)

    return run


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port: int = server.getsockname()[1]
        return port


def set_present(cluster: Cluster, value: str = "true") -> None:
    def change(node: dict[str, Any]) -> dict[str, Any]:
        return {**node, "metadata": {**node["metadata"], "labels": {"nvidia.com/gpu.present": value}}}

    cluster.server.store.mutate("nodes", NODE, change)


def start(cluster: Cluster, *words: str, http_address: str = "") -> None:
    """words: the program and its flags."""
    flags = [*cluster.flags(words[0]), "--http-address", http_address]
    with (cluster.directory / "agent.log").open("w") as log:
        command = [sys.executable, "-m", *words, "--simulate=h100x8", *flags]
        cluster.processes.append(subprocess.Popen(command, stderr=log, stdout=log, text=True))


def wait_for_gpus(cluster: Cluster, gpus: str = "8") -> None:
    def is_ready() -> bool:
        conditions = {each["type"]: each["status"] for each in cluster.node["status"].get("conditions", ())}
        return cluster.gpus == gpus and conditions.get("GPUReady") == "True"

    cluster.until(is_ready)


def wait_for_lock(cluster: Cluster) -> None:
    lock = cluster.directory / "lock" / f"gpu-device-plugin.{NODE}.lock"
    cluster.until(lambda: lock.exists() and is_locked(lock) and lock.read_text() != "")  # the pid follows the lock


def problems(report: dict[str, Any]) -> dict[str, str]:
    return {each["name"]: each["sentence"] for each in report["checks"] if each["status"] == "problem"}


def sentences(report: dict[str, Any], name: str) -> list[str]:
    return [each["sentence"] for each in report["checks"] if each["name"] == name]


def test_if_all_parts_work_every_check_is_ok(cluster: Cluster, report: Any) -> None:
    set_present(cluster)
    start(cluster, "device_plugin", http_address=f"127.0.0.1:{free_port()}")
    wait_for_gpus(cluster)
    cluster.server.forget_requests()
    status, found = report()
    assert (status, problems(found)) == (0, {})
    assert {each["name"] for each in found["checks"] if each["status"] == "ok"} == {
        "gpus", "agent", "settings", "agent health", "kubelet", "plugin socket", "api", "permissions", "kubelet condition",
        "label", "resources", "condition",
    }  # fmt: skip
    assert [(each["index"], each["model"], each["healthy"]) for each in found["gpus"]] == [
        (number, "NVIDIA H100 80GB HBM3", True) for number in range(8)
    ]
    assert (found["ready"], found["reason"], found["simulated"]) == (True, "GPUsReady", "h100x8")
    writes = {path for verb, path in cluster.server.requests if verb not in ("get", "list", "watch")}
    assert writes == {"/apis/authorization.k8s.io/v1/selfsubjectaccessreviews"}, "the API stores no review"


def test_a_node_without_the_label_is_a_problem(cluster: Cluster, report: Any) -> None:
    start(cluster, "device_plugin")
    wait_for_lock(cluster)
    cluster.until(lambda: any(each["type"] == "GPUReady" for each in cluster.node["status"]["conditions"]))
    status, found = report()
    assert (status, found["reason"]) == (1, "NodeNotLabelled")
    assert problems(found) == {
        "label": "the Node n1 does not have the label nvidia.com/gpu.present=true, so no GPU is advertised"
    }


@pytest.mark.exhaustive
def test_a_missing_node_is_a_problem(cluster: Cluster, report: Any) -> None:
    start(cluster, "device_plugin")
    wait_for_lock(cluster)
    cluster.server.store.delete("nodes", NODE)
    status, found = report()
    assert status == 1, found
    assert problems(found)["node"] == "the cluster has no Node n1"


@pytest.mark.exhaustive
def test_an_api_server_that_does_not_answer_is_a_problem(cluster: Cluster, report: Any) -> None:
    set_present(cluster)
    start(cluster, "device_plugin")
    wait_for_gpus(cluster)
    kubeconfig = cluster.directory / "other"
    kubeconfig.write_text(
        re.sub(r"(127\.0\.0\.1):\d+", rf"\1:{free_port()}", (cluster.directory / "kubeconfig").read_text())
    )
    status, found = report(f"--kubeconfig={kubeconfig}")
    assert status == 1
    assert problems(found)["api"].startswith("GET /api/v1/nodes/n1: the API server does not respond: ")


@pytest.mark.exhaustive
def test_a_request_that_the_api_server_refuses_is_a_problem(cluster: Cluster, report: Any) -> None:
    set_present(cluster)
    start(cluster, "device_plugin")
    wait_for_gpus(cluster)
    cluster.server.fail_next(1000, status=403)
    status, found = report()
    assert status == 1
    assert problems(found)["api"].startswith("the API server refuses the request: GET /api/v1/nodes/n1: HTTP 403")


@pytest.mark.exhaustive
def test_a_kubelet_that_does_not_run_is_a_problem(cluster: Cluster, report: Any) -> None:
    set_present(cluster)
    start(cluster, "device_plugin")
    wait_for_gpus(cluster)
    cluster.kubelet.stop()
    status, found = report()
    assert status == 1
    assert problems(found)["kubelet"] == f"the kubelet's socket {cluster.kubelet.socket} does not exist"
    assert found["reason"] == "NotRegistered"


@pytest.mark.exhaustive
def test_an_agent_that_does_not_run_is_a_problem(cluster: Cluster, report: Any) -> None:
    set_present(cluster)
    start(cluster, "device_plugin")
    wait_for_gpus(cluster)
    cluster.processes[0].kill()
    cluster.processes[0].wait()
    flags = cluster.flags("device_plugin")
    status, found = report(*flags[: flags.index("--log-format")], *flags[-4:-2], "--simulate=h100x8")
    assert status == 1
    assert (
        problems(found)["agent"]
        == f"gpu-device-plugin does not run: no process has its lock in {cluster.directory}/lock"
    )
    (condition,) = sentences(found, "condition")
    assert condition.startswith("the condition is from the time when gpu-device-plugin ran: GPUReady is ")


def test_the_settings_of_gpunode_run_apply_and_all_its_agents_run(cluster: Cluster, report: Any) -> None:
    set_present(cluster)
    config = cluster.directory / "config.yaml"
    config.write_text(SHARED)
    start(cluster, "gpunode", "run", f"--config-file={config}")
    wait_for_gpus(cluster, "80")
    status, found = report()
    assert status == 0, problems(found)
    assert sentences(found, "gpus") == ["simulated GPUs: 80 of 80 devices are available"]
    assert [each.partition(" (")[0] for each in sentences(found, "agent")] == [
        "gpu-device-plugin runs", "nfd-lite runs", "gfd runs",
    ]  # fmt: skip


@pytest.mark.exhaustive
def test_a_flag_of_doctor_takes_precedence_over_the_settings_of_the_plugin(cluster: Cluster, report: Any) -> None:
    set_present(cluster)
    config = cluster.directory / "config.yaml"
    config.write_text(SHARED)
    start(cluster, "device_plugin", f"--config-dir={cluster.directory / 'configs'}", "--simulate=t4x1")
    wait_for_lock(cluster)
    status, found = report(f"--config-file={config}", "--simulate=t4x1")
    assert sentences(found, "gpus") == ["simulated GPUs: 10 of 10 devices are available"]
    assert sentences(found, "settings") == [
        "doctor uses the settings of the running gpu-device-plugin, except for --config-file, --lock-dir, --simulate of this command"
    ]
    assert status == 1


@pytest.mark.exhaustive
@pytest.mark.parametrize("kind", ["folder", "ConfigMap"])
def test_the_config_that_the_label_of_the_node_selects_applies(kind: str, cluster: Cluster, report: Any) -> None:
    set_present(cluster)
    if kind == "folder":
        folder = cluster.directory / "configs"
        folder.mkdir()
        (folder / "default").write_text(SHARED)
        start(cluster, "device_plugin", f"--config-dir={folder}")
    else:
        metadata = {"name": "configs", "namespace": "default"}
        config = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": metadata, "data": {"default": SHARED}}
        cluster.server.store.create("configmaps", config)
        start(cluster, "device_plugin", "--config-map=default/configs")
    wait_for_gpus(cluster, "80")
    status, found = report()
    assert (status, problems(found), sentences(found, "gpus")) == (
        0,
        {},
        ["simulated GPUs: 80 of 80 devices are available"],
    )


@pytest.mark.exhaustive
def test_a_missing_config_map_is_a_problem(cluster: Cluster, report: Any) -> None:
    set_present(cluster)
    start(cluster, "device_plugin", "--config-map=default/missing")
    wait_for_lock(cluster)
    status, found = report()
    assert status == 1
    assert found["reason"] == "ConfigInvalid"
    assert problems(found)["config"].startswith(
        "the config in default/missing: the ConfigMap default/missing does not exist"
    )


@pytest.mark.exhaustive
def test_settings_that_became_invalid_are_a_problem(cluster: Cluster, report: Any) -> None:
    set_present(cluster)
    config = cluster.directory / "config.yaml"
    config.write_text(SHARED)
    start(cluster, "device_plugin", f"--config-file={config}")
    wait_for_gpus(cluster, "80")
    config.write_text("version: v1\nsharign: {}\n")
    status, found = report("--kubelet-socket", str(cluster.kubelet.socket), "--simulate=h100x8")
    assert status == 1
    assert problems(found)["settings"].startswith(
        f"the settings of the running gpu-device-plugin are not valid any more: {config}: "
    )


def test_the_failing_checks_of_the_agent_are_problems(cluster: Cluster, report: Any) -> None:
    port = free_port()
    set_present(cluster)
    start(cluster, "device_plugin", "--config-map=default/missing", http_address=f":{port}")
    wait_for_lock(cluster)
    cluster.until(lambda: "does not exist" in (cluster.directory / "agent.log").read_text())
    status, found = report()
    assert status == 1
    assert any(
        "gpu-device-plugin/config: the ConfigMap default/missing" in each for each in sentences(found, "agent health")
    )


@pytest.mark.exhaustive
def test_doctor_writes_no_file(cluster: Cluster, report: Any) -> None:
    set_present(cluster)
    start(cluster, "device_plugin")
    wait_for_gpus(cluster)
    before = files(cluster.directory)
    report()
    assert files(cluster.directory) == before


def files(folder: Path) -> set[Path]:
    return set(folder.rglob("*"))
