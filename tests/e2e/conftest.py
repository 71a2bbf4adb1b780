"""Prints the measured times at the end of the test run."""

import pytest

from tests.e2e.timings import Timings, render_timings

TIMINGS = pytest.StashKey[Timings]()


def pytest_configure(config: pytest.Config) -> None:
    config.stash[TIMINGS] = Timings()


@pytest.fixture(scope="session")
def timings(request: pytest.FixtureRequest) -> Timings:
    return request.config.stash[TIMINGS]


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter, config: pytest.Config) -> None:
    lines = render_timings(config.stash[TIMINGS].seconds)
    if lines:
        terminalreporter.section("measured")
        for line in lines:
            terminalreporter.write_line(line)
