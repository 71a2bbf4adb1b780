"""Discovery through pynvml and a C library gives the same result as the simulation, for every scenario and MIG strategy."""

from pathlib import Path
from typing import Any

import pytest

from gpu_core.nvml.inventory import read_inventory
from node_core.domain.labels import SIMULATED
from node_core.errors import NvmlError
from simulation.nvml.library import numa_of, simulated_nvml
from simulation.scenarios.scenario import Scenario, load_scenario, parse_scenario, scenario_names
from tests.nvml.discoveries import as_json, discover_all
from tests.nvml.scenario_lines import render_lines, write_host_root

STRATEGIES = ("none", "single", "mixed")
ODD = parse_scenario(
    "odd",
    {
        "driver": {"version": "550.1"},
        "gpus": [
            {"model": "NVIDIA GB10", "count": 1, "device_id": "2e12", "class": "0300"},
            {
                "model": "NVIDIA A100-SXM4-40GB",
                "count": 2,
                "device_id": "20b0",
                "memory": "40536Mi",
                "compute": "8.0",
                "mig": {"mode": "enabled", "instances": ["1c.3g.20gb", "1g.5gb+me", "2g.10gb"]},
            },
            {"model": "NVIDIA A30 é", "count": 1, "device_id": "20b7", "memory": "24Gi", "mig": {"mode": "enabled"}},
        ],
        "nvlink": {"peers": [{"gpus": [1, 2], "links": 12}]},
        "faults": [
            {"at": 0, "kind": "lost", "gpu": 2},
            {"at": 0, "kind": "unsupported", "gpu": 1, "call": "nvmlDeviceGetMinorNumber"},
        ],
    },
    source="here",
)
"""Boards without optional values, a lost board, MIG devices with fewer compute slices than GPU slices, and MIG mode without MIG devices."""

SICK = parse_scenario(
    "sick",
    {
        "driver": {"version": "570.1"},
        "gpus": [{"model": "NVIDIA A100-SXM4-40GB", "count": 8, "device_id": "20b0", "memory": "40536Mi"}],
        "faults": [
            {"at": 0, "gpu": 0, "kind": "recovery", "action": "drain-reset"},
            {"at": 0, "gpu": 1, "kind": "memory", "state": "remap-pending"},
            {"at": 0, "gpu": 2, "kind": "memory", "state": "remap-failed"},
            {"at": 0, "gpu": 3, "kind": "memory", "state": "retirement-pending"},
            {"at": 0, "gpu": 4, "kind": "ecc", "count": 4294967295},
            {"at": 0, "gpu": 4, "kind": "ecc", "count": 4294967295},
            {"at": 0, "gpu": 5, "kind": "throttle", "brake": "thermal"},
            {"at": 0, "gpu": 5, "kind": "throttle", "brake": "power"},
            {"at": 0, "gpu": 6, "kind": "fails", "call": "nvmlDeviceGetRemappedRows", "result": "RESET_REQUIRED"},
            {"at": 0, "gpu": 7, "kind": "unsupported", "call": "nvmlDeviceGetFieldValues"},
        ],
    },
    source="here",
)
"""Each kind of health state."""

UNLINKED = parse_scenario(
    "unlinked",
    {
        "driver": {"version": "570.1"},
        "gpus": [{"model": "NVIDIA H100 80GB HBM3", "count": 6, "device_id": "2330", "memory": "81559Mi"}],
        "nvlink": {"nvswitch": True},
        "fabric": {"cluster_uuid": "4f1a6d7e-93b2-4c58-8e0d-2ba71c9f5d63", "clique": 7},
        "faults": [
            {"at": 0, "gpu": 0, "kind": "nvlink", "count": 2},
            {"at": 0, "gpu": 1, "kind": "nvlink", "count": 18},
            {"at": 0, "gpu": 2, "kind": "fabric", "state": "not-started"},
            {"at": 0, "gpu": 3, "kind": "fabric", "state": "in-progress"},
            {"at": 0, "gpu": 4, "kind": "fabric", "state": "degraded-bandwidth"},
            {"at": 0, "gpu": 4, "kind": "fabric", "state": "route-unhealthy"},
        ],
    },
    source="here",
)
"""NVLinks that are down, and each kind of fabric problem."""

