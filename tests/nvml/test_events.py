"""NVML events through pynvml and a C library whose wait blocks as in the real one, compared with the simulation."""

import os
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from gpu_core.domain.evidence import XidEvent
from gpu_core.nvml.events import EventWatch
from simulation.nvml.library import simulated_nvml
from simulation.scenarios.scenario import Scenario, parse_scenario
from tests.exhaustive import params
from tests.nvml.conftest import Build
from tests.nvml.discoveries import ROOT
from tests.nvml.scenario_lines import VARIABLE, render_lines

BOARD = {"model": "NVIDIA A100-SXM4-40GB", "memory": "40536Mi", "compute": "8.0", "device_id": "20b0"}
MIG = {"mode": "enabled", "instances": ["3g.20gb", "1g.5gb"]}


def scenario(*faults: dict[str, object]) -> Scenario:
    """Two GPUs without MIG and one with MIG devices."""
    gpus = [{**BOARD, "count": 2}, {**BOARD, "count": 1, "mig": MIG}]
    document = {"driver": {"version": "570.1"}, "gpus": gpus, "faults": list(faults)}
    return parse_scenario("three", document, source="test")


RAW = """
import ctypes, sys, pynvml
ctypes.CDLL(sys.argv[1], mode=ctypes.RTLD_GLOBAL)
pynvml.nvmlInit()
events = pynvml.nvmlEventSetCreate()
for index in (0, 2):
    device = pynvml.nvmlDeviceGetHandleByIndex(index)
    pynvml.nvmlDeviceRegisterEvents(device, pynvml.nvmlEventTypeXidCriticalError, events)
for wait in (10_000, 10_000, 10_000, 10_000, 1):
    try:
        event = pynvml.nvmlEventSetWait_v2(events, wait)
        print(pynvml.nvmlDeviceGetUUID(event.device), event.eventType, event.eventData)
    except pynvml.NVMLError as error:
        print(error)
pynvml.nvmlEventSetFree(events)
"""

UUIDS = [gpu.uuid for gpu in scenario().gpus]


def run(lines: Path, *arguments: str) -> str:
    """Runs a process and returns its output. Fails after a timeout."""
    command, environment = [sys.executable, "-W", "error", *arguments], {**os.environ, VARIABLE: str(lines)}
    done = subprocess.run(command, check=True, capture_output=True, text=True, cwd=ROOT, env=environment, timeout=50)
    assert done.stderr.count("nvml_events_failed") <= 1
    return done.stdout


def listen(
    library: Path,
    folder: Path,
    node: Scenario,
    enough: int | str,
    *,
    more: tuple[str, ...] = (),
    delay: float = 0.0,
    patience: float = 30.0,
) -> list[str]:
    """The output of the watching process. patience: less for a session that never closes."""
    lines = folder / "lines"
    lines.write_text(render_lines(node, more=more))
    return run(lines, "-m", "tests.nvml.watching", str(library), str(enough), str(delay), str(patience)).splitlines()


def simulate(node: Scenario, enough: int) -> list[str]:
    """The same output from the simulation, whose clock advances with each wait."""
    reported: list[str] = []
    done, now = threading.Event(), [0.0]

    def on_xid(event: XidEvent) -> None:
        reported.append(f"xid {event.gpu} {event.xid} {event.gpu_instance} {event.compute_instance} {event.count}")
        if len(reported) == enough:
            done.set()

    def wait(seconds: float) -> None:
        now[0] += seconds

    opened = simulated_nvml(node, lambda: now[0], wait)
    watch = EventWatch(opened, on_xid, lambda _: None, lambda _: None, clock=lambda: now[0])
    watch.start()
    assert done.wait(60)
    watch.stop()
    return reported


def test_the_library_returns_events_of_registered_gpus_in_order(library: Path, tmp_path: Path) -> None:
    lines = tmp_path / "lines"
    events = (
        "event 1 0 8 99 -1 -1 1 1",
        "event 0 0.02 2 0 -1 -1 1 1",
        "event 0 0 8 13 -1 -1 3 20",
        "event 2 0.07 8 79 -1 -1 1 1",
        "event 0 900 8 48 -1 -1 1 1",
    )
    lines.write_text(render_lines(scenario(), more=events))
    first, last = UUIDS[0], UUIDS[2]
    assert run(lines, "-c", RAW, str(library)).splitlines() == [
        f"{first} 8 13",
        f"{first} 8 13",
        f"{last} 8 79",
        f"{first} 8 13",
        "Timeout",
    ]


