"""Changes of MIG layouts through pynvml and a C library give the same results as in the simulation."""

import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gpu_core.nvml.mig_api import MIG_FUNCTIONS
from gpu_core.nvml.mig_reader import read_mig_gpus
from simulation.node import SimulatedNode
from simulation.nvml.library import simulated_nvml
from simulation.scenarios.mig_placements import possible_placements
from simulation.scenarios.mig_profiles import BOARDS
from simulation.scenarios.scenario import Scenario, parse_scenario
from tests.exhaustive import params
from tests.nvml.discoveries import ROOT
from tests.nvml.layouts import MODULE, Step, run_steps
from tests.nvml.scenario_lines import render_lines

ON, OFF = {"mode": "enabled"}, {"mode": "disabled"}
STATE = "GPUNODE_NVML_STATE"


def gpu(model: str, mig: dict[str, Any], **more: Any) -> dict[str, Any]:
    major = 8 if " A" in model else 9
    memory = {"memory": f"{BOARDS[model].memory_mib}Mi"} if BOARDS[model].memory_mib else {}
    return {"model": model, "count": 1, "compute": f"{major}.0", "device_id": "2330", "mig": mig, **memory, **more}


def scenario(*gpus: dict[str, Any], version: str = "570.1", faults: Sequence[dict[str, Any]] = ()) -> Scenario:
    return parse_scenario("mig", {"driver": {"version": version}, "gpus": gpus, "faults": faults}, source="test")


A100, H100, THOR = "NVIDIA A100-SXM4-40GB", "NVIDIA H100 80GB HBM3", "NVIDIA Thor"
DIVIDED = {**ON, "instances": ["3g.40gb", "1c.2g.20gb", "1g.10gb"]}
BUSY = {"processes": [{"pid": 7, "memory": "1Gi", "mig": 1}]}
NODES = {
    "empty": scenario(gpu(A100, ON), gpu(H100, OFF)),
    "divided": scenario(gpu(H100, DIVIDED), gpu(A100, OFF)),
    "busy": scenario(gpu(H100, DIVIDED, use=BUSY), gpu(H100, OFF, use={"processes": [{"pid": 8, "memory": "1Gi"}]})),
    "old driver": scenario(gpu(A100, OFF), gpu(H100, ON), version="535.1"),
    "four slices": scenario(gpu("NVIDIA A30", ON), gpu("NVIDIA RTX PRO 6000 Blackwell Server Edition", ON)),
    "integrated": scenario(gpu(THOR, ON), gpu(THOR, OFF)),
}


