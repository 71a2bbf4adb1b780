"""The cleanup as an agent: it tries until nothing is left, says so by being ready, and waits to be taken away."""

from collections.abc import Callable

import structlog

from gpunode.cleanup.clean import Outcome
from node_core.domain.backoff import Backoff
from node_core.runtime.mailbox import Mailbox
from node_core.runtime.messages import AgentMessage, Stop
from node_core.runtime.services import Services

log = structlog.get_logger(__name__)

NAME = "cleanup"
RETRIES = Backoff(first=2.0, most=60.0)
AGAIN = 60.0
"""Seconds between two signs of life when all is done."""


class CleanupAgent:
    """clean: one go. mailbox: one of its own if none is given."""

    name = NAME

    def __init__(
        self, clean: Callable[[], Outcome], services: Services, mailbox: Mailbox[AgentMessage] | None = None
    ) -> None:
        self.mailbox: Mailbox[AgentMessage] = mailbox or Mailbox()
        self._clean = clean
        self._services = services
        self._failures = 0
        services.readiness.expect(f"{NAME}/done")

    def run(self) -> None:
        is_done = False
        while True:
            is_done = is_done or self._try()
            self._services.readiness.beat(NAME)
            wait = AGAIN if is_done else RETRIES.delay(self._failures, self._services.chance())
            if self.mailbox.holds(Stop, wait):
                return

    def close(self) -> None: ...

    def _try(self) -> bool:
        """Whether nothing is left."""
        outcome = self._clean()
        for what in outcome.taken:
            log.info("taken_away", what=what)
        self._failures = self._failures + 1 if outcome.problems else 0
        self._services.readiness.report(f"{NAME}/done", "; ".join(outcome.problems) or None)
        return not outcome.problems
