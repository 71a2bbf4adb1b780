"""`gpunode doctor --node`: one Node from outside."""

import json
from collections.abc import Callable
from typing import Any

import pytest
from click.testing import Result

from gpunode.doctor.remote import check_events, describe_software
from node_core.errors import KubeError
from node_core.kube.http import ApiClient
from node_core.scheduling.objects import Event, Metadata, Node
from simulation.apiserver import ApiServer
from tests.conftest import Golden
from tests.gpunode.recorded import NOON, read_cluster
from tests.gpunode.verbs import run_verb

METRICS = """
# TYPE gpunode_not_ready gauge
gpunode_not_ready{check="gpu-device-plugin/kubelet"} 1.0
gpunode_not_ready{check="gpu-device-plugin/gpus"} 0.0
"""
Doctor = Callable[..., Result]
NODES = sorted(each["metadata"]["name"] for each in read_cluster("fleet") if each["kind"] == "Node")


@pytest.fixture
def doctor(kubeconfig: str) -> Doctor:
    return lambda node, *flags, **more: run_verb("doctor", "--node", node, "--kubeconfig", kubeconfig, *flags, **more)


@pytest.fixture(autouse=True)
def _no_metrics(monkeypatch: pytest.MonkeyPatch) -> None:
    answer_proxy(monkeypatch, 403)


def answer_proxy(monkeypatch: pytest.MonkeyPatch, status: int, content: str = "") -> list[str]:
    """Answers requests to pods in place of the simulated API server, which has no pods. Returns the paths of these requests."""
    paths: list[str] = []
    original = ApiClient.open

    class Response:
        def read(self, _: int) -> bytes:
            return content.encode()

        def close(self) -> None: ...

    def respond(self: ApiClient, verb: str, path: str, **more: Any) -> Any:
        if "/proxy/" not in path:
            return original(self, verb, path, **more)
        paths.append(path)
        if status != 200:
            raise KubeError(f"GET {path}: HTTP {status}", status=status)
        return Response()

    monkeypatch.setattr(ApiClient, "open", respond)
    return paths


@pytest.mark.parametrize("name", NODES)
def test_the_report_about_a_node(name: str, fleet: ApiServer, doctor: Doctor, golden: Golden) -> None:
    result = doctor(name)
    golden(f"doctor/node-{name}.txt", result.stdout)
    assert result.exit_code == (0 if name in ("gpu-01", "cpu-01") else 1)
    assert fleet.writes == 0


@pytest.mark.usefixtures("fleet")
def test_the_report_at_40_columns(doctor: Doctor, golden: Golden) -> None:
    golden("doctor/node-40-columns.txt", doctor("gpu-07", columns=40).stdout)


@pytest.mark.usefixtures("fleet")
def test_the_report_as_json(doctor: Doctor, golden: Golden) -> None:
    result = doctor("gpu-03", "-o", "json")
    golden("doctor/node.json", result.stdout)
    assert set(json.loads(result.stdout)["checks"][0]) == {"name", "status", "reason", "sentence", "todo"}


@pytest.mark.usefixtures("fleet")
def test_a_missing_node_is_an_error_with_the_nearest_name(doctor: Doctor) -> None:
    result = doctor("gpu-1")
    assert (result.exit_code, result.stdout) == (1, "")
    assert result.stderr.startswith("gpunode doctor: the cluster has no Node gpu-1 (did you mean gpu-1")


def test_hostile_text_does_not_control_the_terminal(fleet: ApiServer, doctor: Doctor) -> None:
    def poison(node: dict[str, Any]) -> dict[str, Any]:
        conditions = [{**each, "message": "a\x1b[2J\nok       gpus: fine"} for each in node["status"]["conditions"]]
        return {**node, "status": {**node["status"], "conditions": conditions}}

    fleet.store.mutate("nodes", "gpu-02", poison)
    result = doctor("gpu-02")
    assert "a?[2J?ok       gpus: fine" in result.stdout
    assert "\x1b" not in result.stdout


