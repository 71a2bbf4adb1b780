"""Stops the GPU clients of others while a GPU is reset: DaemonSets by their labels, and services of the host.

Both are off by default. What was stopped is recorded first. It starts again after the change, after a failure, after a restart of the
agent, and also if the settings are off by then.
"""

import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Protocol

from mig_manager.policy import Usage
from mig_manager.stopped_units import StoppedUnits
from mig_manager.systemd import SECONDS, Systemd
from node_core.errors import MigError, NodeError
from node_core.host.host_command import run_on_host
from node_core.scheduling.objects import Pod

SERVICES_FILE = "mig-stopped-services.json"
"""In --state-dir: the services of the host that are stopped during a change."""
CLIENT_SECONDS = 300.0
"""How long the pods of paused DaemonSets may take to end."""


class DaemonSets(Protocol):
    """See gpu_core.clients.daemon_sets. Each method raises KubeError."""

    def begin(self, components: Iterable[str]) -> None: ...

    def find_leaving(self) -> tuple[Pod, ...]: ...

    def find_selected(self, components: Iterable[str]) -> tuple[Pod, ...]: ...

    def end(self) -> bool: ...


class Services(Protocol):
    """See mig_manager.stopped_units. Each method raises NodeError."""

    def stop(self, patterns: Sequence[str]) -> None: ...

    def start(self) -> None: ...


def open_services(folder: Path) -> StoppedUnits:
    """folder: --state-dir."""
    return StoppedUnits(path=folder / SERVICES_FILE, systemd=Systemd(run=partial(run_on_host, seconds=SECONDS)))


@dataclass(slots=True, kw_only=True)
class OtherClients:
    """components: of the DaemonSets to pause, for example `dcgm`. read_services: returns the patterns of the services to stop.

    daemon_sets: None without a cluster. services: None without a folder for their record.
    """

    daemon_sets: DaemonSets | None = None
    services: Services | None = None
    components: tuple[str, ...] = ()
    read_services: Callable[[], tuple[str, ...]] = tuple
    clock: Callable[[], float] = time.monotonic
    _since: float | None = field(default=None, init=False)
    _is_paused: bool = field(default=False, init=False)

    def select_others(self, busy: Usage) -> Usage:
        """Returns the part of the usage that remains after the pods of the DaemonSets to pause have ended. Raises NodeError."""
        if not busy or self.daemon_sets is None or not self.components:
            return busy
        pods = (*self.daemon_sets.find_selected(self.components), *self.daemon_sets.find_leaving())
        own = {(pod.metadata.namespace, pod.metadata.name) for pod in pods}
        left = {
            uuid: tuple(each for each in users if (each.namespace, each.pod) not in own) for uuid, users in busy.items()
        }
        return {uuid: users for uuid, users in left.items() if users}

    def stop(self) -> str | None:
        """Pauses the DaemonSets; after the end of their pods, stops the services. Returns why the change must wait, or None.

        Raises NodeError, also if the pods do not end in time.
        """
        if self.daemon_sets is not None and self.components:
            self._is_paused = True
            self.daemon_sets.begin(self.components)
            if leaving := self.daemon_sets.find_leaving():
                return self._wait(leaving)
        if self.services is not None:
            self.services.stop(self.read_services())
        return None

    def resume(self, *, is_recorded: bool) -> None:
        """Starts what was stopped, also by an earlier process. is_recorded: the Node has a record of paused DaemonSets.

        Raises NodeError if something cannot start again. The next call tries that again.
        """
        self._since = None
        errors = [*self._start_services(), *self._resume_daemon_sets(is_recorded=is_recorded)]
        if errors:
            raise errors[0]

    def _wait(self, leaving: Sequence[Pod]) -> str:
        names = ", ".join(pod.key for pod in leaving)
        now = self.clock()
        self._since = now if self._since is None else self._since
        if now - self._since >= CLIENT_SECONDS:
            raise MigError(f"pods of paused DaemonSets have not ended after {CLIENT_SECONDS:.0f} s: {names}")
        return f"pods of paused DaemonSets have not ended: {names}"

    def _start_services(self) -> Iterator[NodeError]:
        try:
            if self.services is not None:
                self.services.start()
        except NodeError as error:
            yield error

    def _resume_daemon_sets(self, *, is_recorded: bool) -> Iterator[NodeError]:
        try:
            if self.daemon_sets is not None and (self._is_paused or is_recorded):
                self.daemon_sets.end()
                self._is_paused = False
        except NodeError as error:
            yield error
