"""Formats, widths, wrong command lines, hostile text and large clusters."""

import json
import re
from pathlib import Path
from typing import Any

import pytest
import yaml

from gpunode.cluster import lists
from simulation.apiserver import ApiServer
from tests.gpunode.recorded import store_objects
from tests.gpunode.verbs import run_verb, without_styles
from tests.gpunode.why.conftest import Why

HOSTILE = "x\x1b[31m\nVerdict: fine"


@pytest.mark.parametrize("output", ["json", "yaml"])
def test_the_document_has_the_state_the_groups_and_the_solutions(output: str, why: Why) -> None:
    result = why("two-changes", "-o", output)
    (item,) = (json.loads if output == "json" else yaml.safe_load)(result.stdout)["items"]
    assert result.exit_code == 1
    assert (item["kind"], item["namespace"], item["name"]) == ("Pod", "team", "two-changes")
    assert (item["state"], item["canRun"], item["nodes"]) == ("Blocked", False, [])
    kinds = {name: [each["kind"] for each in group["reasons"]] for group in item["groups"] for name in group["nodes"]}
    assert kinds["h100-1"] == ["UntoleratedTaint", "LabelMismatch"]
    assert kinds["cpu-1"] == ["NoGPU"]
    (solution,) = item["solutions"]
    assert solution["nodes"] == ["h100-1"]
    assert [yaml.safe_load(step["yaml"]) for step in solution["steps"]] == [
        {"nodeSelector": {"nvidia.com/gpu.product": "NVIDIA-H100-80GB-HBM3"}},
        {
            "tolerations": [
                {"key": "nvidia.com/gpu.premium", "operator": "Equal", "value": "true", "effect": "NoSchedule"}
            ]
        },
    ]


@pytest.mark.parametrize("name", ["two-changes", "in-use", "image", "fits", "wrong-affinity"])
def test_lines_fit_40_columns(name: str, why: Why) -> None:
    lines = without_styles(why(name, columns=40).stdout).splitlines()
    yaml_line = re.compile(r" +[^ ]+: [^ ]+")
    long = [line for line in lines if len(line) > 40 and " " in line.strip(" -")]
    assert [line for line in long if not yaml_line.fullmatch(line)] == []


def test_colours_mark_the_verdict_only_in_a_terminal(why: Why) -> None:
    assert why("fits", columns=80).stdout.startswith("\x1b[32m")
    assert why("cpu", columns=80).stdout.startswith("\x1b[31m")
    assert "\x1b" not in why("fits").stdout


@pytest.mark.parametrize(
    "arguments", [(), ("a", "-f", "b"), ("a", "b"), ("a", "-o", "csv"), ("a", "-n", "B"), ("a", "-n", "a/b")]
)
def test_a_wrong_command_line_has_the_status_2(arguments: tuple[str, ...]) -> None:
    result = run_verb("why", *arguments)
    assert (result.exit_code, result.stdout) == (2, "")
    assert result.stderr


@pytest.fixture
def own_server(tmp_path: Path) -> Any:
    with ApiServer() as running:
        running.write_kubeconfig(tmp_path / "own")
        yield running


def own_why(tmp_path: Path, *arguments: str) -> Any:
    return run_verb("why", *arguments, "--kubeconfig", str(tmp_path / "own"))


