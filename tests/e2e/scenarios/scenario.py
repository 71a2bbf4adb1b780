"""One scenario, and the clusters on which it can run."""

from collections.abc import Callable
from dataclasses import dataclass

from tests.e2e.world import World

NO_CONTAINERS = "the simulated kubelet starts no containers, and device nodes need root"


@dataclass(frozen=True, slots=True)
class Scenario:
    """real_only: why the scenario cannot run on the simulated cluster; None if it can."""

    run: Callable[[World], None]
    real_only: str | None = None

    @property
    def name(self) -> str:
        return self.run.__name__
