"""The output of nvidia-smi on this machine. Without nvidia-smi all tests are skipped, with one line."""

import shutil
import subprocess
from collections.abc import Callable
from functools import cache

import pytest

NO_GPU = "no NVIDIA driver with a GPU here: nvidia-smi lists none"

NvidiaSmi = Callable[..., str]


@cache
def ask_nvidia_smi(*arguments: str) -> str:
    """The output of nvidia-smi; empty without a driver."""
    program = shutil.which("nvidia-smi")
    if program is None:
        return ""
    done = subprocess.run([program, *arguments], capture_output=True, text=True, timeout=50, check=False)
    return done.stdout if done.returncode == 0 else ""


@pytest.hookimpl(trylast=True)  # after the selection by -m, so that `make test` does not call nvidia-smi
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    chosen = [item for item in items if item.get_closest_marker("gpu")]
    if chosen and "GPU " not in ask_nvidia_smi("-L"):
        for item in chosen:
            item.add_marker(pytest.mark.skip(reason=NO_GPU))


@pytest.fixture(scope="session")
def nvidia_smi() -> NvidiaSmi:
    """nvidia_smi(*arguments): the output of the command."""
    return ask_nvidia_smi