SWITCHES = parse_scenario(
    "switches",
    {
        "driver": {"version": "570.1"},
        "gpus": [{"model": "NVIDIA L40S", "count": 8, "device_id": "26b9", "numa": [0, 0, 0, 0, 0, 1, 1, 1]}],
        "pcie": {"board": [[0, 1]], "switch": [[0, 1, 2]], "switches": [[0, 1, 2, 3]], "host_bridge": [[6, 7]]},
    },
    source="here",
)
"""Each level of the PCI topology."""

CUT_ANEW = parse_scenario(
    "cut anew",
    {
        "driver": {"version": "570.1"},
        "gpus": [
            {
                "model": "NVIDIA A100-SXM4-40GB",
                "count": 2,
                "device_id": "20b0",
                "memory": "40536Mi",
                "mig": {"mode": "enabled", "instances": ["7g.40gb"]},
            }
        ],
        "faults": [{"at": 0, "kind": "mig", "gpu": 1, "instances": ["2g.10gb", "1g.5gb"]}],
    },
    source="here",
)
"""A GPU whose MIG devices change."""

SWAPPED = parse_scenario(
    "swapped",
    {
        "driver": {"version": "570.1"},
        "faults": [{"at": 0, "kind": "fails", "call": "nvmlInit_v2", "result": "LIB_RM_VERSION_MISMATCH"}],
    },
    source="here",
)

SCENARIOS = {
    **{name: load_scenario(name) for name in scenario_names()},
    "odd": ODD,
    "sick": SICK,
    "unlinked": UNLINKED,
    "swapped": SWAPPED,
    "cut anew": CUT_ANEW,
    "switches": SWITCHES,
}


@pytest.fixture(scope="module")
def discovered(library: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    folder = tmp_path_factory.mktemp("looks")
    jobs: dict[str, dict[str, Any]] = {}
    for name, scenario in SCENARIOS.items():
        lines = folder / f"{name}.lines"
        lines.write_text(render_lines(scenario))
        root = str(write_host_root(folder / name, scenario))
        jobs[name] = {"lines": str(lines), "library": str(library), "host_root": root}
        if name not in scenario_names():
            continue
        for strategy in STRATEGIES:
            arguments = ["--oneshot", "--publish", "stdout", "--no-timestamp", "--mig-strategy", strategy]
            arguments += ["--host-root", root, "--driver-root-ctr-path", str(library.parents[2])]
            jobs[f"{name} {strategy}"] = {"lines": str(lines), "gfd": arguments}
            jobs[f"{name} {strategy} simulated"] = {"gfd": [*arguments, "--simulate", name]}
    return dict(zip(jobs, discover_all(list(jobs.values())), strict=True))


def simulated(scenario: Scenario) -> Any:
    try:
        return as_json(read_inventory(simulated_nvml(scenario, lambda: 0.0), numa_of(scenario), wsl=scenario.wsl))
    except NvmlError as error:
        return error.code


@pytest.mark.parametrize("name", SCENARIOS)
def test_the_library_and_the_simulation_give_the_same_inventory(name: str, discovered: dict[str, Any]) -> None:
    found = discovered[name]
    assert found.get("raised", found) == simulated(SCENARIOS[name])


@pytest.mark.parametrize("strategy", STRATEGIES)
@pytest.mark.parametrize("name", scenario_names())
def test_the_library_and_the_simulation_give_the_same_labels(
    name: str, strategy: str, discovered: dict[str, Any]
) -> None:
    found = discovered[f"{name} {strategy}"]
    assert found["status"] == 0
    simulated = discovered[f"{name} {strategy} simulated"]
    assert found == {**simulated, "labels": [line for line in simulated["labels"] if line != f"{SIMULATED}=true"]}
    assert any("nvidia.com/gpu.product=" in line for line in found["labels"]) == bool(SCENARIOS[name].gpus)
