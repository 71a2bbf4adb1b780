"""The set of MPS daemons of a node. Owned by the device plugin's thread; each daemon minds itself in its own."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

from device_plugin.mps.control import MpsControl, MpsFolder
from device_plugin.mps.daemon import ComputeModes, MpsDaemon
from device_plugin.mps.plan import MpsWanted
from node_core.domain.resources import ResourceName


@dataclass(frozen=True, slots=True, kw_only=True)
class MpsTools:
    """What daemons that are started from now on are started with. root: the MPS root as we see it."""

    root: Path
    control: MpsControl
    modes: ComputeModes
    has_selinux: bool = False


class MpsKeeper:
    """notify: called in any thread when `problems` changed. may_open: asked in any thread whether NVML may be open now."""

    def __init__(self, notify: Callable[[], None], may_open: Callable[[], bool] = lambda: True) -> None:
        self._notify = notify
        self._may_open = may_open
        self._daemons: dict[ResourceName, MpsDaemon] = {}

    def reconcile(self, wanted: Mapping[ResourceName, MpsWanted], tools: MpsTools) -> None:
        """Starts, ends and replaces daemons until they are those that are wanted."""
        replaced: dict[ResourceName, MpsDaemon] = {}
        for resource, daemon in list(self._daemons.items()):
            if wanted.get(resource) != daemon.wanted:
                replaced[resource] = self._daemons.pop(resource)
                replaced[resource].stop()
        for resource, each in wanted.items():
            if resource not in self._daemons:
                self._daemons[resource] = self._start(each, tools, replaced.get(resource))

    def problems(self) -> Mapping[ResourceName, str]:
        """Why the clients of a resource cannot connect."""
        found = ((resource, daemon.problem) for resource, daemon in self._daemons.items())
        return {resource: problem for resource, problem in found if problem is not None}

    def close(self) -> None:
        while self._daemons:
            self._daemons.popitem()[1].stop()

    @property
    def wanted(self) -> Mapping[ResourceName, MpsWanted]:
        """What the daemons that there are were started for."""
        return {resource: daemon.wanted for resource, daemon in self._daemons.items()}

    def _start(self, wanted: MpsWanted, tools: MpsTools, after: MpsDaemon | None) -> MpsDaemon:
        folder = MpsFolder(base=tools.root / wanted.resource, has_selinux=tools.has_selinux)
        daemon = MpsDaemon(
            wanted, folder, tools.control, tools.modes, self._notify, after=after, may_open=self._may_open
        )
        daemon.start()
        return daemon
