"""Every scenario on the cluster that `make e2e` starts."""

from collections.abc import Iterator

import pytest

from tests.e2e.cluster import attach
from tests.e2e.real import RealWorld
from tests.e2e.scenarios import ALL
from tests.e2e.scenarios.scenario import Scenario
from tests.e2e.timings import Timings

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(300)]


@pytest.fixture(scope="module")
def cluster_world(timings: Timings) -> RealWorld:
    cluster = attach()
    assert cluster is not None, "no cluster is running: run `make e2e`, which starts a cluster and runs these tests"
    return RealWorld(cluster, timings)


@pytest.fixture
def world(cluster_world: RealWorld) -> Iterator[RealWorld]:
    yield cluster_world
    cluster_world.clean()


@pytest.mark.parametrize("scenario", [pytest.param(each, id=each.name) for each in ALL])
def test_on_the_real_cluster(scenario: Scenario, world: RealWorld) -> None:
    scenario.run(world)
