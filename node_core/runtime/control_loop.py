"""The control loop of an agent: mailbox, timers, heartbeat, instance lock and back-off. A Controller defines the behaviour of an agent.

The loop waits for a message, a timer or the heartbeat, passes messages and timers to the controller, and reconciles once.
"""

from collections.abc import Callable
from typing import Generic, Protocol, TypeVar

import structlog

from node_core.domain.backoff import Backoff
from node_core.runtime.instance_lock import InstanceLock, wait_alone
from node_core.runtime.mailbox import Mailbox
from node_core.runtime.messages import AgentMessage, Stop
from node_core.runtime.services import Services

log = structlog.get_logger(__name__)

HEARTBEAT = 30.0
"""Maximum seconds between two wake-ups."""
PROVEN_SECONDS = 60.0
"""A controller that ran for this many seconds before a fault starts over after the first delay again."""
RETRIES = Backoff()


class Timers:
    """Named deadlines, in seconds of the monotonic clock. Owned by the loop's thread."""

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._deadlines: dict[str, float] = {}

    def set_at(self, name: str, at: float) -> None:
        """Sets or replaces a deadline."""
        self._deadlines[name] = at

    def set_after(self, name: str, seconds: float) -> None:
        self.set_at(name, self._clock() + seconds)

    def cancel(self, name: str) -> None:
        """Cancels a timer. Does nothing if the timer is not set."""
        self._deadlines.pop(name, None)

    def is_set(self, name: str) -> bool:
        return name in self._deadlines

    def next_due(self) -> float | None:
        """Returns the earliest deadline, or None if no timer is set."""
        return min(self._deadlines.values(), default=None)

    def pop_due(self) -> tuple[str, ...]:
        """Removes and returns the timers whose deadlines have passed, in order of the deadlines."""
        now = self._clock()
        due = sorted((at, name) for name, at in self._deadlines.items() if at <= now)
        for _, name in due:
            del self._deadlines[name]
        return tuple(name for _, name in due)


class Controller(Protocol):
    """The behaviour of an agent. The thread of the loop calls every method."""

    name: str

    def start(self) -> None:
        """Called when the loop starts and when the loop starts over after a fault. Sets the timers that the controller needs."""
        ...

    def handle(self, message: AgentMessage) -> None:
        """Handles a message. The loop handles Stop."""
        ...

    def timer(self, name: str) -> None:
        """Called after the deadline of a timer has passed."""
        ...

    def reconcile(self) -> None:
        """Called once after each wake-up: after a message, after timers, and at each heartbeat."""
        ...

    def close(self, *, is_final: bool) -> None:
        """Releases all resources. is_final: the process ends. Otherwise new agents replace this agent at once."""
        ...


ControllerType = TypeVar("ControllerType", bound=Controller)


class ControlLoop(Generic[ControllerType]):
    """Runs one controller. Satisfies process.Agent.

    lock: ensures that only one agent of a kind serves a node. Timers are retained after a fault of the controller.
    """

    def __init__(
        self,
        controller: ControllerType,
        services: Services,
        *,
        mailbox: Mailbox[AgentMessage],
        timers: Timers,
        lock: InstanceLock | None = None,
    ) -> None:
        self.name = controller.name
        self.mailbox = mailbox
        self.timers = timers
        self.controller = controller
        self._services = services
        self._lock = lock

    def run(self) -> None:
        """Runs until Stop. After a fault of the controller, logs and reports the fault, and starts the controller again after a delay."""
        failures = 0
        while True:
            began = self._services.clock()
            try:
                self._serve()
            except Exception as error:
                failures = 1 if self._services.clock() - began > PROVEN_SECONDS else failures + 1
                log.exception("agent_failed", agent=self.name)
                self._services.readiness.failed(self.name, f"{type(error).__name__}: {error}")
            else:
                return
            if self.mailbox.wait_for(Stop, RETRIES.delay(failures, self._services.chance())):
                return

    def close(self, *, is_final: bool) -> None:
        """Closes the controller, in the thread of the loop after `run`. Releases the instance lock even if the close fails."""
        try:
            self.controller.close(is_final=is_final)
        except Exception:
            log.exception("agent_not_closed", agent=self.name)
        finally:
            if self._lock is not None:
                self._lock.release()

    def _serve(self) -> None:
        if not wait_alone(self._lock, self.name, self.mailbox, self._services.readiness):
            return
        self.controller.start()
        while not isinstance(message := self._next(), Stop):
            self._wake(message)

    def _next(self) -> AgentMessage | None:
        """Waits for the next message. Returns None at the next deadline or heartbeat."""
        self._services.readiness.beat(self.name)
        due = self.timers.next_due()
        wait = HEARTBEAT if due is None else min(HEARTBEAT, due - self._services.clock())
        return self.mailbox.get(max(0.0, wait))

    def _wake(self, message: AgentMessage | None) -> None:
        if message is not None:
            self.controller.handle(message)
        for name in self.timers.pop_due():
            self.controller.timer(name)
        self.controller.reconcile()
