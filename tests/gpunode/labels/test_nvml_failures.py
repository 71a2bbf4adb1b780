"""The NVML calls that fail, by function, code and GPU."""

from pathlib import Path

from gpu_core.assembly import Dependencies
from gpunode.labels.nvml_failures import Failures, describe_failures, read_failures
from node_core.runtime.settings import CommonSettings

SCENARIO = """
driver: {version: "580.95", cuda: "13.0"}
gpus:
  - {model: NVIDIA GB10, count: 3, device_id: "2e12", compute: "12.1", memory: 1024Mi}
faults:
  - {at: 0, kind: unsupported, gpu: 0, call: nvmlDeviceGetMemoryInfo}
  - {at: 0, kind: unsupported, gpu: 2, call: nvmlDeviceGetMemoryInfo}
  - {at: 0, kind: fails, gpu: 1, call: nvmlDeviceGetMinorNumber, result: UNKNOWN}
  - {at: 0, kind: unsupported, call: nvmlSystemGetCudaDriverVersion}
"""


def dependencies(tmp_path: Path, text: str) -> Dependencies:
    (tmp_path / "scenario.yaml").write_text(text)
    common = CommonSettings(simulate=str(tmp_path / "scenario.yaml"), lock_dir=tmp_path, host_root=tmp_path)
    return Dependencies(common, "test")


def test_each_failed_call_names_its_gpus(tmp_path: Path) -> None:
    failures = read_failures(dependencies(tmp_path, SCENARIO))
    assert failures["nvmlDeviceGetMemoryInfo"] == {"NOT_SUPPORTED": (0, 2)}
    assert failures["nvmlDeviceGetMinorNumber"] == {"UNKNOWN": (1,)}
    assert failures["nvmlSystemGetCudaDriverVersion"] == {"NOT_SUPPORTED": ()}
    assert "nvmlDeviceGetName" not in failures


def test_nvml_that_cannot_be_opened_has_no_calls(tmp_path: Path) -> None:
    assert read_failures(dependencies(tmp_path, f"{SCENARIO}  - {{at: 0, kind: driver_gone}}\n")) == {}


def test_only_calls_that_the_source_names_are_described() -> None:
    failures: Failures = {"nvmlA": {"NOT_SUPPORTED": (0, 1), "UNKNOWN": (2,)}, "nvmlB": {"UNKNOWN": ()}}
    assert describe_failures(failures, "nvmlA, nvmlC") == [
        "nvmlA returned NOT_SUPPORTED for GPUs 0, 1",
        "nvmlA returned UNKNOWN for GPU 2",
    ]
    assert describe_failures(failures, "nvmlB") == ["nvmlB returned UNKNOWN"]
