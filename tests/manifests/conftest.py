"""What is installed: every overlay, as kustomize makes it and as Helm does."""

import pytest

from tests.manifests.helm import binary, missing

BUILD_S = 900
"""The first time Helm is built, which takes two minutes of two cores."""


@pytest.fixture(scope="session")
def helm_binary() -> str:
    if (why := missing()) is not None:
        pytest.skip(why)
    return binary()


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if "helm_binary" in getattr(item, "fixturenames", ()):
            item.add_marker(pytest.mark.timeout(BUILD_S))
