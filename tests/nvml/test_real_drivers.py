"""Libraries that lack what those of real drivers lack, through pynvml."""

import ctypes
from pathlib import Path

import pytest

from tests.nvml.conftest import Build
from tests.nvml.test_hang_and_old_driver import look

LINES = (Path(__file__).parent / "drivers.txt").read_text().splitlines()
LACKING = {line.split()[0]: tuple(line.split()[1:]) for line in LINES if not line.startswith("#")}
BEFORE_MIG = "390.157"
SCENARIOS = ("h100x8-mig-mixed", "gb200x4", "t4x1")


def test_a_driver_that_is_new_enough_has_all_that_we_ask_for(library: Path) -> None:
    assert [version for version, lacking in LACKING.items() if not lacking] == ["550.163.01", "580.178.04", "595.99.02"]
    assert not [name for name in set().union(*LACKING.values()) if not hasattr(ctypes.CDLL(str(library)), name)]


@pytest.mark.parametrize("scenario", SCENARIOS)
@pytest.mark.parametrize("version", [version for version in LACKING if version != BEFORE_MIG])
def test_a_real_drivers_library_says_all_of_a_node_that_its_gpus_have(
    version: str, scenario: str, build: Build, tmp_path: Path
) -> None:
    found, simulated = look(scenario, build(*LACKING[version]), tmp_path)
    if "nvmlDeviceGetGpuFabricInfo" in LACKING[version]:  # no such driver runs GPUs that have a fabric
        simulated["gpus"] = [{**gpu, "fabric": None} for gpu in simulated["gpus"]]
    assert found == simulated


def test_a_driver_of_before_mig_says_what_it_can(build: Build, tmp_path: Path) -> None:
    found, simulated = look("t4x1", build(*LACKING[BEFORE_MIG]), tmp_path)
    assert found["faults"] == []
    assert [gpu["uuid"] for gpu in found["gpus"]] == [gpu["uuid"] for gpu in simulated["gpus"]]
    assert found["driver"] == simulated["driver"]
