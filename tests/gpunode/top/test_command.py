"""The command line of `gpunode top`."""

import json
from pathlib import Path

import pytest

from tests.gpunode.verbs import run_verb


def test_the_use_of_a_scenario(tmp_path: Path) -> None:
    result = run_verb("top", "--simulate", "h100x8-mig-mixed", "--lock-dir", str(tmp_path))
    assert result.exit_code == 0
    lines = result.stdout.splitlines()
    assert lines[0].split() == ["DEVICE", "MODEL", "UTIL", "LOAD", "MEMORY", "POWER", "TEMP", "PODS"]
    assert sum(" GI " in line for line in lines) == 8
    assert lines[-1] == "The GPUs are simulated."


def test_json_has_all_keys(tmp_path: Path) -> None:
    result = run_verb("top", "--simulate", "t4x1", "--lock-dir", str(tmp_path), "-o", "json")
    (device,) = json.loads(result.stdout)["devices"]
    assert device["memoryTotalMib"] == 15360
    assert device["pods"] == []


@pytest.mark.parametrize("flag", ["--node=n1", "-l=a=b", "--all"])
def test_a_scenario_is_on_this_node_only(flag: str) -> None:
    result = run_verb("top", "--simulate", "t4x1", flag)
    assert result.exit_code == 2
    assert "--simulate is for this node" in result.stderr


def test_a_machine_without_gpus_and_cluster(tmp_path: Path) -> None:
    (tmp_path / "host").mkdir()
    result = run_verb("top", "--once", "--host-root", str(tmp_path / "host"), environment={"HOME": str(tmp_path)})
    assert result.exit_code == 1
    assert "there is no kubeconfig file" in result.stderr


def test_nothing_is_read_while_nvml_is_released(tmp_path: Path) -> None:
    released = run_verb("release", "--for", "60s", "--lock-dir", str(tmp_path))
    assert released.exit_code == 0
    result = run_verb("top", "--simulate", "t4x1", "--lock-dir", str(tmp_path))
    assert result.exit_code == 1
    assert "NVML is released: " in result.stderr
