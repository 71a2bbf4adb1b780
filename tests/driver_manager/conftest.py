"""A node for each test."""

from pathlib import Path

import pytest

from tests.driver_manager.places import Place


@pytest.fixture
def place(tmp_path: Path) -> Place:
    return Place(tmp_path)
