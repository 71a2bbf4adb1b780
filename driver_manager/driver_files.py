"""The files below /run/nvidia by which driver containers and this program share their state. Source: NVIDIA's driver container.

The driver container writes all of them after it has loaded its modules. This program only removes them.
"""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import structlog

from driver_manager.mounts import detach, read_mountinfo, unmount_all
from node_core.decode import describe_os_error
from node_core.errors import DriverError
from node_core.host.root import HostRoot

log = structlog.get_logger(__name__)

RUN = Path("/run/nvidia")
DRIVER, STATE, PID = "driver", "nvidia-driver.state", "nvidia-driver.pid"
READY = "validations/.driver-ctr-ready"
"""Third parties wait for this file of the start-up probe."""


@dataclass(frozen=True, slots=True, kw_only=True)
class DriverFiles:
    """folder: /run/nvidia of the host, with propagation of mounts. read_mounts: the text of mountinfo. unmount: raises OSError."""

    folder: Path = RUN
    read_mounts: Callable[[], str] = read_mountinfo
    unmount: Callable[[str], None] = detach

    def read_digest(self) -> str | None:
        """Returns the configuration that the last driver container has recorded. Raises HostReadError."""
        return HostRoot(self.folder).text(STATE) or None

    def forget_digest(self) -> None:
        """Removes the record, before the first module is unloaded: an interrupted attempt must not look complete. Raises DriverError."""
        self._remove(STATE)

    def clean(self) -> None:
        """Unmounts the root of the last driver container, and removes what marks the container as running. Raises DriverError."""
        self._remove(READY)
        unmounted = unmount_all(str(self.folder / DRIVER), self.read_mounts, self.unmount)
        self._remove(PID)
        if unmounted:
            log.info("driver_root_unmounted", mounts=len(unmounted))

    def _remove(self, name: str) -> None:
        path = self.folder / name
        try:
            path.unlink(missing_ok=True)
        except OSError as error:
            why = f"the file {path} {describe_os_error(error)}"
            raise DriverError(why, hint=f"mount {self.folder} of the host, writable") from error
