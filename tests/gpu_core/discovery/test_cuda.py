"""Loading libcuda without a GPU; tests/cuda uses a library in C."""

import ctypes
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from gpu_core.discovery.cuda import LibCuda, open_cuda
from node_core.errors import NvmlError


def test_a_missing_library_is_an_error_with_the_folder_and_the_reason(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(name: str) -> None:
        raise OSError(f"{name}: no such file")

    monkeypatch.setattr(ctypes, "CDLL", refuse)
    with pytest.raises(NvmlError) as raised:
        open_cuda(tmp_path)
    assert raised.value.code == "LIBRARY_NOT_FOUND"
    assert f"below {tmp_path}: libcuda.so.1: no such file" in (raised.value.hint or "")


@pytest.mark.parametrize(("result", "code"), [(0, None), (999, "ERROR_999")])
def test_the_library_is_initialized(monkeypatch: pytest.MonkeyPatch, result: int, code: str | None) -> None:
    flags: list[Any] = []

    def initialize(given: ctypes.c_uint) -> int:
        flags.append(given.value)
        return result

    monkeypatch.setattr("gpu_core.discovery.cuda._load", lambda *_: SimpleNamespace(cuInit=initialize))
    if code is None:
        assert isinstance(open_cuda(Path("/")), LibCuda)
    else:
        with pytest.raises(NvmlError) as raised:
            open_cuda(Path("/"))
        assert (raised.value.call, raised.value.code) == ("cuInit", code)
    assert flags == [0]
