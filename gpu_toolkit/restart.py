"""Restarts a runtime once, and waits until it is healthy and the containers that ran before run again."""

import time
from collections.abc import Callable
from dataclasses import dataclass

from gpu_toolkit.model import Runtime
from node_core.errors import HostCommandError, RuntimeConfigError
from node_core.kubelet.cri import RunningContainer

HEALTHY_SECONDS = 60.0
POLL_SECONDS = 0.5
STEADY_SECONDS = 60.0
"""A container that ran for a shorter time may end by itself, as one that crashes again and again."""
Check = Callable[[Runtime], str | None]


@dataclass(frozen=True, slots=True, kw_only=True)
class Restart:
    """command: restarts the runtime; may raise HostCommandError. None: nothing is restarted.

    read: the runtime; running: its containers; is_done: whether a container has ended with status 0 or was removed. All three raise
    RuntimeConfigError if the runtime does not answer. clock: monotonic; wall: Unix seconds.
    """

    command: Callable[[Runtime | None], None] | None
    read: Callable[[], Runtime]
    running: Callable[[], tuple[RunningContainer, ...]]
    is_done: Callable[[str], bool] = lambda _: False
    clock: Callable[[], float] = time.monotonic
    wall: Callable[[], float] = time.time
    sleep: Callable[[float], None] = time.sleep

    @property
    def is_possible(self) -> bool:
        return self.command is not None

    def run(self, runtime: Runtime | None, check: Check) -> str | None:
        """Returns what is wrong after HEALTHY_SECONDS, as a clause, or None. runtime: None if it does not answer now."""
        ran, missing = self._containers()
        try:
            if self.command is not None:
                self.command(runtime)
        except HostCommandError as error:
            return error.message
        before = None if runtime is None else runtime.identity
        deadline = self.clock() + HEALTHY_SECONDS
        while (problem := self._problem(before, ran, missing, check)) is not None:
            if self.clock() >= deadline:
                return problem
            self.sleep(POLL_SECONDS)
        return None

    def _containers(self) -> tuple[frozenset[str], set[str]]:
        """Returns the ids of all running containers, and those of the containers that must run again."""
        try:
            running = self.running()
        except RuntimeConfigError:
            return frozenset(), set()
        steady = {each.id for each in running if self.wall() - each.created_at >= STEADY_SECONDS}
        return frozenset(each.id for each in running), steady

    def _problem(self, before: str | None, ran: frozenset[str], missing: set[str], check: Check) -> str | None:
        """missing: containers that have not been found since the restart; loses those that are found. What ends later, ends by itself."""
        try:
            runtime = self.read()
            if before is not None and runtime.identity == before:
                return "the runtime was not restarted"
            running = {each.id for each in self.running()}
            missing -= running
            if running & ran:  # a runtime that has lost all its containers does not know any of them either
                missing -= {each for each in missing if self.is_done(each)}
        except RuntimeConfigError as error:
            return error.message
        if missing:
            return f"{len(missing)} containers that ran before do not run any more"
        return runtime.problem or check(runtime)
