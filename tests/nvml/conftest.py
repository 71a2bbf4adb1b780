"""The C library, compiled once for each test process, and where its scenarios and driver roots lie."""

from collections.abc import Callable
from pathlib import Path

import pytest

from tests.nvml.build import COMPILER, IN_CI, NO_COMPILER, build_library

Build = Callable[..., Path]


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Without a compiler the tests that need one are skipped, all with one line; in CI they fail instead."""
    if COMPILER is None and not IN_CI:
        for item in items:
            if isinstance(item, pytest.Function) and "build" in item.fixturenames:
                item.add_marker(pytest.mark.skip(reason=NO_COMPILER))


@pytest.fixture(scope="session")
def build(tmp_path_factory: pytest.TempPathFactory) -> Build:
    """build(*lacking): a library that lacks these functions; the same arguments give the same library."""
    built: dict[tuple[str, ...], Path] = {}

    def make(*lacking: str) -> Path:
        if lacking not in built:
            built[lacking] = build_library(tmp_path_factory.mktemp("driver"), lacking=lacking)
        return built[lacking]

    return make


@pytest.fixture(scope="session")
def library(build: Build) -> Path:
    """The library of a driver that has everything."""
    return build()
