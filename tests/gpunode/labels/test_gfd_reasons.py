"""Why gfd does not publish a label: settings, no GPU, values that NVML does not report, failures."""

from pathlib import Path

import pytest

from tests.gpunode.labels.answers import CONDITION, RETAINED, ask, evidence, whys
from tests.gpunode.labels.conftest import Show

MIXED, SINGLE = ("--mig-strategy", "mixed"), ("--mig-strategy", "single")
SILENT = "NVML does not report the value"
H100 = "GPUs: 8 x NVIDIA H100 80GB HBM3; 0 of 8 in MIG mode"
GB10 = """
driver: {version: "580.95", cuda: "13.0"}
gpus:
  - {model: NVIDIA GB10, count: 2, device_id: "2e12", compute: "12.1", memory: 1024Mi}
faults:
"""


@pytest.mark.parametrize(
    ("key", "flags", "scenario", "why", "observed"),
    [
        (
            "mig.strategy",
            (),
            "a100x4-mig-single",
            "--mig-strategy is none",
            "with --mig-strategy single the value would be single",
        ),
        (
            "mig-1g.5gb.count",
            (),
            "a100x4-mig-single",
            "--mig-strategy is none",
            "with --mig-strategy mixed the value would be 28",
        ),
        (
            "gpu.slices.gi",
            MIXED,
            "a100x4-mig-single",
            "--mig-strategy is mixed",
            "with --mig-strategy single the value would be 1",
        ),
        ("mig-1g.5gb.count", MIXED, "h100x8", f"{CONDITION} with strategy mixed, for each profile", H100),
        ("gpu.slices.gi", SINGLE, "t4x1", SILENT, "nvmlDeviceGetMigMode returned NOT_SUPPORTED for GPU 0"),
        ("gfd.timestamp", ("--no-timestamp", "true"), "t4x1", "--no-timestamp is set", None),
        (
            "gpu.count",
            (),
            "none",
            "this host has no GPU",
            "the node has no NVIDIA driver and no NVIDIA GPU on the PCI bus",
        ),
        ("vgpu.host-driver-version", (), "none", f"{CONDITION} with a vGPU that reports it", None),
        ("gpu.memory", (), "gb10", SILENT, "nvmlDeviceGetMemoryInfo returned NOT_SUPPORTED for GPU 0"),
        (
            "gpu.clique",
            (),
            "t4x1",
            f"{CONDITION} with GPUs attached to one clique",
            "GPUs: 1 x Tesla T4; 0 of 1 in MIG mode",
        ),
    ],
)
def test_a_label_of_gfd_is_missing(
    key: str, flags: tuple[str, ...], scenario: str, why: str, observed: str | None, show: Show
) -> None:
    answer = ask(show, key, *flags, simulate=scenario)
    assert whys(answer) == [f"gfd: {why}"]
    assert observed is None or observed in evidence(answer)


def test_nvml_does_not_support_a_call_on_one_gpu(show: Show, tmp_path: Path) -> None:
    path = tmp_path / "gb10.yaml"
    path.write_text(f"{GB10}  - {{at: 0, kind: unsupported, call: nvmlSystemGetCudaDriverVersion}}\n")
    answer = ask(show, "cuda.runtime.major", simulate=str(path))
    assert evidence(answer)[0] == "nvmlSystemGetCudaDriverVersion returned NOT_SUPPORTED"


@pytest.mark.parametrize(
    ("fault", "observed"),
    [
        ("{at: 0, gpu: 1, kind: lost}", "GPU 1: nvmlDeviceGetHandleByIndex returned GPU_IS_LOST"),
        ("{at: 0, kind: driver_gone}", "nvmlInit_v2 returned DRIVER_NOT_LOADED"),
    ],
    ids=["lost", "driver gone"],
)
def test_a_gpu_that_cannot_be_read(fault: str, observed: str, show: Show, tmp_path: Path) -> None:
    path = tmp_path / "broken.yaml"
    path.write_text(f"{GB10}  - {fault}\n")
    result = show("gpu.clique", simulate=str(path))
    assert result.exit_code == 1
    assert f"why     gfd: {RETAINED}" in result.stdout
    assert observed in result.stdout
