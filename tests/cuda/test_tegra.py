"""Discovery of an SoC's GPUs through a simulated libcuda in C: the values, the effect of failures, and the choice of strategy."""

import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from gpu_core.discovery.cuda import LIBRARY
from gpu_core.host.platform import TEGRA_RELEASE
from tests.cuda.conftest import Build
from tests.cuda.discovery import ROOT, VARIABLE, discover
from tests.exhaustive import params
from tests.nvml.build import build_library

without_driver = pytest.mark.skipif(
    Path("/proc/driver/nvidia").exists(), reason="this machine has an NVIDIA driver, whose NVML would be used"
)
XAVIER = ("version 12110", "gpu 32856014848 7 2 Xavier")
GPU = {
    "index": 0,
    "uuid": "tegra-0",
    "model": "Xavier",
    "memory_bytes": 32856014848,
    "compute": {"major": 7, "minor": 2},
    "address": None,
}


@pytest.fixture
def host(tmp_path: Path) -> Path:
    """A Tegra's root without PCI."""
    for path in (TEGRA_RELEASE, "/sys/devices/soc0/family"):
        file = tmp_path / "host" / path.lstrip("/")
        file.parent.mkdir(parents=True)
        file.write_text("Tegra\n")
    return tmp_path / "host"


def write(folder: Path, *lines: str) -> Path:
    path = folder / "lines"
    path.write_text("".join(f"{line}\n" for line in lines))
    return path


def gpus(found: Any) -> list[dict[str, Any]]:
    return [{name: gpu[name] for name in GPU} for gpu in found["gpus"]]


def test_cuda_gives_every_value_and_the_minor_version_may_have_two_digits(
    build: Build, host: Path, tmp_path: Path
) -> None:
    found = discover(build(), host, write(tmp_path, *XAVIER, "gpu 1048576 8 7 Orin (x)"))
    second = {**GPU, "index": 1, "uuid": "tegra-1", "model": "Orin (x)", "memory_bytes": 1048576}
    assert gpus(found) == [GPU, {**second, "compute": {"major": 8, "minor": 7}}]
    assert found["driver"] == {"version": "unknown.unknown.unknown", "cuda": {"major": 12, "minor": 11}}
    assert (found["faults"], found["platform"], found["why_empty"]) == ([], "tegra", None)