def test_the_library_and_the_simulation_report_the_same_xids(library: Path, tmp_path: Path) -> None:
    node = scenario(
        {"at": 0.3, "kind": "xid", "gpu": 1, "code": 79},
        {"at": 0.2, "kind": "xid", "gpu": 2, "code": 94, "mig": 1},
        {"at": 0.25, "kind": "xid", "gpu": 2, "code": 94, "mig": 0},
        {"at": 0.35, "kind": "xid", "gpu": 0, "code": 4294967295},
    )
    found = listen(library, tmp_path, node, 4)
    assert found == [*simulate(node, 4), "released True"]
    first, second = (mig.gpu_instance for mig in node.gpus[2].mig_devices)
    assert found == [
        f"xid {UUIDS[2]} 94 {second} 0 1",
        f"xid {UUIDS[2]} 94 {first} 0 1",
        f"xid {UUIDS[1]} 79 None None 1",
        f"xid {UUIDS[0]} 4294967295 None None 1",
        "released True",
    ]


@pytest.mark.exhaustive
def test_repeated_xids_are_coalesced_and_counted(library: Path, tmp_path: Path) -> None:
    node = scenario({"at": 0.1, "kind": "xid", "gpu": 0, "code": 13, "times": 10_000, "per_second": 10_000})
    found = listen(library, tmp_path, node, 10_000)
    assert len(found) < 100
    assert sum(int(line.split()[-1]) for line in found[:-1]) == 10_000


@pytest.mark.parametrize(
    ("kind", "description"),
    params(
        [
            (0x1, "ECC errors were corrected"),
            (0x2, "an uncorrectable ECC error occurred"),
            (0x100, "the MIG configuration changed"),
        ],
        ids=["corrected", "uncorrectable", "mig"],
    ),
)
def test_other_events_are_reported_as_changes(kind: int, description: str, library: Path, tmp_path: Path) -> None:
    found = listen(library, tmp_path, scenario(), -1, more=(f"event 2 0.05 {kind} 0 -1 -1 1 1",))
    assert found == [f"changed {UUIDS[2]}: {description}", "released True"]


def test_a_mig_change_in_the_scenario_is_reported(library: Path, tmp_path: Path) -> None:
    node = scenario({"at": 0.05, "kind": "mig", "gpu": 2, "instances": ["7g.40gb"]})
    found = listen(library, tmp_path, node, -1)
    assert found == [f"changed {UUIDS[2]}: the MIG configuration changed", "released True"]


def test_a_permanent_failure_is_reported_once_and_retried(library: Path, tmp_path: Path) -> None:
    node = scenario({"at": 0, "kind": "fails", "call": "nvmlEventSetWait_v2", "result": "UNKNOWN"})
    assert listen(library, tmp_path, node, 0, delay=0.3) == ["failed UNKNOWN", "released True"]


@pytest.mark.exhaustive
@pytest.mark.parametrize("call", params(["nvmlEventSetWait_v2", "nvmlDeviceGetUUID", "nvmlInit_v2"]))
def test_a_hanging_call_does_not_prevent_the_end_of_the_process(call: str, library: Path, tmp_path: Path) -> None:
    assert listen(library, tmp_path, scenario(), "stuck", more=(f"hang {call} *",), patience=0.5) == ["released False"]


@pytest.mark.exhaustive
def test_a_hanging_end_of_a_session_does_not_prevent_the_end_of_the_process(library: Path, tmp_path: Path) -> None:
    more = ("hang nvmlEventSetFree *", "event 0 0.05 8 79 -1 -1 1 1")
    found = listen(library, tmp_path, scenario(), 1, more=more, patience=0.5)
    assert found == [f"xid {UUIDS[0]} 79 None None 1", "released False"]


@pytest.mark.parametrize("call", params(["nvmlDeviceRegisterEvents", "nvmlDeviceGetSupportedEventTypes"]))
@pytest.mark.parametrize("code", params([3, 15, 999]))
def test_a_gpu_that_cannot_be_registered_does_not_affect_others(
    call: str, code: int, library: Path, tmp_path: Path
) -> None:
    more = (f"fault {call} 1 {code}", "event 1 0.05 8 79 -1 -1 1 1", "event 0 0.06 8 31 -1 -1 1 1")
    found = listen(library, tmp_path, scenario(), 1, more=more)
    assert found == [f"xid {UUIDS[0]} 31 None None 1", "released True"]


@pytest.mark.parametrize("call", params(["nvmlEventSetWait_v2", "nvmlEventSetCreate"]))
def test_a_library_without_events_is_reported_as_a_failure(call: str, build: Build, tmp_path: Path) -> None:
    assert listen(build(call), tmp_path, scenario(), 0) == ["failed FUNCTION_NOT_FOUND", "released True"]
