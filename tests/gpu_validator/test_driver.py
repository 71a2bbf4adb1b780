"""The check of the driver."""

import pytest

from gpu_core.domain.inventory import Fault, GpuUuid, Inventory
from gpu_core.nvml.driver_version import DriverVersions
from gpu_validator.check import Verdict
from gpu_validator.driver import check_driver
from node_core.values import replace
from tests.gpu_validator.nodes import driver, gpu, inventory


def test_a_driver_that_lists_every_gpu_passes() -> None:
    assert check_driver(driver(inventory(), "0000:00:00.0", "0000:01:00.0")).verdict is Verdict.PASSED


def test_the_sentence_states_the_version_and_whether_the_gpus_are_simulated() -> None:
    assert check_driver(driver(inventory(gpu(0)))).sentence == "driver 550.54.15 lists 1 GPU"
    assert "2 simulated GPUs" in check_driver(driver(inventory(simulated=True))).sentence


def test_a_gpu_that_only_the_pci_bus_has_is_named() -> None:
    check = check_driver(driver(inventory(), "0000:99:00.0"))
    assert check.sentence == "the driver has the GPU at 0000:99:00.0, but NVML does not list the GPU"


def test_a_gpu_that_cannot_be_read_fails() -> None:
    fault = Fault(index=1, uuid=GpuUuid("GPU-9"), reason="nvmlDeviceGetUUID returned GPU_IS_LOST")
    check = check_driver(driver(inventory(gpu(0), faults=(fault,))))
    assert check.sentence.startswith("1 of 2 GPUs cannot be read. GPU 1 (GPU-9): nvmlDeviceGetUUID")


def test_a_library_of_another_version_fails() -> None:
    found = replace(driver(inventory()), versions=DriverVersions(module="550.1", library="560.2"))
    check = check_driver(found)
    assert (check.verdict, "550.1" in check.sentence, "reboot" in str(check.remedy)) == (Verdict.FAILED, True, True)


@pytest.mark.parametrize(
    ("code", "module", "sentence"),
    [
        ("DRIVER_NOT_LOADED", False, "the node has an NVIDIA GPU, but no driver is loaded"),
        ("TIMEOUT", True, "the driver does not respond"),
        ("RELEASED", True, "a release request keeps NVML closed"),
        ("LIBRARY_NOT_FOUND", True, "the driver's kernel module is loaded, but libnvidia-ml is missing"),
    ],
)
def test_a_failed_discovery_has_the_reason_of_gpu_ready(code: str, module: bool, sentence: str) -> None:
    found = driver(None, module=module, code=code, error=code)
    check = check_driver(found)
    assert found.has_gpus
    assert (check.verdict, check.sentence.partition(" (")[0]) == (Verdict.FAILED, sentence)
    assert check.remedy


def test_a_driver_without_gpus_on_a_node_with_gpus_fails() -> None:
    found = driver(Inventory(driver=None))
    assert (found.has_gpus, check_driver(found).verdict) == (True, Verdict.FAILED)


def test_a_node_without_gpus_is_recognized_with_and_without_a_driver() -> None:
    assert not driver(Inventory(driver=None), has_gpus=False).has_gpus
    assert not driver(None, has_gpus=False, module=False, code="DRIVER_NOT_LOADED").has_gpus
