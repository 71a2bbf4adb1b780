"""nvidia-smi as a script."""

import subprocess
from pathlib import Path

import pytest

from gpu_core.host.nvidia_smi import NvidiaSmi, SmiError, SmiTimeoutError


def program(folder: Path, text: str) -> NvidiaSmi:
    path = folder / "nvidia-smi"
    path.write_text(f"#!/bin/sh\n{text}\n")
    path.chmod(0o755)
    return NvidiaSmi(path, "/driver/lib")


def test_the_output_and_the_loader_path(tmp_path: Path) -> None:
    assert program(tmp_path, 'echo "$@" $LD_LIBRARY_PATH').run("-c", "0") == "-c 0 /driver/lib"


def test_a_failure_contains_what_nvidia_smi_printed(tmp_path: Path) -> None:
    with pytest.raises(SmiError, match="nvidia-smi -c 0: no permission") as failure:
        program(tmp_path, "echo no permission; exit 4").run("-c", "0")
    assert not isinstance(failure.value, SmiTimeoutError)


def test_a_program_that_cannot_be_killed_does_not_block_the_caller(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Such a program waits in the driver for a GPU that hangs."""
    started: list[subprocess.Popen[str]] = []
    monkeypatch.setattr("gpu_core.host.nvidia_smi.KILL_SECONDS", 0.01)
    monkeypatch.setattr(subprocess.Popen, "kill", lambda process: started.append(process))  # noqa: PLW0108
    with pytest.raises(SmiTimeoutError, match="did not end within 0 s"):
        program(tmp_path, "exec sleep 600").run("-c", "0", seconds=0.01)
    (process,) = started
    process.terminate()
    process.wait()
