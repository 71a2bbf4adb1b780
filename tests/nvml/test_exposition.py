"""gpu-exporter exports the same through pynvml and a C library as on the simulation, for every scenario."""

from pathlib import Path

import pytest

from simulation.nvml.library import simulated_nvml
from tests.conftest import Golden
from tests.nvml.discoveries import discover_all
from tests.nvml.exposing import NOW, expose_node
from tests.nvml.scenario_lines import render_lines
from tests.nvml.test_usage import SCENARIOS, busy, failures

FAILING = {name: busy(fault) for name, fault in failures().items()}
ALL = {**SCENARIOS, **FAILING}


@pytest.fixture(scope="module")
def exposed(library: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    folder = tmp_path_factory.mktemp("exposed")
    jobs = {}
    for name, scenario in ALL.items():
        lines = folder / f"{name}.lines"
        lines.write_text(render_lines(scenario, now=NOW))
        jobs[name] = {"exposition": True, "lines": str(lines), "library": str(library)}
    return dict(zip(jobs, discover_all(list(jobs.values())), strict=True))


@pytest.mark.parametrize("name", ALL)
def test_the_library_and_the_simulation_give_the_same_exposition(name: str, exposed: dict[str, str]) -> None:
    assert exposed[name] == expose_node(simulated_nvml(ALL[name], lambda: NOW))


@pytest.mark.golden
@pytest.mark.parametrize("name", ["busy", "sick"])
def test_the_exposition_of_gpus_in_use(name: str, exposed: dict[str, str], golden: Golden) -> None:
    golden(f"gpu_exporter/{name}.txt", exposed[name])
