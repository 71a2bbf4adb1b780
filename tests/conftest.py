"""Golden files contain the exact output of a step. --golden=write updates them; read the diff before you commit it."""

import logging
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import structlog
from hypothesis import HealthCheck, settings

settings.register_profile("exhaustive", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.register_profile("quick", settings.get_profile("exhaustive"), max_examples=20, derandomize=True)
settings.load_profile("quick")
"""`make test` uses the same few examples each time, `make exhaustive` new ones. A deadline would depend on the load."""

GOLDEN = Path(__file__).parent / "golden"

Golden = Callable[[str, str], None]


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption(
        "--golden", choices=("compare", "write"), default="compare", help="write the golden files instead of comparing"
    )


@pytest.fixture(autouse=True)
def _default_log() -> Iterator[None]:
    """Ends the log configuration of a program that a test runs in this process. With that level and stream, other tests find no lines."""
    handlers = list(logging.getLogger().handlers)
    yield
    structlog.reset_defaults()
    logging.captureWarnings(capture=False)
    logging.getLogger().handlers[:] = handlers


@pytest.fixture
def golden(request: pytest.FixtureRequest) -> Golden:
    """golden(name, text): the text equals tests/golden/name."""
    write = request.config.getoption("--golden") == "write"

    def check(name: str, text: str) -> None:
        path = GOLDEN / name
        if write:
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text)
        assert path.is_file(), f"the golden file {name} is missing: run `make golden` and check the result"
        assert text == path.read_text()

    return check
