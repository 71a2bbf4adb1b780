"""`gpunode node` as a person runs it."""

import json
from datetime import UTC, datetime
from typing import Any

import pytest
import yaml

from gpunode.node import facts
from gpunode.top.remote import RemoteReader
from gpunode.top.use import DeviceUse
from node_core.errors import KubeError
from simulation.apiserver import ApiServer
from tests.conftest import Golden
from tests.gpunode.nodes.conftest import Run
from tests.gpunode.recorded import load_cluster
from tests.gpunode.verbs import without_styles

HOSTILE = "a\x1b[2Jb\nc"


@pytest.fixture(autouse=True)
def _fixed_time(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("time.time", lambda: datetime(2026, 11, 29, 12, tzinfo=UTC).timestamp())


@pytest.mark.golden
@pytest.mark.parametrize("columns", [None, 40], ids=["pipe", "40 columns"])
@pytest.mark.parametrize(
    ("cluster", "name"),
    [
        ("h100", "gpu-h100-2"),
        ("mig", "gpu-h100-1"),
        ("mig", "gpu-a100-1"),
        ("mixed", "gpu-h100-2"),
        ("mixed", "cpu-1"),
        ("drivers", "not-pulled"),
        ("dra", "dra-1"),
        ("dra", "dra-2"),
    ],
)
def test_the_text_is_the_golden_file(
    server: ApiServer, run: Run, golden: Golden, cluster: str, name: str, columns: int | None
) -> None:
    load_cluster(server, cluster)
    result = run("node", f"node/{name}", columns=columns)
    assert (result.exit_code, result.stderr) == (0, "")
    golden(f"gpunode/node-{cluster}-{name}-{columns or 'pipe'}.txt", without_styles(result.stdout))


@pytest.mark.golden
def test_the_document_is_the_golden_file(server: ApiServer, run: Run, golden: Golden) -> None:
    load_cluster(server, "mig")
    result = run("node", "gpu-h100-1", "-o", "json")
    assert (result.exit_code, result.stderr) == (0, "")
    golden("gpunode/node-mig-gpu-h100-1.json", result.stdout)
    assert yaml.safe_load(run("node", "gpu-h100-1", "-o", "yaml").stdout) == json.loads(result.stdout)


@pytest.mark.usefixtures("mixed")
def test_a_missing_node_is_an_error_with_the_nearest_names(run: Run) -> None:
    result = run("node", "gpu-h100-9")
    assert (result.exit_code, result.stdout) == (1, "")
    assert result.stderr.startswith("gpunode node: the cluster has no Node gpu-h100-9 (did you mean gpu-h100-")


@pytest.mark.parametrize("name", ["", "node/"])
def test_an_empty_name_is_a_usage_error(run: Run, name: str) -> None:
    result = run("node", name)
    assert result.exit_code == 2
    assert "The name of the Node is empty." in result.stderr


@pytest.mark.usefixtures("mixed")
def test_the_devices_of_gpu_exporter_are_shown_with_their_pods(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    use = DeviceUse(node="gpu-h100-2", device="GPU 5", model="H100", utilization=40.0, pods=("research/llama-eval-0",))
    monkeypatch.setattr(RemoteReader, "read", lambda _: (use,))
    lines = run("node", "gpu-h100-2").stdout.splitlines()
    title = lines.index("Devices")
    assert lines[title + 1].split()[0] == "DEVICE"
    assert lines[title + 2].split()[:2] == ["GPU", "5"]
    assert lines[title + 2].endswith("research/llama-eval-0")
    assert not [line for line in lines if "not known here" in line]
    (device,) = json.loads(run("node", "gpu-h100-2", "-o", "json").stdout)["devices"]
    assert (device["device"], device["pods"]) == ("GPU 5", ["research/llama-eval-0"])


def test_a_node_that_is_not_ready_is_not_asked_for_its_devices(mixed: ApiServer, run: Run) -> None:
    def stop_kubelet(node: dict[str, Any]) -> dict[str, Any]:
        conditions = [{"type": "Ready", "status": "Unknown", "reason": "NodeStatusUnknown"}]
        return {**node, "status": {**node["status"], "conditions": conditions}}

    mixed.store.mutate("nodes", "gpu-h100-2", stop_kubelet)
    text = run("node", "gpu-h100-2").stdout
    assert "Which devices a pod has is not known here: the Node is not ready." in text
    assert "problems    the Node is not ready: NodeStatusUnknown" in text


@pytest.mark.usefixtures("mixed")
def test_without_the_right_to_list_events_the_rest_is_shown(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object) -> None:
        raise KubeError("you are not permitted to list events", status=403)

    monkeypatch.setattr(facts, "list_events", refuse)
    result = run("node", "gpu-h100-2")
    assert result.exit_code == 0
    assert "Not read: you are not permitted to list events." in result.stdout
    assert json.loads(run("node", "gpu-h100-2", "-o", "json").stdout)["events"] is None


def test_the_events_of_the_node_and_of_its_pods_are_shown_with_the_newest_first(mixed: ApiServer, run: Run) -> None:
    for number, (kind, name, namespace) in enumerate(
        [("Node", "gpu-h100-2", ""), ("Pod", "llama-eval-0", "research"), ("Pod", "other", "research")]
    ):
        about = {"kind": kind, "name": name, **({"namespace": namespace} if namespace else {})}
        event = {
            "metadata": {"name": f"e{number}", "namespace": namespace or "default"},
            "involvedObject": about,
            "type": "Warning",
            "reason": f"Reason{number}",
            "message": f"line one\n{HOSTILE}",
            "count": number + 1,
            "lastTimestamp": f"2026-11-29T11:0{number}:00Z",
        }
        mixed.store.create("events", event)
    lines = run("node", "gpu-h100-2").stdout.splitlines()
    title = lines.index("Events")
    rows = [line.split() for line in lines[title + 2 : title + 4]]
    assert [row[:5] for row in rows] == [
        ["59", "min", "Warning", "Reason1", "pod/llama-eval-0"],
        ["1", "h", "Warning", "Reason0", "node/gpu-h100-2"],
    ]
    assert rows[0][-2:] == ["(2", "times)"]
    assert not any("Reason2" in line for line in lines)


def test_control_characters_never_reach_the_terminal(server: ApiServer, run: Run) -> None:
    node = {
        "metadata": {"name": "a", "labels": {"nvidia.com/gpu.present": "true", HOSTILE: HOSTILE}},
        "spec": {"taints": [{"key": HOSTILE, "effect": "NoSchedule"}]},
        "status": {
            "capacity": {"nvidia.com/\x1b]0;": "1"},
            "conditions": [{"type": HOSTILE, "status": "True", "reason": HOSTILE, "message": HOSTILE}],
            "nodeInfo": {"osImage": HOSTILE},
        },
    }
    server.store.create("nodes", node)
    for arguments in ((), ("-o", "json"), ("-o", "yaml")):
        for columns in (None, 40):
            result = run("node", "a", *arguments, columns=columns)
            assert result.exit_code == 0
            text = without_styles(result.stdout)
            assert not [letter for letter in text if not letter.isprintable() and letter != "\n"], arguments


def test_the_document_has_the_devices_of_resource_slices_with_their_claims_and_pods(
    server: ApiServer, run: Run
) -> None:
    load_cluster(server, "dra")
    document = json.loads(run("node", "dra-1", "-o", "json").stdout)
    devices = {each["name"]: each for each in document["claimDevices"]}
    assert devices["gpu-2"]["claims"] == ["team/shared"]
    assert devices["gpu-2"]["pods"] == ["team/web-a", "team/web-b"]
    assert devices["gpu-4"]["taints"] == ["gpu.nvidia.com/xid=79:NoSchedule"]
    assert {pod["name"]: pod["resources"] for pod in document["pods"]}["train"] == {"gpu.nvidia.com": 2}
    assert json.loads(run("node", "plugin-1", "-o", "json").stdout)["claimDevices"] == []


def test_control_characters_of_resource_slices_and_claims_never_reach_the_terminal(server: ApiServer, run: Run) -> None:
    server.store.create("nodes", {"metadata": {"name": "a", "labels": {"nvidia.com/gpu.present": "true"}}})
    device = {
        "name": HOSTILE,
        "attributes": {name: {"string": HOSTILE} for name in ("productName", "uuid", "profile")}
        | {"type": {"string": "gpu"}},
        "taints": [{"key": HOSTILE, "value": HOSTILE, "effect": HOSTILE}],
    }
    spec = {"driver": "gpu.nvidia.com", "nodeName": "a", "pool": {"name": "a", "generation": 1}, "devices": [device]}
    server.store.create("resourceslices.resource.k8s.io", {"metadata": {"name": "s"}, "spec": spec})
    result = {"driver": "gpu.nvidia.com", "pool": "a", "device": HOSTILE}
    status = {
        "allocation": {"devices": {"results": [result]}},
        "reservedFor": [{"resource": "pods", "name": HOSTILE}],
    }
    server.store.create(
        "resourceclaims.resource.k8s.io", {"metadata": {"name": "c", "namespace": "team"}, "status": status}
    )
    for arguments in (("nodes",), ("nodes", "-o", "csv"), ("node", "a"), ("node", "a", "-o", "json")):
        found = run(*arguments)
        assert found.exit_code == 0
        text = without_styles(found.stdout)
        assert "[2Jb" in text, arguments
        assert not [letter for letter in text if not letter.isprintable() and letter != "\n"], arguments
