"""Sessions of NVML, and releases."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest

from gpu_core.nvml.releasable import ReleasableNvml
from gpu_core.nvml.source import is_released
from node_core.errors import NvmlError


@contextmanager
def open_nvml() -> Iterator[Any]:
    yield "nvml"


def test_a_release_is_complete_when_the_last_session_ends() -> None:
    nvml = ReleasableNvml(open_nvml)
    with nvml.open():
        assert not nvml.release()
    assert nvml.release()


def test_during_a_release_no_session_opens() -> None:
    nvml = ReleasableNvml(open_nvml)
    nvml.release()
    with pytest.raises(NvmlError) as raised, nvml.open():
        pass
    assert is_released(raised.value)
    nvml.acquire()
    with nvml.open() as opened:
        assert str(opened) == "nvml"


def test_a_session_that_cannot_open_does_not_prevent_a_release() -> None:
    def fail() -> Any:
        raise NvmlError("nvmlInit_v2", "DRIVER_NOT_LOADED")

    nvml = ReleasableNvml(fail)
    with pytest.raises(NvmlError):
        nvml.open().__enter__()
    assert nvml.release()
