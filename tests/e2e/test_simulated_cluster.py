"""Every scenario that can run on the simulated cluster. `make e2e` runs the same scenarios on a real cluster."""

import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.e2e.scenarios import SIMULATED
from tests.e2e.scenarios.scenario import Scenario
from tests.e2e.simulated import SimulatedWorld
from tests.e2e.timings import Timings
from tests.exhaustive import params

FAST = (
    "each_agent_owns_only_its_own_labels",
    "a_pod_that_selects_a_product_gets_two_gpus",
    "a_pod_waits_until_enough_gpus_are_idle",
    "an_invalid_or_missing_config_keeps_the_previous_one",
)
"""The scenarios of less than a second that do not restart the agents."""


@pytest.fixture(scope="module")
def simulated_world(timings: Timings) -> Iterator[SimulatedWorld]:
    with tempfile.TemporaryDirectory(prefix="gpunode-test-") as folder:
        world = SimulatedWorld(Path(folder), timings)
        try:
            world.open()
            yield world
        finally:
            world.close()


@pytest.fixture
def world(simulated_world: SimulatedWorld) -> Iterator[SimulatedWorld]:
    yield simulated_world
    simulated_world.clean()


@pytest.mark.parametrize("scenario", params(SIMULATED, fast=FAST, ids=[each.name for each in SIMULATED]))
def test_on_the_simulated_cluster(scenario: Scenario, world: SimulatedWorld) -> None:
    scenario.run(world)
