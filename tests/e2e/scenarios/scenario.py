"""One scenario, and where it can be played."""

from collections.abc import Callable
from dataclasses import dataclass

from tests.e2e.world import World

NO_CONTAINERS = "a stand-in starts no containers, and device nodes need root"


@dataclass(frozen=True, slots=True)
class Scenario:
    """real_only: why stand-ins cannot play it."""

    run: Callable[[World], None]
    real_only: str | None = None

    @property
    def name(self) -> str:
        return self.run.__name__
