"""Reconciles the MPS daemons of a node. The plugin's thread owns the manager; each MPS folder has a separate thread.

A daemon can outlive the manager that started it: the next manager discovers the daemon by the state file in its folder.
"""

import atexit
from collections.abc import Callable, Collection, Mapping
from time import monotonic

from gpu_core.domain.resources import ResourceName
from gpu_core.mps.apply import MpsTools
from gpu_core.mps.daemon import MpsDaemon
from gpu_core.mps.process import ends_with_container
from gpu_core.mps.spec import MpsDaemonSpec
from gpu_core.mps.state import discover_folders

CLOSE_SECONDS = 1.0
"""How long `close` waits for daemons to end."""
EXIT_SECONDS = 20.0
"""How long the exit of the process waits for daemons to end: nvidia-smi is slow, and the kubelet kills the container after 30 seconds."""


class MpsManager:
    """notify: called in any thread when `problems` changes. may_open: called in any thread; whether NVML may be opened.

    is_container: whether the daemons always end with this process, as in a container.
    """

    def __init__(
        self,
        notify: Callable[[], None],
        may_open: Callable[[], bool] = lambda: True,
        is_container: Callable[[], bool] = ends_with_container,
    ) -> None:
        self._notify = notify
        self._may_open = may_open
        self._is_container = is_container
        self._daemons: dict[ResourceName, MpsDaemon] = {}
        self._tools: MpsTools | None = None

    def reconcile(
        self,
        desired: Mapping[ResourceName, MpsDaemonSpec],
        tools: MpsTools,
        *,
        ignored: Collection[ResourceName] = (),
    ) -> None:
        """Starts, adopts and stops daemons, including daemons of earlier processes, to reach the desired state. Returns at once.

        ignored: their daemons stay as they are, unless they are desired.
        """
        self._tools = tools
        ended = [resource for resource, daemon in self._daemons.items() if not daemon.desired and daemon.done.is_set()]
        for resource in ended:
            del self._daemons[resource]
        for resource in {*desired, *self._daemons, *discover_folders(tools.root)} - ({*ignored} - desired.keys()):
            daemon = self._daemons.get(resource)
            if daemon is None or not daemon.matches(desired.get(resource), tools):
                self._replace(resource, desired.get(resource), tools)

    def problems(self) -> Mapping[ResourceName, str]:
        """Returns why clients cannot connect, for each resource whose daemon is not ready."""
        return {
            resource: daemon.problem for resource, daemon in self._daemons.items() if daemon.desired and daemon.problem
        }

    def has_ended(self, resource: ResourceName) -> bool:
        """Whether no thread changes the folder of the resource any more."""
        daemon = self._daemons.get(resource)
        return daemon is None or (daemon.desired is None and daemon.done.is_set())

    def close(self, *, is_final: bool) -> None:
        """Lets the daemons run for the next manager. In a container, where they end with the process, stops them before the exit.

        is_final: the process ends.
        """
        if is_final and self._tools is not None and self._is_container():
            self.reconcile({}, self._tools)
            self._await_ends(CLOSE_SECONDS)
            atexit.register(self._await_ends, EXIT_SECONDS)
            return
        while self._daemons:
            self._daemons.popitem()[1].stop()

    @property
    def desired(self) -> Mapping[ResourceName, MpsDaemonSpec]:
        """The desired daemons."""
        return {resource: daemon.desired for resource, daemon in self._daemons.items() if daemon.desired is not None}

    def _replace(self, resource: ResourceName, desired: MpsDaemonSpec | None, tools: MpsTools) -> None:
        if resource in self._daemons:
            self._daemons[resource].stop()
        daemon = MpsDaemon(resource, desired, tools, self._notify, may_open=self._may_open)
        daemon.start()
        self._daemons[resource] = daemon

    def _await_ends(self, seconds: float) -> None:
        deadline = monotonic() + seconds
        for daemon in self._daemons.values():
            daemon.done.wait(max(0.0, deadline - monotonic()))
