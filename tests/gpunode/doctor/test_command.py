"""The command line of `gpunode doctor`, and what it reports about the GPUs."""

import json
from pathlib import Path
from typing import Any

import pytest

from gpu_core import assembly
from gpu_core.domain.health import Health, Incident, Phase
from gpu_core.domain.inventory import GpuUuid, Inventory
from gpu_core.domain.xid import XidClass
from gpu_core.health.state_file import StateFile
from gpunode.doctor import here
from gpunode.doctor.command import main
from node_core.host.boot_id import read_boot_id
from node_core.host.root import HostRoot
from node_core.runtime.instance_lock import InstanceLock
from tests.conftest import Golden
from tests.gpunode.verbs import run_verb

LOST = """
driver: {version: "550.54.15", cuda: "12.4"}
gpus:
  - {model: NVIDIA H100 80GB HBM3, count: 2, memory: 81559Mi, compute: "9.0", device_id: "2330"}
faults:
  - {at: 0, gpu: 1, kind: lost}
"""
NEEDS_RESET = LOST.replace("kind: lost", "kind: recovery, action: reset")
NO_DRIVER = """
driver: {version: "550.54.15"}
gpus:
  - {model: NVIDIA H100 80GB HBM3, count: 1, memory: 81559Mi, compute: "9.0", device_id: "2330"}
faults:
  - {at: 0, kind: driver_gone}
"""


@pytest.fixture
def flags(tmp_path: Path) -> list[str]:
    socket = str(tmp_path / "dp" / "kubelet.sock")
    return ["--lock-dir", str(tmp_path / "run"), "--node-name", "n1", "--kubelet-socket", socket]


def scenario(tmp_path: Path, text: str) -> str:
    path = tmp_path / "scenario.yaml"
    path.write_text(text)
    return str(path)


def problems(report: dict[str, Any]) -> dict[str, str]:
    return {each["name"]: each["sentence"] for each in report["checks"] if each["status"] == "problem"}


def check(report: dict[str, Any], name: str) -> dict[str, Any]:
    found: dict[str, Any] = next(each for each in report["checks"] if each["name"] == name)
    return found


@pytest.fixture
def report(flags: list[str], capsys: pytest.CaptureFixture[str]) -> Any:
    """Runs doctor and returns its exit status and its report."""

    def run(*more: str) -> tuple[int, dict[str, Any]]:
        status = main([*flags, "-o", "json", *more])
        return status, json.loads(capsys.readouterr().out)

    return run


def test_without_a_cluster_the_gpus_are_checked_and_a_note_states_that_the_node_is_not(report: Any) -> None:
    _, found = report("--simulate", "h100x8")
    assert check(found, "gpus")["sentence"] == "simulated GPUs: 8 of 8 GPUs are available"
    assert check(found, "api")["status"] == "note"
    assert check(found, "api")["sentence"].startswith("no cluster given, so the Node was not checked")
    assert "api" not in problems(found)


def test_without_a_running_agent_pods_get_no_gpus(report: Any, tmp_path: Path) -> None:
    status, found = report("--simulate", "h100x8")
    assert (status, found["ready"], found["reason"]) == (1, False, "NotRegistered")
    assert problems(found) == {
        "agent": f"gpu-device-plugin does not run: no process has its lock in {tmp_path}/run",
        "kubelet": f"the kubelet's folder {tmp_path}/dp does not exist",
    }


def test_a_plugin_whose_settings_cannot_be_read_is_a_note(report: Any, tmp_path: Path) -> None:
    lock = InstanceLock(tmp_path / "run", "gpu-device-plugin", "n1")
    assert lock.acquire() is None
    _, found = report("--simulate", "t4x1")
    lock.release()
    assert check(found, "agent")["status"] == "ok"
    assert check(found, "settings")["status"] == "note"
    assert check(found, "settings")["sentence"].startswith(
        "gpu-device-plugin runs in another container or as another user"
    )
    assert check(found, "plugin socket")["status"] == "problem"