@pytest.mark.usefixtures("fleet")
def test_without_the_right_to_read_daemon_sets_the_node_is_checked_alone(
    doctor: Doctor, monkeypatch: pytest.MonkeyPatch
) -> None:
    forbid(monkeypatch, "/daemonsets", "/events")
    result = doctor("gpu-07")
    assert (
        "note     agent: the pods of the agents are not checked: you are not permitted to list daemonsets.apps"
        in result.stdout
    )
    assert "note     events: the Events of the Node are not read: you are not permitted to list events" in result.stdout
    assert "gpunode-viewer" in result.stdout
    assert "problem  resources: NotAdvertisedByKubelet: 0 of 8 nvidia.com/gpu are allocatable" in result.stdout


@pytest.mark.usefixtures("fleet")
def test_without_the_right_to_read_nodes_the_missing_right_is_named(
    doctor: Doctor, monkeypatch: pytest.MonkeyPatch
) -> None:
    forbid(monkeypatch, "/nodes")
    result = doctor("gpu-01")
    assert (result.exit_code, result.stdout) == (1, "")
    assert "you are not permitted to get nodes" in result.stderr


def forbid(monkeypatch: pytest.MonkeyPatch, *parts: str) -> None:
    original = ApiClient.open

    def refuse(self: ApiClient, verb: str, path: str, **more: Any) -> Any:
        if any(part in path for part in parts):
            raise KubeError(f"GET {path}: HTTP 403: no", status=403)
        return original(self, verb, path, **more)

    monkeypatch.setattr(ApiClient, "open", refuse)


def test_an_api_server_that_is_away_is_an_error(fleet: ApiServer, doctor: Doctor) -> None:
    fleet.stop()
    result = doctor("gpu-01")
    assert (result.exit_code, result.stdout) == (1, "")
    assert "the API server does not respond" in result.stderr
    assert "Traceback" not in result.stderr


def test_an_api_server_that_goes_away_in_between_is_an_error(
    fleet: ApiServer, doctor: Doctor, monkeypatch: pytest.MonkeyPatch
) -> None:
    original = ApiClient.open

    def stop(self: ApiClient, verb: str, path: str, **more: Any) -> Any:
        if "/pods" in path:
            fleet.stop()
        return original(self, verb, path, **more)

    monkeypatch.setattr(ApiClient, "open", stop)
    assert doctor("gpu-01").exit_code == 1


@pytest.mark.usefixtures("fleet")
def test_the_metrics_of_running_agents_are_read_through_the_api_server(
    doctor: Doctor, monkeypatch: pytest.MonkeyPatch
) -> None:
    paths = answer_proxy(monkeypatch, 200, METRICS)
    result = doctor("gpu-07")
    assert "problem  metrics: AgentNotReady: the check gpu-device-plugin/kubelet of /readyz fails" in result.stdout
    assert [path.split("/")[6].rpartition(":")[2] for path in paths] == ["8081", "8080"], "the plugin does not run"


@pytest.mark.usefixtures("fleet")
def test_pods_of_a_node_that_is_not_ready_are_not_asked(doctor: Doctor, monkeypatch: pytest.MonkeyPatch) -> None:
    paths = answer_proxy(monkeypatch, 200, METRICS)
    doctor("gpu-04")
    assert paths == []


def test_the_newest_events_are_notes() -> None:
    events = tuple(
        Event(
            metadata=Metadata(name=str(n)),
            type="Warning",
            reason="R",
            message=f"m{n}\n",
            last_timestamp="2026-03-01T11:00:00Z",
        )
        for n in range(7)
    )
    found = [each.sentence for each in check_events(events, NOON.timestamp())]
    assert found == [*(f"R, 1 h ago: m{n}" for n in range(5)), "2 older Events"]


def test_events_without_a_warning_are_shown_if_the_plugin_recorded_them() -> None:
    normal = [Event(type="Normal", reason=reason, count=3) for reason in ("GPURecovered", "Starting")]
    (found,) = check_events(tuple(normal), NOON.timestamp())
    assert found.sentence == "GPURecovered, an unknown time ago, 3 times: "


def test_software_that_is_unknown_is_omitted() -> None:
    assert describe_software(Node(metadata=Metadata(name="n"))) == ""