@pytest.mark.exhaustive
@pytest.mark.parametrize(
    ("fault", "without"),
    [
        ("fault cuDeviceGetAttribute 0 801", {"compute": None}),
        ("fault cuDeviceTotalMem_v2 0 801", {"memory_bytes": None}),
        ("fault cuDriverGetVersion * 801", {}),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_an_unsupported_value_is_none(
    fault: str, without: dict[str, None], build: Build, host: Path, tmp_path: Path
) -> None:
    found = discover(build(), host, write(tmp_path, *XAVIER, fault))
    assert gpus(found) == [{**GPU, **without}]
    assert (found["driver"]["cuda"] is None) == ("Driver" in fault)


@pytest.mark.exhaustive
@pytest.mark.parametrize("call", ["cuDeviceGetName", "cuDeviceGetAttribute", "cuDeviceTotalMem_v2"])
def test_an_unreadable_gpu_is_a_fault_and_does_not_affect_others(
    call: str, build: Build, host: Path, tmp_path: Path
) -> None:
    found = discover(build(), host, write(tmp_path, *XAVIER, "gpu 1 8 7 Orin", f"fault {call} 1 999"))
    assert gpus(found) == [GPU]
    assert found["faults"] == [{"index": 1, "uuid": "tegra-1", "reason": f"{call} returned UNKNOWN"}]


@pytest.mark.parametrize(
    ("line", "call", "code"),
    params(
        [
            ("fault cuInit * 100", "cuInit", "NO_DEVICE"),
            ("fault cuDeviceGetCount * 999", "cuDeviceGetCount", "UNKNOWN"),
            ("fault cuDriverGetVersion * 712", "cuDriverGetVersion", "ERROR_712"),
        ],
        ids=["no device", "another", "without a name"],
    ),
)
def test_a_failing_cuda_is_an_error(line: str, call: str, code: str, build: Build, host: Path, tmp_path: Path) -> None:
    found = discover(build(), host, write(tmp_path, *XAVIER, line))
    assert (found["call"], found["raised"]) == (call, code)
    assert bool(found["hint"]) == (code == "NO_DEVICE")


def test_cuda_without_gpus_is_an_empty_inventory(build: Build, host: Path, tmp_path: Path) -> None:
    found = discover(build(), host, write(tmp_path, "version 12020"))
    assert (found["gpus"], found["why_empty"]) == ([], "CUDA reports no GPU")


def test_a_hanging_call_ends_at_its_deadline_and_does_not_prevent_the_end_of_the_process(
    build: Build, host: Path, tmp_path: Path
) -> None:
    found = discover(build(), host, write(tmp_path, *XAVIER, "hang cuDeviceGetName"), deadline=0.2)
    assert found["raised"] == "TIMEOUT"


@pytest.mark.exhaustive
def test_a_missing_function_makes_its_value_none(build: Build, host: Path, tmp_path: Path) -> None:
    found = discover(build("cuDeviceTotalMem_v2", "cuGetErrorName"), host, write(tmp_path, *XAVIER))
    assert gpus(found) == [{**GPU, "memory_bytes": None}]
    found = discover(build("cuDeviceGetCount", "cuGetErrorName"), host, write(tmp_path, *XAVIER))
    assert found["raised"] == "FUNCTION_NOT_FOUND"
    found = discover(build("cuGetErrorName"), host, write(tmp_path, *XAVIER, "fault cuInit * 100"))
    assert found["raised"] == "ERROR_100"


@without_driver
def test_without_a_library_a_tegra_is_an_error_and_another_machine_has_no_gpu(host: Path, tmp_path: Path) -> None:
    lines = write(tmp_path, *XAVIER)
    (tmp_path / "empty").mkdir()
    found = discover(tmp_path / "empty", host, lines)
    assert (found["raised"], found["call"]) == ("LIBRARY_NOT_FOUND", "cuInit")
    assert f"searched below {tmp_path / 'empty'}" in found["hint"]
    other = tmp_path / "other/sys/kernel"
    other.mkdir(parents=True)
    assert discover(tmp_path / "empty", tmp_path / "other", lines)["gpus"] == []


@without_driver
def test_auto_uses_cuda_only_on_a_tegra_without_nvml(build: Build, host: Path, tmp_path: Path) -> None:
    lines = write(tmp_path, *XAVIER)
    assert gpus(discover(build(), host, lines, strategy="auto")) == [GPU]
    assert discover(build(), host, lines, strategy="nvml")["raised"] == "LIBRARY_NOT_FOUND"
    other = tmp_path / "other"
    (other / "sys/kernel").mkdir(parents=True)
    assert discover(build(), other, lines, strategy="auto")["gpus"] == []


@pytest.mark.exhaustive
def test_auto_uses_nvml_on_a_tegra_with_nvml_even_if_it_fails(build: Build, host: Path, tmp_path: Path) -> None:
    library = build_library(tmp_path / "driver")
    shutil.copy(build() / "usr/lib64" / LIBRARY, library.parent)
    nvml = tmp_path / "nvml"
    for code in ("init 9\n", "init 999\n"):
        nvml.write_text(code)
        lines = write(tmp_path, *XAVIER)
        found = discover(tmp_path / "driver", host, lines, strategy="auto", nvml_lines=nvml)
        assert found["call"] == "nvmlInit_v2"


@without_driver
@pytest.mark.golden
@pytest.mark.parametrize("strategy", params(["none", "single", "mixed"]))
def test_gfd_labels_a_tegra_with_the_values_of_cuda(
    strategy: str, build: Build, host: Path, tmp_path: Path, golden: Any
) -> None:
    command = [sys.executable, "-m", "gfd", "--oneshot", "--publish", "stdout", "--no-timestamp"]
    command += ["--host-root", str(host), "--driver-root-ctr-path", str(build()), "--mig-strategy", strategy]
    command += ["--lock-dir", str(tmp_path)]
    environment = {VARIABLE: str(write(tmp_path, *XAVIER)), "PATH": ""}
    done = subprocess.run(command, check=True, capture_output=True, text=True, cwd=ROOT, env=environment, timeout=30)
    golden(f"gfd/tegra-{strategy}.txt", done.stdout)
