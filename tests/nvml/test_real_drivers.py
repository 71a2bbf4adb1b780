"""Libraries without the functions that real drivers lack, through pynvml."""

import ctypes
from pathlib import Path

import pytest

from tests.exhaustive import params
from tests.nvml.conftest import Build
from tests.nvml.test_hang_and_old_driver import discover

LINES = (Path(__file__).parent / "drivers.txt").read_text().splitlines()
LACKING = {line.split()[0]: tuple(line.split()[1:]) for line in LINES if not line.startswith("#")}
BEFORE_MIG = "390.157"
VERSIONS = [version for version in LACKING if version != BEFORE_MIG]
SCENARIOS = ("h100x8-mig-mixed", "gb200x4", "t4x1")


def test_a_new_driver_has_every_function(library: Path) -> None:
    assert [version for version, lacking in LACKING.items() if not lacking] == ["550.163.01", "580.178.04", "595.99.02"]
    assert not [name for name in set().union(*LACKING.values()) if not hasattr(ctypes.CDLL(str(library)), name)]


@pytest.mark.parametrize("scenario", params(SCENARIOS))
@pytest.mark.parametrize("version", params(VERSIONS, fast=(VERSIONS[0], VERSIONS[-1])))
def test_a_real_drivers_library_gives_every_value(version: str, scenario: str, build: Build, tmp_path: Path) -> None:
    found, simulated = discover(scenario, build(*LACKING[version]), tmp_path)
    if "nvmlDeviceGetGpuFabricInfo" in LACKING[version]:  # these drivers do not support GPUs with a fabric
        simulated["gpus"] = [{**gpu, "fabric": None} for gpu in simulated["gpus"]]
    assert found == simulated


def test_a_driver_before_mig_gives_all_values_that_it_supports(build: Build, tmp_path: Path) -> None:
    found, simulated = discover("t4x1", build(*LACKING[BEFORE_MIG]), tmp_path)
    assert found["faults"] == []
    assert [gpu["uuid"] for gpu in found["gpus"]] == [gpu["uuid"] for gpu in simulated["gpus"]]
    assert found["driver"] == simulated["driver"]
