"""The watch of a GPU's errors: its two sources start and stop together."""

from pathlib import Path

import pytest

from gpu_core.health import watch
from gpu_core.health.watch import GpuWatch
from gpu_core.health.xid_queue import XidQueue
from gpu_core.release import NvmlReleaseController
from simulation.nvml.library import simulated_nvml
from simulation.scenarios.scenario import load_scenario


class Log:
    """A kernel log. calls: the names of the called methods, in order."""

    calls: list[str]

    def __init__(self, *_: object) -> None:
        Log.calls = []

    def start(self) -> None:
        Log.calls.append("start")

    def stop(self) -> None:
        Log.calls.append("stop")

    def liveness_problem(self) -> str | None:
        return "the thread kernel-log has ended" if Log.calls[-1:] == ["start"] else None


def make(folder: Path, *, kernel_log: bool) -> GpuWatch:
    return GpuWatch(
        simulated_nvml(load_scenario("none"), lambda: 0.0),
        XidQueue(lambda: None),
        lambda _: None,
        lambda: None,
        kernel_log=kernel_log,
        nvml_release=NvmlReleaseController(folder, "gpu-device-plugin"),
    )


def test_the_kernel_log_starts_and_stops_with_the_watch(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(watch, "KernelLog", Log)
    made = make(tmp_path, kernel_log=True)
    assert made.liveness_problem() is None
    made.start()
    assert made.liveness_problem() == "the thread kernel-log has ended"
    made.stop()
    assert made.liveness_problem() is None
    assert Log.calls == ["start", "stop"]


def test_simulated_gpus_have_no_kernel_log(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.delattr(watch, "KernelLog")
    made = make(tmp_path, kernel_log=False)
    made.start()
    assert made.liveness_problem() is None
    made.stop()
