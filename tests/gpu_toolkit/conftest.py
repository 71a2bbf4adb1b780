"""Fixtures of the tests of gpu-toolkit."""

from pathlib import Path

import pytest

from tests.gpu_toolkit.places import Place


@pytest.fixture
def place(tmp_path: Path) -> Place:
    (tmp_path / "etc").mkdir()
    return Place(tmp_path)
