"""Fixtures and markers of the tests that need Helm."""

import pytest

from tests.manifests.helm import binary, missing

BUILD_S = 900
"""The timeout, which includes the first build of Helm. Each test renders the chart in a process, so `make exhaustive` runs these tests."""


@pytest.fixture(scope="session")
def helm_binary() -> str:
    if (why := missing()) is not None:
        pytest.skip(why)
    return binary()


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if "helm_binary" in getattr(item, "fixturenames", ()):
            item.add_marker(pytest.mark.timeout(BUILD_S))
            item.add_marker(pytest.mark.exhaustive)
