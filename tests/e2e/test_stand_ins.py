"""Every scenario that needs no real cluster, against the stand-ins: one that lies is found where the real one says something else."""

import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.e2e.scenarios import IN_STAND_INS
from tests.e2e.scenarios.scenario import Scenario
from tests.e2e.stand_in import StandInWorld
from tests.e2e.timings import Timings


@pytest.fixture(scope="module")
def stand_ins(timings: Timings) -> Iterator[StandInWorld]:
    with tempfile.TemporaryDirectory(prefix="gpunode-test-") as folder:
        world = StandInWorld(Path(folder), timings)
        try:
            world.open()
            yield world
        finally:
            world.close()


@pytest.fixture
def world(stand_ins: StandInWorld) -> Iterator[StandInWorld]:
    yield stand_ins
    stand_ins.clean()


@pytest.mark.parametrize("scenario", [pytest.param(each, id=each.name) for each in IN_STAND_INS])
def test_stand_ins_play(scenario: Scenario, world: StandInWorld) -> None:
    scenario.run(world)
