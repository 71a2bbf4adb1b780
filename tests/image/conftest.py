"""Mounts the image that `make image` built. Without the image, all tests are skipped with one reason."""

import json
import os
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.e2e.cluster.commands import run
from tests.image.container import Container

NEEDS = "needs root, buildah, runc, and the environment variable IMAGE with the name of an image from `make image`"


@pytest.hookimpl(trylast=True)  # after -m has selected tests
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    can_run = os.geteuid() == 0 and "IMAGE" in os.environ and shutil.which("buildah") and shutil.which("runc")
    for item in items:
        if item.get_closest_marker("image") and not can_run:
            item.add_marker(pytest.mark.skip(reason=NEEDS))


@pytest.fixture(scope="session")
def config() -> dict[str, Any]:
    """The config of the image. Source: OCI image specification."""
    inspected = json.loads(run("buildah", "inspect", "--type", "image", os.environ["IMAGE"]))
    found: dict[str, Any] = inspected["OCIv1"]
    return found


@pytest.fixture(scope="session")
def root() -> Iterator[Path]:
    name = run("buildah", "from", "--pull-never", os.environ["IMAGE"]).strip()
    yield Path(run("buildah", "mount", name).strip())
    run("buildah", "rm", name)


@pytest.fixture
def container(tmp_path: Path, root: Path, config: dict[str, Any]) -> Container:
    environment = dict(pair.split("=", 1) for pair in config["config"]["Env"])
    return Container(tmp_path, root, environment)
