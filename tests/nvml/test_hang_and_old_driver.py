"""Drivers with hanging calls and libraries without some functions, through pynvml and a C library."""

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from gpu_core.nvml.inventory import read_inventory
from simulation.nvml.library import numa_of, simulated_nvml
from simulation.scenarios.scenario import load_scenario
from tests.exhaustive import params
from tests.nvml.conftest import Build
from tests.nvml.discoveries import ROOT, as_json, discover_all
from tests.nvml.scenario_lines import VARIABLE, render_lines, write_host_root


def run(lines: Path, *arguments: str) -> list[str]:
    """Runs a process. Fails after a timeout: a hanging call never returns."""
    environment = {**os.environ, VARIABLE: str(lines)}
    command = [sys.executable, *arguments]
    done = subprocess.run(command, check=True, capture_output=True, text=True, cwd=ROOT, env=environment, timeout=30)
    return done.stdout.splitlines()


@pytest.mark.parametrize(
    "rule",
    params(["hang nvmlDeviceGetMemoryInfo 1", "hang nvmlInit *", "hang nvmlDeviceGetCount *"]),
)
def test_a_hanging_call_ends_at_its_deadline_and_does_not_prevent_the_end_of_the_process(
    rule: str, library: Path, tmp_path: Path
) -> None:
    lines = tmp_path / "lines"
    lines.write_text(render_lines(load_scenario("l40sx4"), more=(rule,)))
    assert run(lines, "-m", "tests.nvml.hanging", str(library), "0.2") == ["TIMEOUT", "TIMEOUT"]


def test_a_driver_that_works_is_within_its_deadline(library: Path, tmp_path: Path) -> None:
    lines = tmp_path / "lines"
    lines.write_text(render_lines(load_scenario("l40sx4")))
    assert run(lines, "-m", "tests.nvml.hanging", str(library), "20") == ["4", "4"]


def discover(scenario_name: str, library: Path, folder: Path) -> tuple[Any, Any]:
    """The inventories of the library and of the simulation."""
    scenario = load_scenario(scenario_name)
    lines = folder / "lines"
    lines.write_text(render_lines(scenario))
    host_root = write_host_root(folder / "host", scenario)
    (found,) = discover_all([{"lines": str(lines), "library": str(library), "host_root": str(host_root)}])
    return found, as_json(read_inventory(simulated_nvml(scenario, lambda: 0.0), numa_of(scenario)))


@pytest.mark.exhaustive
def test_the_newer_fabric_function_gives_the_same_result(build: Build, tmp_path: Path) -> None:
    found, simulated = discover("gb200x4", build("nvmlDeviceGetGpuFabricInfo"), tmp_path)
    assert found == simulated


def test_an_old_library_gives_all_values_that_it_supports(build: Build, tmp_path: Path) -> None:
    lacking = (
        "nvmlDeviceGetMigMode",
        "nvmlDeviceGetGpuFabricInfo",
        "nvmlDeviceGetGpuFabricInfoV",
        "nvmlDeviceGetNvLinkState",
        "nvmlDeviceGetTopologyCommonAncestor",
    )
    health = (
        "nvmlDeviceGetFieldValues",
        "nvmlDeviceGetRemappedRows",
        "nvmlDeviceGetRetiredPagesPendingStatus",
        "nvmlDeviceGetTotalEccErrors",
        "nvmlDeviceGetCurrentClocksEventReasons",
        "nvmlDeviceGetCurrentClocksThrottleReasons",
    )
    found, simulated = discover("gb200x4", build(*lacking, *health, "nvmlSystemGetCudaDriverVersion"), tmp_path)
    without: dict[str, object] = {"mig_capable": False, "fabric": None, "peers": [], "pci_peers": []} | {
        "switch_links": 0
    }
    assert found["gpus"] == [{**gpu, **without} for gpu in simulated["gpus"]]
    assert found["driver"] == {"version": "570.172.08", "cuda": None}
    assert found["faults"] == []
    unknown = {"recovery_action", "remap_pending", "remap_failed", "retirement_pending", "uncorrectable"}
    assert found["states"] == [{**state, **dict.fromkeys(unknown), "nvlinks": 0} for state in simulated["states"]]


@pytest.mark.exhaustive
def test_the_older_name_of_the_clocks_reasons_is_used_with_older_libraries(build: Build, tmp_path: Path) -> None:
    found, simulated = discover("gb200x4", build("nvmlDeviceGetCurrentClocksEventReasons"), tmp_path)
    assert found == simulated


def test_without_the_remote_device_type_no_switches_are_counted(build: Build, tmp_path: Path) -> None:
    found, simulated = discover("h100x8", build("nvmlDeviceGetNvLinkRemoteDeviceType"), tmp_path)
    assert found["gpus"] == [{**gpu, "switch_links": 0} for gpu in simulated["gpus"]]
    assert found["faults"] == []
