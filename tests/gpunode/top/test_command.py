"""The command line of `gpunode top`."""

import json
from pathlib import Path

import pytest

from gpunode.top import run
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
@pytest.mark.parametrize("local", ["--simulate=t4x1", "--pod-resources-socket=/x"])
def test_flags_of_this_node_are_not_for_other_nodes(local: str, flag: str) -> None:
    result = run_verb("top", local, flag)
    assert result.exit_code == 2
    assert (
        f"{local.partition('=')[0]} is for this node. Remove {flag.partition('=')[0]}, or this flag." in result.stderr
    )


def test_nodes_are_selected_in_one_way() -> None:
    result = run_verb("top", "--node", "n1", "--all")
    assert result.exit_code == 2
    assert "--node and --all cannot be used together." in result.stderr


def test_a_machine_without_gpus_and_cluster(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(run, "DRIVER", str(tmp_path / "driver"))
    result = run_verb("top", "--once", environment={"HOME": str(tmp_path)})
    assert result.exit_code == 1
    assert "there is no kubeconfig file" in result.stderr


def test_a_flag_of_this_node_selects_this_node() -> None:
    result = run_verb("top", "--once", "--host-root", "/nowhere")
    assert (result.exit_code, result.stderr) == (2, "gpunode top: --host-root: /nowhere is not a directory\n")


def test_nothing_is_read_while_nvml_is_released(tmp_path: Path) -> None:
    released = run_verb("release", "--for", "60s", "--lock-dir", str(tmp_path))
    assert released.exit_code == 0
    result = run_verb("top", "--simulate", "t4x1", "--lock-dir", str(tmp_path))
    assert result.exit_code == 1
    assert "NVML is released: " in result.stderr
