"""A root directory of a kubelet with a short path, because pytest's tmp_path is too long for the path of a socket."""

import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest


@pytest.fixture
def root() -> Iterator[Path]:
    with tempfile.TemporaryDirectory(prefix="dra-") as folder:
        yield Path(folder)
