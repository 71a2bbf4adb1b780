"""Fixtures and markers of the tests that need Helm."""

import pytest

from tests.manifests.helm import binary, is_built, missing

BUILD_S = 900
"""The timeout, which includes the first build of Helm. `make test` runs these tests only if Helm is built."""


@pytest.fixture(scope="session")
def helm_binary() -> str:
    if (why := missing()) is not None:
        pytest.skip(why)
    return binary()


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    marks = [pytest.mark.timeout(BUILD_S), *(() if is_built() else (pytest.mark.exhaustive,))]
    for item in items:
        if "helm_binary" in getattr(item, "fixturenames", ()):
            for mark in marks:
                item.add_marker(mark)
