"""Pauses the GPU clients of others on this node, and closes NVML in the agents of this project, while modules are unloaded.

NVIDIA's driver manager pauses the same components.
"""

import secrets
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

import structlog

from driver_manager.wait import Waiter
from gpu_core.clients.daemon_sets import DaemonSetPause
from gpu_core.clients.pause import DEPLOY
from gpu_core.host.release_requests import FOLDER, remove_stale_requests, write_request
from gpu_core.nvml.lock import list_holders
from node_core.decode import describe_os_error
from node_core.errors import DriverError

log = structlog.get_logger(__name__)

COMPONENTS = (
    *("operator-validator", "container-toolkit", "device-plugin", "gpu-feature-discovery", "dcgm-exporter", "dcgm"),
    *("mig-manager", "nvsm", "sandbox-validator", "sandbox-device-plugin", "vgpu-device-manager", "client"),
    *("dra-driver", "dra-validator", "dcgm-dra", "dcgm-exporter-dra"),
)
CLIENT_SECONDS = 300.0
RELEASE_SECONDS = 600.0
"""A request of a killed process ends after this time."""
CLOSE_SECONDS = 60.0
REQUEST = "driver-manager"


def pause_clients(pause: DaemonSetPause, waiter: Waiter) -> None:
    """Pauses the DaemonSets that labels of the Node enable, and waits for the end of their pods. Raises KubeError and DriverError."""
    labels = pause.api.get().labels
    pause.begin(each for each in COMPONENTS if f"{DEPLOY}{each}" in labels)
    if left := waiter.until_empty(pause.find_leaving, CLIENT_SECONDS):
        names = ", ".join(pod.key for pod in left)
        hint = "check why they do not end. The kubelet starts the next attempt by itself"
        raise DriverError(
            f"these pods of paused DaemonSets did not end within {CLIENT_SECONDS:g} s: {names}", hint=hint
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class NvmlRelease:
    """Asks the agents of this node to close NVML. lock_dir: of the agents. wall: Unix seconds."""

    lock_dir: Path
    waiter: Waiter
    wall: Callable[[], float]
    name: str = field(default_factory=lambda: f"{REQUEST}-{secrets.token_hex(4)}")

    def begin(self) -> None:
        """Waits until no agent has NVML open, but not for ever: a module in use is reported anyway. Raises DriverError."""
        folder = self.lock_dir / FOLDER
        try:
            write_request(folder, self.name, RELEASE_SECONDS)
            remove_stale_requests(folder, (REQUEST,), self.wall)
            left = self.waiter.until_empty(lambda: list_holders(self.lock_dir), CLOSE_SECONDS)
        except OSError as error:
            why = f"the agents cannot be asked to close NVML: {folder} {describe_os_error(error)}"
            raise DriverError(why, hint=f"mount {self.lock_dir} of the host, writable") from error
        if left:
            log.warning("nvml_not_released", agents=left, effect="the modules may be in use")

    def end(self) -> None:
        with suppress(OSError):  # the request ends after RELEASE_SECONDS
            (self.lock_dir / FOLDER / self.name).unlink(missing_ok=True)
