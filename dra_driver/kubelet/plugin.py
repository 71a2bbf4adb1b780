"""The sockets of the driver: the kubelet discovers one in its folder plugins_registry, and calls the driver on the other.

The kubelet watches plugins_registry: a new socket file makes it register the driver, and a removed one makes it forget the driver.
A kubelet that starts registers all sockets that it finds. Since Kubernetes 1.33 a driver may have several registrations: the kubelet calls
the newest one that it can reach. Sources: Kubernetes, pkg/kubelet/pluginmanager; k8s.io/dynamic-resource-allocation/kubeletplugin.
"""

from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import structlog

from dra_driver.names import DRIVER
from node_core.errors import KubeletError
from node_core.grpc_h2.methods import Methods
from node_core.kubelet.server import UnixServer
from node_core.kubelet.sockets import is_served

log = structlog.get_logger(__name__)

STOP_SECONDS = 0.5
KUBELET_ROOT = Path("/var/lib/kubelet")


@dataclass(frozen=True, slots=True, kw_only=True)
class PluginPaths:
    """registry: the folder that the kubelet watches. data: the folder of the driver. instance: distinguishes two pods during an update."""

    registry: Path
    data: Path
    instance: str = ""

    @property
    def registration_socket(self) -> Path:
        return self.registry / f"{DRIVER}{f'-{self.instance}' if self.instance else ''}-reg.sock"

    @property
    def socket(self) -> Path:
        return self.data / f"dra{f'-{self.instance}' if self.instance else ''}.sock"

    @property
    def claims_file(self) -> Path:
        return self.data / "claims.json"


def plugin_paths(kubelet_root: Path, instance: str = "") -> PluginPaths:
    """instance: the UID of the pod; the first eight characters distinguish the pods, because the path of a socket is short."""
    return PluginPaths(
        registry=kubelet_root / "plugins_registry", data=kubelet_root / "plugins" / DRIVER, instance=instance[:8]
    )


class DraSockets:
    """Serves both sockets, and serves them again if they disappear. One thread uses it.

    Serves DRAPlugin first: the kubelet calls it as soon as it finds the registration.
    """

    def __init__(self, paths: PluginPaths, plugin: Methods, registration: Methods) -> None:
        self._paths, self._plugin, self._registration = paths, plugin, registration
        self._servers: tuple[UnixServer, ...] = ()

    @property
    def is_in_place(self) -> bool:
        return bool(self._servers) and all(server.is_in_place for server in self._servers)

    def ensure(self) -> None:
        """Serves the sockets, unless both are in place. Raises KubeletError."""
        if self.is_in_place:
            return
        if not self._paths.registry.is_dir():
            raise KubeletError(
                f"{self._paths.registry} does not exist",
                hint="check that the kubelet runs, and that --kubelet-root is its root directory",
            )
        self.stop()
        try:
            self._paths.data.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise KubeletError(f"cannot create {self._paths.data}: {error.strerror}") from error
        self.remove_dead()
        for path, methods in (
            (self._paths.socket, self._plugin),
            (self._paths.registration_socket, self._registration),
        ):
            server = UnixServer(path, methods, name=path.name)
            server.start()
            self._servers = (*self._servers, server)
        log.info("dra_sockets_served", registration=str(self._paths.registration_socket))

    def remove_dead(self) -> None:
        """Removes the sockets of killed pods, which the kubelet would try again and again."""
        own = {server.path for server in self._servers}
        for path in (*self._paths.registry.glob(f"{DRIVER}-*.sock"), *self._paths.data.glob("dra-*.sock")):
            if path not in own and path.is_socket() and not is_served(path):
                with suppress(OSError):  # the kubelet only tries the socket again
                    path.unlink(missing_ok=True)

    def stop(self) -> None:
        """Removes the registration first, so that the kubelet calls no socket that does not exist."""
        for server in reversed(self._servers):
            server.stop(STOP_SECONDS)
        self._servers = ()
