"""`gpunode topo` on the node of a running plugin."""

import json
from pathlib import Path

import pytest

from tests.gpunode.conftest import Cluster
from tests.gpunode.verbs import run_verb


def test_the_answer_has_the_settings_of_the_running_plugin(cluster: Cluster, monkeypatch: pytest.MonkeyPatch) -> None:
    config = cluster.directory / "config.yaml"
    sharing = {"timeSlicing": {"resources": [{"name": "nvidia.com/gpu", "replicas": 3, "devices": [1]}]}}
    config.write_text(json.dumps({"version": "v1", "sharing": sharing}))
    cluster.start("device_plugin", "--gate-label", "", "--simulate", "mixed-models", "--config-file", str(config))
    cluster.until(lambda: cluster.gpus == "7")
    monkeypatch.delenv("KUBELET_SOCKET", raising=False)
    result = run_verb("topo", "--lock-dir", str(cluster.directory / "lock"), "--request", "3", "-o", "json")
    assert result.exit_code == 0, result.output
    found = json.loads(result.stdout)["request"]
    assert len(found["available"]) == 7
    assert found["method"] == "replicas"
    assert "cannot list the devices of the pods" in result.stderr
    assert str(Path(cluster.kubelet.socket).parent.parent) in result.stderr, "the socket of the plugin's kubelet"


def test_flags_take_precedence_over_the_settings_of_the_running_plugin(cluster: Cluster) -> None:
    cluster.start("device_plugin", "--gate-label", "", "--simulate", "h100x8-mig-mixed")
    cluster.until(lambda: cluster.gpus == "6")
    lock = str(cluster.directory / "lock")
    assert run_verb("topo", "--lock-dir", lock, "--request", "1", "--resource", "mig-1g.10gb").exit_code == 2
    mixed = ("--mig-strategy", "mixed", "--request", "1", "--resource", "mig-1g.10gb", "--available", "6:3")
    result = run_verb("topo", "--lock-dir", lock, *mixed, "-o", "json")
    assert [each["index"] for each in json.loads(result.stdout)["request"]["devices"]] == ["6:3"]
