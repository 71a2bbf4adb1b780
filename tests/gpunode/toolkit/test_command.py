"""`gpunode toolkit` as a person runs it."""

import json
from pathlib import Path

import pytest
from click.testing import Result

from node_core.runtime.instance_lock import InstanceLock
from tests.gpu_toolkit.cri_server import cri_server
from tests.gpunode.verbs import run_verb

ON, OFF = ({"enableCDI": each, "cdiSpecDirs": ["/etc/cdi", "/var/run/cdi"]} for each in (True, False))


def run(tmp_path: Path, *arguments: str) -> Result:
    return run_verb("toolkit", *arguments, "--state-dir", str(tmp_path / "state"))


def test_a_runtime_with_cdi_needs_nothing(tmp_path: Path) -> None:
    with cri_server(config=ON) as socket:
        result = run(tmp_path, "status", "--runtime-socket", str(socket))
    assert (result.exit_code, "Pods get GPUs by CDI from containerd 2.1.9." in " ".join(result.output.split())) == (
        0,
        True,
    )


def test_a_missing_switch_is_named_for_programs(tmp_path: Path) -> None:
    with cri_server(config=OFF) as socket:
        result = run(tmp_path, "status", "--runtime-socket", str(socket), "-o", "json")
    (runtime,) = (each for each in json.loads(result.output)["runtimes"] if each["isUsedByKubelet"])
    assert (result.exit_code, runtime["reason"], runtime["missing"]) == (1, "SettingMissing", ["enable_cdi"])


def test_a_runtime_that_does_not_answer_is_shown(tmp_path: Path) -> None:
    result = run(tmp_path, "status", "--runtime-socket", str(tmp_path / "none"))
    assert result.exit_code == 1
    assert "did not answer" in result.output


def test_apply_with_cdi_on_changes_nothing(tmp_path: Path) -> None:
    with cri_server(config=ON) as socket:
        result = run(tmp_path, "apply", "--runtime-socket", str(socket), "--lock-dir", str(tmp_path))
    assert (result.exit_code, "changes nothing" in result.output) == (0, True)


def test_revert_without_a_change_reports_that(tmp_path: Path) -> None:
    result = run(tmp_path, "revert", "--lock-dir", str(tmp_path))
    assert (result.exit_code, result.output) == (0, "gpu-toolkit has nothing to put back on this node.\n")


def test_a_node_without_a_runtime_is_an_error(tmp_path: Path) -> None:
    result = run(tmp_path, "status", "--host-root", str(tmp_path))
    assert result.exit_code == 1
    assert "no container runtime was found" in result.stderr


@pytest.mark.parametrize("verb", ["apply", "revert"])
def test_a_running_agent_decides_instead(tmp_path: Path, verb: str) -> None:
    lock = InstanceLock(tmp_path, "gpu-toolkit", "n1")
    assert lock.acquire() is None
    try:
        result = run(tmp_path, verb, "--lock-dir", str(tmp_path))
    finally:
        lock.release()
    assert result.exit_code == 1
    assert "gpu-toolkit runs on this node" in result.stderr
