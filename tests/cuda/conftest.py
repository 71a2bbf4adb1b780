"""A simulated libcuda in C, compiled once for each test process and each set of missing functions."""

from collections.abc import Callable
from pathlib import Path

import pytest

from gpu_core.discovery.cuda import LIBRARY
from tests.nvml.build import build_library, skip_without_compiler

SOURCE = Path(__file__).parent / "cuda.c"
Build = Callable[..., Path]


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    skip_without_compiler(items)


@pytest.fixture(scope="session")
def build(tmp_path_factory: pytest.TempPathFactory) -> Build:
    """build(*lacking): a driver root with a library without these functions. The same arguments give the same root."""
    built: dict[tuple[str, ...], Path] = {}

    def make(*lacking: str) -> Path:
        if lacking not in built:
            built[lacking] = tmp_path_factory.mktemp("driver")
            build_library(built[lacking], lacking=lacking, source=SOURCE, soname=LIBRARY, exported="cu*")
        return built[lacking]

    return make