class Child:
    """A process that changes layouts through pynvml and the C library; see `layouts`. variables: of its environment."""

    def __init__(self, library: Path, folder: Path, variables: Mapping[str, str]) -> None:
        self._lines = folder / "lines"
        self.process = subprocess.Popen(
            [sys.executable, "-W", "error", "-m", MODULE, str(library)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            cwd=ROOT,
            env={**os.environ, **variables},
        )

    def work(self, node: Scenario, steps: Sequence[Step] = (), **more: Any) -> Any:
        """The results of the steps; None if the process ends."""
        self._lines.write_text(render_lines(node))
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        self.process.stdin.write(json.dumps({"lines": str(self._lines), "steps": steps, **more}) + "\n")
        self.process.stdin.flush()
        line = self.process.stdout.readline()
        return json.loads(line) if line else None


Start = Callable[..., Child]


@pytest.fixture(scope="module")
def start(library: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Start]:
    started: list[Child] = []

    def start_child(**variables: str) -> Child:
        started.append(Child(library, tmp_path_factory.mktemp("child"), variables))
        return started[-1]

    yield start_child
    for each in started:
        each.process.communicate(timeout=50)


@pytest.fixture(scope="module")
def child(start: Start) -> Child:
    """A process with its own layouts, which does the jobs of many tests."""
    return start()


def simulate(node: Scenario, steps: Sequence[Step]) -> Any:
    with simulated_nvml(node, lambda: 0.0)() as nvml:
        return run_steps(nvml, steps)


ONE_LAYOUT: tuple[Step, ...] = (
    ("mode", 1, True),
    ("create", 1, 2, 4, 4),
    ("divide", 1, 0, 0),
    ("divide", 1, 0, 1),
    ("create", 1, 2, 4, 4),
    ("create", 1, 99, 0, 1),
    ("destroy", 1, 0),
    ("undivide", 1, 0),
    ("undivide", 1, 0),
    ("destroy", 1, 0),
    ("mode", 1, False),
)


@pytest.mark.parametrize("name", NODES)
def test_a_layout_is_made_and_removed_as_in_the_simulation(name: str, child: Child) -> None:
    found = child.work(NODES[name], ONE_LAYOUT)
    assert found == simulate(NODES[name], ONE_LAYOUT)


BOARD_KINDS = (A100, H100, "NVIDIA A30", "NVIDIA RTX PRO 6000 Blackwell Server Edition", THOR)


@pytest.mark.parametrize("model", params(BOARD_KINDS, fast=BOARD_KINDS[2:4]))
def test_each_profile_fits_as_often_as_in_the_simulation(model: str, child: Child) -> None:
    node, board = scenario(gpu(model, ON)), BOARDS[model]
    steps: list[Step] = []
    for profile in board.profiles.values():
        placements = possible_placements(board, profile)
        steps += [("create", 0, profile.number, each.start, each.size) for each in placements]
        steps += [("create", 0, other.number, 0, other.memory_slices) for other in board.profiles.values()]
        steps += [("destroy", 0, 0)] * len(placements)
    found = child.work(node, steps)
    assert found == simulate(node, steps)
    assert layouts(found) == (True, True, 0)


def test_a_change_is_one_event(child: Child) -> None:
    node = scenario(gpu(H100, OFF), gpu(H100, DIVIDED))
    steps = [("event", 0, "mode", True), ("event", 0, "create", 2, 0, 4), ("event", 1, "undivide", 0)]
    found = child.work(node, steps)
    assert [result for result, _ in found[1:]] == [[[0x100, True], None]] * 3
    assert found == simulate(node, steps)


def steps() -> st.SearchStrategy[list[Step]]:
    gpus, places = st.integers(0, 1), st.integers(0, 15)
    slices, sizes = st.integers(0, 7), st.sampled_from((1, 2, 4, 8))
    step = st.one_of(
        st.tuples(st.just("mode"), gpus, st.booleans()),
        st.tuples(st.just("create"), gpus, st.integers(0, 18), slices, sizes),
        st.tuples(st.just("divide"), gpus, places, st.integers(0, 9)),
        st.tuples(st.just("undivide"), gpus, places),
        st.tuples(st.just("destroy"), gpus, places),
    )
    return st.lists(step, max_size=12)


@given(st.sampled_from(list(NODES)), steps())
def test_any_steps_have_the_results_of_the_simulation(child: Child, name: str, steps: list[Step]) -> None:
    assert child.work(NODES[name], steps) == simulate(NODES[name], steps)


CALLS = sorted({*MIG_FUNCTIONS.values(), "nvmlDeviceGetMigDeviceHandleByIndex", "nvmlDeviceGetGpuInstanceId"})
CODES = ("NO_PERMISSION", "INSUFFICIENT_RESOURCES", "IN_USE", "GPU_IS_LOST", "NOT_SUPPORTED")


@pytest.mark.parametrize("call", CALLS)
def test_a_failing_call_has_the_same_effect_as_in_the_simulation(call: str, child: Child) -> None:
    for code in CODES:
        fault = {"at": 0, "kind": "fails", "gpu": 1, "call": call, "result": code}
        node = scenario(gpu(H100, DIVIDED), gpu(H100, DIVIDED), faults=[fault])
        steps = (("divide", 1, 0, 0), ("undivide", 1, 0), ("create", 1, 0, 3, 1), ("destroy", 1, 0), ("mode", 1, False))
        assert without_hints(child.work(node, steps)) == without_hints(simulate(node, steps)), code


def without_hints(results: Any) -> Any:
    """The results, the layouts, and the faults of GPUs. A discovery makes other calls in the simulation, so MIG devices are omitted."""
    return [
        (result, gpus, [(fault["index"], fault["reason"].partition(" (")[0]) for fault in faults])
        for result, ((gpus, faults), _devices) in results
    ]


def layouts(results: Any) -> tuple[bool, bool, int]:
    """The current and the pending mode of the first GPU, and the number of its MIG devices, after the last step."""
    found = results[-1][1][0][0][0]
    return found["is_enabled"], found["is_pending"], sum(len(each["compute"]) for each in found["instances"])


def test_a_reset_makes_the_pending_mode_current_as_in_the_simulation(start: Start, tmp_path: Path) -> None:
    node, steps = scenario(gpu(A100, OFF), gpu(A100, OFF)), [("create", 0, 2, 0, 4), ("divide", 0, 0, 2)]
    child = start(**{STATE: str(tmp_path / "state")})
    assert layouts(child.work(node, [("mode", 0, True)])) == (False, True, 0)
    found = child.work(node, steps, reset=0)
    assert layouts(found) == (True, True, 1)
    assert layouts(child.work(node, reset=0)) == (True, True, 0)
    simulated = SimulatedNode(node)
    with simulated.open_nvml() as nvml:
        run_steps(nvml, [("mode", 0, True)])
        gpus, _faults = read_mig_gpus(nvml)
    simulated.reset_gpus(gpus[:1])
    with simulated.open_nvml() as nvml:
        assert found == run_steps(nvml, steps)


def test_a_layout_survives_a_killed_process_and_is_shared(start: Start, tmp_path: Path) -> None:
    node, state = NODES["divided"], {STATE: str(tmp_path / "state")}
    steps = [("undivide", 0, 0), ("create", 0, 0, 3, 1), ("divide", 0, 1, 0)]
    other, killed = start(**state), start(**state)
    assert layouts(other.work(node)) == (True, True, 3)
    assert killed.work(node, steps, kill=True) is None
    assert killed.process.wait(50) == -signal.SIGKILL
    expected = simulate(node, steps)[-1][1]
    assert other.work(node)[-1][1] == expected
    assert start(**state).work(node)[-1][1] == expected
    assert layouts(start().work(node)) == (True, True, 3)
