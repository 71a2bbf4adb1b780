"""The controller of `gpunode cleanup --stay`: retries until nothing is left, then is ready until the process ends."""

from collections.abc import Callable

import structlog

from gpunode.cleanup.clean import Outcome
from node_core.domain.backoff import Backoff
from node_core.runtime.control_loop import ControlLoop, Timers
from node_core.runtime.mailbox import Mailbox
from node_core.runtime.messages import AgentMessage
from node_core.runtime.services import Services

log = structlog.get_logger(__name__)

NAME = "cleanup"
RETRIES = Backoff(first=2.0, maximum=60.0)
CLEAN = "clean"


class CleanupController:
    """clean: attempts once to remove everything that the agents wrote."""

    name = NAME

    def __init__(self, clean: Callable[[], Outcome], services: Services, timers: Timers) -> None:
        self._clean = clean
        self._services = services
        self._timers = timers
        self._failures = 0
        services.readiness.expect(f"{NAME}/done")

    def start(self) -> None:
        self._timers.set_after(CLEAN, 0.0)

    def handle(self, message: AgentMessage) -> None: ...

    def timer(self, name: str) -> None:
        outcome = self._clean()
        for removed in outcome.removed:
            log.info("removed", what=removed)
        for retained in outcome.retained:
            log.info("retained", what=retained)
        self._services.readiness.report(f"{NAME}/done", "; ".join(outcome.problems) or None)
        if outcome.problems:
            self._failures += 1
            self._timers.set_after(name, RETRIES.delay(self._failures, self._services.chance()))

    def reconcile(self) -> None: ...

    def close(self, *, is_final: bool) -> None: ...


def cleanup_loop(
    clean: Callable[[], Outcome], services: Services, mailbox: Mailbox[AgentMessage] | None = None
) -> ControlLoop[CleanupController]:
    """Builds the control loop without starting it."""
    timers = Timers(services.clock)
    controller = CleanupController(clean, services, timers)
    return ControlLoop(controller, services, mailbox=mailbox or Mailbox(), timers=timers)
