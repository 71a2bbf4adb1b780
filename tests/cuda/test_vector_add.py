"""The kernel of gpu-validator, by the real calls of ctypes into a library with CUDA's binary interface."""

import os
import shutil
from pathlib import Path

import pytest

from gpu_core.discovery.cuda import LIBRARY
from gpu_validator.cuda import KernelRunner, is_failure
from tests.cuda.conftest import Build
from tests.cuda.discovery import VARIABLE
from tests.nvml.build import IN_CI

GPU = "gpu 16777216 9 0 NVIDIA H100"
UUID = "GPU-1"


def add(
    root: Path,
    lines: tuple[str, ...],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    runner: KernelRunner | None = None,
) -> str:
    scenario = tmp_path / "lines"
    scenario.write_text("".join(f"{line}\n" for line in lines))
    monkeypatch.setenv(VARIABLE, str(scenario))
    return (runner or KernelRunner()).run(UUID, str(root / "usr/lib64" / LIBRARY), None)


@pytest.mark.parametrize(
    ("lines", "line"),
    [
        ((GPU,), "passed"),
        ((GPU, "wrong 3"), "failed: the vector addition returned 3 wrong sums of 4096"),
        ((GPU, "fault cuMemAlloc_v2 * 2"), "failed: cuMemAlloc_v2 returned OUT_OF_MEMORY"),
        ((GPU, "fault cuInit * 712"), "failed: cuInit returned ERROR_712"),
        ((GPU, "crash cuLaunchKernel"), "failed: the driver ended the program by signal 11"),
        ((), "failed: cuDeviceGet returned INVALID_DEVICE"),
        ((GPU, "fault cuInit * 802"), "failed: cuInit returned SYSTEM_NOT_READY"),
        ((GPU, "fault cuDevicePrimaryCtxRetain * 46"), "not run: cuDevicePrimaryCtxRetain returned DEVICE_UNAVAILABLE"),
        ((GPU, "mode 3"), "not run: its compute mode is exclusive"),
        ((GPU, "mode 2"), "not run: its compute mode is prohibited"),
    ],
    ids=[
        "passes",
        "wrong sums",
        "no memory",
        "unknown error",
        "crash",
        "no device",
        "no fabric",
        "in use",
        "exclusive",
        "prohibited",
    ],
)
def test_the_line_of_a_kernel(
    lines: tuple[str, ...], line: str, build: Build, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    result = add(build(), lines, tmp_path, monkeypatch)
    assert result == line
    assert is_failure(result) == line.startswith("failed")


def test_a_hanging_kernel_is_killed(build: Build, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    runner = KernelRunner(seconds=0.5)
    assert add(build(), (GPU, "hang cuCtxSynchronize"), tmp_path, monkeypatch, runner).endswith("not ended after 0 s")
    assert add(build(), (GPU,), tmp_path, monkeypatch) == "passed"


def test_an_older_driver_without_a_function_is_a_failure(
    build: Build, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    result = add(build("cuLaunchKernel"), (GPU,), tmp_path, monkeypatch)
    assert result.startswith("failed: ")
    assert "cuLaunchKernel" in result


def test_a_library_that_is_no_library_is_a_failure(tmp_path: Path) -> None:
    (tmp_path / LIBRARY).write_text("text")
    assert "cannot be used" in KernelRunner().run(UUID, str(tmp_path / LIBRARY), None)


@pytest.mark.skipif(os.geteuid() != 0 and not IN_CI, reason="changing the root needs root")
def test_the_library_and_its_files_can_be_those_of_another_root(
    build: Build, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    root = tmp_path / "driver"
    shutil.copytree(build(), root)
    (root / "lines").write_text(f"{GPU}\n")
    monkeypatch.setenv(VARIABLE, "/lines")
    assert KernelRunner().run(UUID, f"/usr/lib64/{LIBRARY}", str(root)) == "passed"
