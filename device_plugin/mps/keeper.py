"""The set of MPS daemons of a node. Owned by the device plugin's thread; each daemon minds itself in its own."""

from collections.abc import Callable, Mapping
from pathlib import Path

from device_plugin.mps.control import MpsControl, MpsFolder
from device_plugin.mps.daemon import ComputeModes, MpsDaemon
from device_plugin.mps.plan import MpsWanted
from node_core.domain.resources import ResourceName


class MpsKeeper:
    """root: the MPS root as we see it. notify: called in any thread when `problems` changed."""

    def __init__(
        self,
        root: Path,
        control: MpsControl,
        modes: ComputeModes,
        notify: Callable[[], None],
        *,
        has_selinux: bool = False,
    ) -> None:
        self._root = root
        self._control = control
        self._modes = modes
        self._notify = notify
        self._has_selinux = has_selinux
        self._daemons: dict[ResourceName, MpsDaemon] = {}

    def reconcile(self, wanted: Mapping[ResourceName, MpsWanted]) -> None:
        """Starts, ends and replaces daemons until they are those that are wanted."""
        for resource, daemon in list(self._daemons.items()):
            if wanted.get(resource) != daemon.wanted:
                self._daemons.pop(resource).stop()
        for resource, each in wanted.items():
            if resource not in self._daemons:
                self._daemons[resource] = self._start(each)

    def problems(self) -> Mapping[ResourceName, str]:
        """Why the clients of a resource cannot connect."""
        return {
            resource: problem for resource, daemon in self._daemons.items() if (problem := daemon.problem) is not None
        }

    def restarts(self) -> Mapping[ResourceName, int]:
        """How often a daemon had to be started again."""
        return {resource: daemon.restarts for resource, daemon in self._daemons.items()}

    def close(self) -> None:
        self.reconcile({})

    def _start(self, wanted: MpsWanted) -> MpsDaemon:
        folder = MpsFolder(base=self._root / wanted.resource, has_selinux=self._has_selinux)
        daemon = MpsDaemon(wanted, folder, self._control, self._modes, self._notify)
        daemon.start()
        return daemon
