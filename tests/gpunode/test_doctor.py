"""`gpunode doctor` on nodes that are well and on nodes that are not."""

import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import structlog

from device_plugin.health.state_file import StateFile, read_boot_id
from gpunode.doctor import main, render_text
from node_core.domain.health import Health, Phase, Wound
from node_core.domain.inventory import GpuUuid
from node_core.domain.xid import XidClass

BROKEN = """
driver: {version: "550.54.15", cuda: "12.4"}
gpus:
  - {model: NVIDIA H100 80GB HBM3, count: 2, memory: 81559Mi, compute: "9.0", device_id: "2330"}
faults:
  - {at: 0, gpu: 1, kind: lost}
"""
ASKS_FOR_RESET = BROKEN.replace("kind: lost", "kind: recovery, action: reset")
NO_DRIVER = """
driver: {version: "550.54.15"}
gpus:
  - {model: NVIDIA H100 80GB HBM3, count: 1, memory: 81559Mi, compute: "9.0", device_id: "2330"}
faults:
  - {at: 0, kind: driver_gone}
"""


@pytest.fixture(autouse=True)
def log_as_it_was() -> Iterator[None]:
    yield
    structlog.reset_defaults()


@pytest.fixture
def flags(tmp_path: Path) -> list[str]:
    return ["--lock-dir", str(tmp_path / "run"), "--node-name", "n1"]


def scenario(tmp_path: Path, text: str) -> str:
    path = tmp_path / "scenario.yaml"
    path.write_text(text)
    return str(path)


def test_a_node_that_is_well_has_nothing_to_do(flags: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert main([*flags, "--simulate", "h100x8"]) == 0
    assert capsys.readouterr().out == "GPUsReady: 8 of 8 devices can be allocated\n"


def test_a_bad_gpu_is_named_with_what_to_do(
    flags: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main([*flags, "--simulate", scenario(tmp_path, BROKEN)]) == 1
    assert capsys.readouterr().out == (
        "SomeGPUsUnhealthy: 1 of 1 devices can be allocated"
        " (GPU 1 cannot be read: nvmlDeviceGetHandleByIndex answered GPU_IS_LOST)\n"
        "  to do: see the Events of this Node for each GPU and what it needs\n"
        "note: GPU 1 cannot be read: nvmlDeviceGetHandleByIndex answered GPU_IS_LOST.\n"
    )


def test_what_a_gpu_says_of_itself_counts(flags: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main([*flags, "--simulate", scenario(tmp_path, ASKS_FOR_RESET), "-o", "json"]) == 1
    (bad,) = json.loads(capsys.readouterr().out)["gpus"]
    assert (bad["phase"], bad["gpuInstance"]) == ("unhealthy", None)
    assert bad["why"] == "the driver says that the GPU needs this recovery: reset"
    assert bad["todo"] == "drain the GPU and reset it (nvidia-smi --gpu-reset)"


def test_no_driver_is_told_from_no_gpu(flags: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main([*flags, "--simulate", scenario(tmp_path, NO_DRIVER), "-o", "json"]) == 1
    no_driver = json.loads(capsys.readouterr().out)
    assert main([*flags, "--simulate", "none", "-o", "json"]) == 1
    no_gpu = json.loads(capsys.readouterr().out)
    assert (no_driver["reason"], no_gpu["reason"]) == ("NoDriver", "NoGPU")
    assert not no_driver["ready"]
    assert no_driver["todo"]


def test_what_an_xid_did_earlier_in_this_boot_is_known(
    flags: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    main([*flags, "--simulate", "t4x1", "-o", "json"])
    capsys.readouterr()
    uuid = GpuUuid(_uuid_of("t4x1"))
    wound = Wound(xid=54, kind=XidClass.REPLACE, at=0.0)
    file = StateFile(tmp_path / "run" / "gpu-device-plugin.n1.health.json", read_boot_id())
    file.write({(uuid, None): Health(phase=Phase.UNHEALTHY, wounds=(wound,))})
    assert main([*flags, "--simulate", "t4x1"]) == 1
    assert capsys.readouterr().out == (
        f"AllGPUsUnhealthy: 0 of 1 devices can be allocated"
        f" ({uuid}: Xid 54: auxiliary power is not connected to the GPU board)\n"
        "  to do: see the Events of this Node for each GPU and what it needs\n"
        f"{uuid}: unhealthy: Xid 54: auxiliary power is not connected to the GPU board\n"
        "  to do: connect the board's power, then boot\n"
    )


def test_while_the_gpus_are_released_nobody_looks_and_the_reason_is_said(
    flags: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "run/release.d").mkdir(parents=True)
    (tmp_path / "run/release.d/me").write_text("1h")
    assert main([*flags, "--simulate", "h100x8", "-o", "json"]) == 1
    found = json.loads(capsys.readouterr().out)
    assert (found["reason"], found["ready"], found["gpus"]) == ("GPUsReleased", False, [])
    assert found["notes"][0].startswith("me asks for free GPUs for another ")
    (tmp_path / "run/release.d/me").write_text("for ever")
    assert main([*flags, "--simulate", "h100x8"]) == 1
    assert capsys.readouterr().out.splitlines() == [
        "GPUsReady: 8 of 8 devices can be allocated",
        "note: me is no request for free GPUs: 'for ever' is not a duration: write one such as 60s or 1m30s, or infinite",
    ]
    assert [path.name for path in (tmp_path / "run").iterdir()] == ["release.d"], "it changes nothing"


def test_mig_devices_that_the_strategy_leaves_out_are_a_verdict(
    flags: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    assert main([*flags, "--simulate", "a100x4-mig-single"]) == 1
    assert "AllExcludedByConfig" in capsys.readouterr().out
    assert main([*flags, "--simulate", "a100x4-mig-single", "--mig-strategy", "single"]) == 0


def test_wrong_flags_are_said_and_exit_with_2(flags: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert main([*flags, "--simulat", "h100x8", "--mig-strategy", "x"]) == 2
    assert len(capsys.readouterr().err.splitlines()) >= 2


def test_help_ends_well(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--help"]) == 0
    assert "what to do" in capsys.readouterr().out


def test_it_is_a_command_of_gpunode(flags: list[str]) -> None:
    run = subprocess.run(
        [sys.executable, "-m", "gpunode", "doctor", *flags, "--simulate", "none"], capture_output=True, text=True, check=False
    )  # fmt: skip
    assert (run.returncode, run.stdout.partition(":")[0], run.stderr) == (1, "NoGPU", "")


def _uuid_of(name: str) -> str:
    from node_core.host.nvml.inventory import read_inventory  # noqa: PLC0415
    from node_core.simulate.nvml import numa_of, simulated_nvml  # noqa: PLC0415
    from node_core.simulate.scenario import load_scenario  # noqa: PLC0415

    loaded = load_scenario(name)
    return read_inventory(simulated_nvml(loaded, lambda: 0.0), numa_of(loaded)).gpus[0].uuid


def test_what_drivers_and_logs_say_is_shown_without_codes_for_terminals() -> None:
    judgement = SimpleNamespace(reason="NVMLFails", sentence="it says \x1b[2J\x07", todo="ask\nGPUsReady: all is well")
    found: Any = SimpleNamespace(judgement=judgement, verdicts=(), notes=("\u202e\udcff",))
    assert render_text(found) == "NVMLFails: it says ?[2J?\n  to do: ask?GPUsReady: all is well\nnote: ??\n"
