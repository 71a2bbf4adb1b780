"""The C library, compiled once for each test process, and the paths of its scenarios and driver roots."""

from collections.abc import Callable
from pathlib import Path

import pytest

from tests.nvml.build import build_library, skip_without_compiler

Build = Callable[..., Path]


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    skip_without_compiler(items)


@pytest.fixture(scope="session")
def build(tmp_path_factory: pytest.TempPathFactory) -> Build:
    """build(*lacking): a library without these functions. The same arguments give the same library."""
    built: dict[tuple[str, ...], Path] = {}

    def make(*lacking: str) -> Path:
        if lacking not in built:
            built[lacking] = build_library(tmp_path_factory.mktemp("driver"), lacking=lacking)
        return built[lacking]

    return make


@pytest.fixture(scope="session")
def library(build: Build) -> Path:
    """The library of a driver with all functions."""
    return build()