def hostile_cluster(server: ApiServer) -> None:
    amounts = {"cpu": "8", "pods": "10", "nvidia.com/gpu": "1"}
    conditions = [
        {"type": "Ready", "status": "False", "reason": HOSTILE, "message": HOSTILE},
        {"type": "GPUReady", "status": "False", "reason": HOSTILE, "message": HOSTILE},
    ]
    node = {
        "kind": "Node",
        "metadata": {"name": "n", "labels": {"a": HOSTILE}},
        "spec": {"taints": [{"key": HOSTILE, "value": HOSTILE, "effect": "NoSchedule"}]},
        "status": {"capacity": {**amounts, "nvidia.com/gpu": "2"}, "allocatable": amounts, "conditions": conditions},
    }
    scheduled = {"type": "PodScheduled", "status": "False", "reason": "Unschedulable", "message": HOSTILE}
    limits = {"nvidia.com/gpu": "2"}
    spec = {
        "nodeSelector": {"a": HOSTILE + "1", HOSTILE: "b"},
        "containers": [{"name": HOSTILE, "resources": {"limits": limits}}],
    }
    pod = {
        "kind": "Pod",
        "metadata": {"namespace": "default", "name": "p"},
        "spec": spec,
        "status": {"conditions": [scheduled]},
    }
    state = {"waiting": {"reason": HOSTILE, "message": HOSTILE}}
    placed = {
        "kind": "Pod",
        "metadata": {"namespace": "default", "name": "q"},
        "spec": {"nodeName": "n", **spec},
        "status": {"phase": "Pending", "containerStatuses": [{"name": HOSTILE, "state": state}]},
    }
    gated = {
        "kind": "Pod",
        "metadata": {"namespace": "default", "name": "g"},
        "spec": {"schedulingGates": [{"name": HOSTILE}], "schedulerName": HOSTILE},
        "status": {},
    }
    store_objects(server, [node, pod, placed, gated])


@pytest.mark.parametrize("name", ["p", "q", "g"])
@pytest.mark.parametrize("output", [(), ("-o", "json"), ("-o", "yaml")], ids=["text", "json", "yaml"])
def test_hostile_text_neither_controls_the_terminal_nor_adds_lines(
    name: str, output: tuple[str, ...], own_server: ApiServer, tmp_path: Path
) -> None:
    hostile_cluster(own_server)
    result = own_why(tmp_path, name, *output)
    assert result.exit_code == 1
    assert "\x1b" not in result.output
    assert not any(line.startswith("Verdict") for line in result.output.splitlines())


def many_nodes(count: int) -> list[dict[str, Any]]:
    amounts = {"cpu": "64", "pods": "110", "nvidia.com/gpu": "8"}
    status = {"capacity": amounts, "allocatable": amounts, "conditions": [{"type": "Ready", "status": "True"}]}
    labels = {"nvidia.com/gpu.present": "true", "nvidia.com/gpu.product": "NVIDIA-H100-80GB-HBM3"}
    return [
        {"kind": "Node", "metadata": {"name": f"n{number:04}", "labels": labels}, "status": status}
        for number in range(count)
    ]


def test_thousands_of_nodes_are_read_in_pages_and_stay_readable(
    own_server: ApiServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(lists, "PAGE", 100)
    limits = {"nvidia.com/gpu": "16"}
    pod = {
        "kind": "Pod",
        "metadata": {"namespace": "default", "name": "p"},
        "spec": {"containers": [{"name": "c", "resources": {"limits": limits}}]},
    }
    store_objects(own_server, [*many_nodes(1000), pod])
    own_server.forget_requests()
    result = own_why(tmp_path, "p")
    assert result.exit_code == 1
    assert "1000 nodes: n0000, n0001, n0002, n0003, n0004 and 995 more" in result.stdout
    assert len(result.stdout.splitlines()) < 20
    assert own_server.requests[("list", "/api/v1/nodes")] == 10


def test_a_cluster_without_nodes(own_server: ApiServer, tmp_path: Path) -> None:
    pod = {"kind": "Pod", "metadata": {"namespace": "default", "name": "p"}, "spec": {"containers": []}}
    store_objects(own_server, [pod])
    result = own_why(tmp_path, "p")
    assert (result.exit_code, result.stdout) == (
        1,
        "Pod default/p cannot be placed: the cluster has no nodes.\n",
    )


def test_an_api_server_that_is_away_is_an_error_without_a_traceback(own_server: ApiServer, tmp_path: Path) -> None:
    own_server.stop()
    result = own_why(tmp_path, "p")
    assert (result.exit_code, result.stdout) == (1, "")
    assert "Traceback" not in result.stderr
    assert len(result.stderr.splitlines()) == 1
