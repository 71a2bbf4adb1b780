"""Calling functions of pynvml, and the translation of errors."""

from types import SimpleNamespace

import pynvml
import pytest

from gpu_core.nvml.real import PynvmlCalls
from node_core.errors import NvmlError
from tests.gpu_core.nvml.fake_pynvml import calls, raising


@pytest.mark.parametrize(
    ("value", "code"),
    [
        (pynvml.NVML_ERROR_NOT_SUPPORTED, "NOT_SUPPORTED"),
        (pynvml.NVML_ERROR_GPU_IS_LOST, "GPU_IS_LOST"),
        (pynvml.NVML_ERROR_DRIVER_NOT_LOADED, "DRIVER_NOT_LOADED"),
        (pynvml.NVML_ERROR_UNKNOWN, "UNKNOWN"),
        (12345, "ERROR_12345"),
    ],
)
def test_an_error_contains_the_call_and_the_name_of_the_code(value: int, code: str) -> None:
    with pytest.raises(NvmlError) as raised:
        calls(nvmlDeviceGetUUID=raising(value)).device_get_uuid(object())
    assert (raised.value.call, raised.value.code) == ("nvmlDeviceGetUUID", code)


def test_a_version_mismatch_has_a_hint() -> None:
    with pytest.raises(NvmlError, match="load the installed module"):
        calls(nvmlDeviceGetCount=raising(pynvml.NVML_ERROR_LIB_RM_VERSION_MISMATCH)).device_get_count()


def test_a_function_that_pynvml_lacks_is_not_found() -> None:
    functions = {name: value for name, value in vars(pynvml).items() if name != "nvmlDeviceGetMigMode"}
    with pytest.raises(NvmlError) as raised:
        PynvmlCalls(SimpleNamespace(**functions)).device_get_mig_mode(object())
    assert raised.value.code == "FUNCTION_NOT_FOUND"