def test_a_process_that_serves_gpus_without_the_lock_is_a_note(report: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(here, "is_served", lambda _: True)
    _, found = report("--simulate", "t4x1")
    assert check(found, "agent")["status"] == "note"
    assert "another device plugin, or gpu-device-plugin with another --lock-dir" in check(found, "agent")["sentence"]


def test_a_node_that_should_have_no_gpu_is_in_order(report: Any) -> None:
    status, found = report("--simulate", "none")
    assert (status, found["ready"], found["reason"], found["gpus"]) == (0, True, "NoGPU", [])
    assert found["summary"] == "This node has no GPU, and none is expected."


@pytest.mark.parametrize("name", ["h100x8", "none"])
def test_the_text_on_a_node(
    name: str, flags: list[str], tmp_path: Path, golden: Golden, capsys: pytest.CaptureFixture[str]
) -> None:
    main([*flags, "--simulate", name])
    golden(f"doctor/on-node-{name}.txt", capsys.readouterr().out.replace(str(tmp_path), "/DIR"))


def test_an_unreadable_gpu_is_listed_and_a_problem(report: Any, tmp_path: Path) -> None:
    _, found = report("--simulate", scenario(tmp_path, LOST))
    assert check(found, "gpus")["reason"] == "SomeGPUsUnhealthy"
    assert problems(found)["gpus"] == (
        "simulated GPUs: 1 of 1 GPUs are available. GPU 1 cannot be read: nvmlDeviceGetHandleByIndex returned GPU_IS_LOST"
    )
    assert [(each["index"], each["healthy"]) for each in found["gpus"]] == [(0, True), (1, False)]
    assert found["gpus"][1]["why"] == "it cannot be read: nvmlDeviceGetHandleByIndex returned GPU_IS_LOST"


def test_the_recovery_action_of_a_gpu_makes_it_unhealthy(report: Any, tmp_path: Path) -> None:
    _, found = report("--simulate", scenario(tmp_path, NEEDS_RESET))
    (_, bad) = found["gpus"]
    assert (bad["healthy"], bad["phase"]) == (False, "unhealthy")
    assert bad["why"] == "the driver reports the recovery action reset"
    assert bad["todo"] == "drain the GPU and reset it (nvidia-smi --gpu-reset)"
    assert check(found, "gpu")["todo"] == bad["todo"]


def test_a_missing_driver_and_a_missing_gpu_have_different_reasons(report: Any, tmp_path: Path) -> None:
    status, found = report("--simulate", scenario(tmp_path, NO_DRIVER))
    assert (status, found["reason"]) == (1, "NoDriver")
    assert check(found, "gpus")["todo"]
    assert report("--simulate", "none")[1]["reason"] == "NoGPU"


def test_the_state_file_reports_earlier_xids_of_this_boot(report: Any, tmp_path: Path) -> None:
    uuid = GpuUuid(_uuid_of("t4x1"))
    incident = Incident(xid=54, kind=XidClass.REPLACE, at=0.0)
    file = StateFile(tmp_path / "run" / "gpu-device-plugin.n1.health.json", read_boot_id())
    file.write({(uuid, None): Health(phase=Phase.UNHEALTHY, incidents=(incident,))})
    _, found = report("--simulate", "t4x1")
    why = "Xid 54: auxiliary power is not connected to the GPU board"
    assert check(found, "gpus")["reason"] == "AllGPUsUnhealthy"
    assert problems(found)["gpus"] == f"simulated GPUs: 0 of 1 GPUs are available. GPU 0 ({uuid}): {why}"
    assert problems(found)["gpu"] == f"GPU 0 ({uuid}): unhealthy: {why}"
    assert check(found, "gpu")["todo"] == "connect the auxiliary power of the board, then boot"


def test_during_a_release_the_reason_is_reported_and_nvml_stays_closed(report: Any, tmp_path: Path) -> None:
    (tmp_path / "run/release.d").mkdir(parents=True)
    (tmp_path / "run/release.d/me").write_text("1h")
    status, found = report("--simulate", "h100x8")
    assert (status, found["reason"], found["gpus"]) == (1, "GPUsReleased", [])
    (released,) = [each["sentence"] for each in found["checks"] if each["status"] == "note" and each["name"] == "gpus"]
    assert released.startswith("the release request me keeps NVML closed for another ")
    (tmp_path / "run/release.d/me").write_text("for ever")
    _, found = report("--simulate", "h100x8")
    (ignored,) = [each["sentence"] for each in found["checks"] if each["status"] == "note" and each["name"] == "gpus"]
    assert ignored.startswith("the release request me is ignored: 'for ever' is not a duration.")
    assert [path.name for path in (tmp_path / "run").iterdir()] == ["release.d"], "doctor writes no file"


def test_mig_devices_that_the_strategy_excludes_are_a_reason(report: Any) -> None:
    _, found = report("--simulate", "a100x4-mig-single")
    assert check(found, "gpus")["reason"] == "MIGStrategyNone"
    assert "all GPUs are in MIG mode and the MIG strategy is `none`" in problems(found)["gpus"]
    assert check(found, "gpus")["todo"].startswith("set --mig-strategy to single or mixed")
    _, found = report("--simulate", "a100x4-mig-single", "--mig-strategy", "single")
    assert "gpus" not in problems(found)
    assert {each["profile"] for each in found["gpus"][0]["migDevices"]} == {"1g.5gb"}


def test_a_setting_that_has_no_effect_on_this_node_is_a_note(report: Any, tmp_path: Path) -> None:
    config = tmp_path / "config.yaml"
    config.write_text(
        "version: v1\nsharing: {timeSlicing: {resources: [{name: nvidia.com/mig-1g.5gb, replicas: 2}]}}\n"
    )
    _, found = report("--simulate", "t4x1", f"--config-file={config}")
    notes = [each["sentence"] for each in found["checks"] if each["status"] == "note" and each["name"] == "gpus"]
    assert len(notes) == 1
    assert "nvidia.com/mig-1g.5gb" in notes[0]
    assert "gpus" not in problems(found)


def test_a_config_file_may_contain_flags_that_doctor_does_not_use(report: Any, tmp_path: Path) -> None:
    config = tmp_path / "config.yaml"
    config.write_text("version: v1\nflags: {mpsRoot: /m, plugin: {deviceListStrategy: envvar}}\n")
    assert check(report("--simulate", "t4x1", f"--config-file={config}")[1], "gpus")["status"] == "ok"


def test_wrong_flags_are_reported_and_exit_with_2(flags: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert main([*flags, "--simulat", "h100x8", "--mig-strategy", "x"]) == 2
    assert len(capsys.readouterr().err.splitlines()) >= 2


def test_a_flag_of_the_plugin_without_an_effect_on_doctor_is_refused(
    flags: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    assert main([*flags, "--log-level=debug", "--device-list-strategy=envvar"]) == 2
    assert set(capsys.readouterr().err.splitlines()) == {
        "gpunode doctor: --log-level: doctor does not use this flag. Remove it.",
        "gpunode doctor: --device-list-strategy: doctor does not use this flag. Remove it.",
    }


def test_help_shows_only_the_flags_that_doctor_uses(capsys: pytest.CaptureFixture[str]) -> None:
    main(["--help"])
    out = capsys.readouterr().out
    assert "--kubelet-socket" in out
    assert "--log-level" not in out
    assert "--device-list-strategy" not in out


def test_help_exits_with_0(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--help"]) == 0
    assert "Check whether pods can get the GPUs of this node" in capsys.readouterr().out


def test_doctor_is_a_command_of_gpunode(flags: list[str]) -> None:
    result = run_verb("doctor", *flags, "--simulate", "none")
    assert (result.exit_code, result.stdout.splitlines()[0], result.stderr) == (
        0,
        "This node has no GPU, and none is expected.",
        "",
    )


def _uuid_of(name: str) -> str:
    from gpu_core.nvml.inventory import read_inventory  # noqa: PLC0415
    from simulation.nvml.library import numa_of, simulated_nvml  # noqa: PLC0415
    from simulation.scenarios.scenario import load_scenario  # noqa: PLC0415

    loaded = load_scenario(name)
    return read_inventory(simulated_nvml(loaded, lambda: 0.0), numa_of(loaded)).gpus[0].uuid


@pytest.mark.parametrize("strategy", ["auto", "tegra"])
def test_doctor_discovers_gpus_with_the_flags_of_the_plugin(strategy: str, monkeypatch: pytest.MonkeyPatch) -> None:
    calls: list[object] = []

    def read_gpus(discovery: str, _: HostRoot, driver_root: Path, library_dirs: tuple[str, ...]) -> Inventory:
        calls.append((discovery, driver_root, library_dirs))
        return Inventory(driver=None)

    monkeypatch.setattr(assembly, "read_gpus", read_gpus)
    flags = ["--driver-root-ctr-path", "/d", "--driver-library-dirs", "/a,b"]
    main(["--device-discovery-strategy", strategy, "--node-name", "n", *flags])
    assert set(calls) == {(strategy, Path("/d"), ("/a", "b"))}
