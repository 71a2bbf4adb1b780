"""Golden files: the exact output of a whole step, refreshed with one flag and read as a diff before it is committed."""

from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings

settings.register_profile("gpunode", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("gpunode")
"""How long an example takes says how busy the machine is."""

GOLDEN = Path(__file__).parent / "golden"

Golden = Callable[[str, str], None]


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--golden", choices=("compare", "write"), default="compare", help="write the golden files anew")


@pytest.fixture
def golden(request: pytest.FixtureRequest) -> Golden:
    """golden(name, text): text equals tests/golden/name, to the letter."""
    write = request.config.getoption("--golden") == "write"

    def check(name: str, text: str) -> None:
        path = GOLDEN / name
        if write:
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text)
        assert path.is_file(), f"no golden file {name}: write it with `make golden` and read it"
        assert text == path.read_text()

    return check
