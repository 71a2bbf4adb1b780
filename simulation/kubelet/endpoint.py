"""The connection of the simulated kubelet to one registered plugin."""

import threading
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from node_core.grpc_h2.status import CallError
from node_core.kubelet import deviceplugin_pb2 as pb
from node_core.kubelet.client import PluginClient
from node_core.kubelet.sockets import HEALTHY


class Endpoint:
    """Receives the plugin's device lists in a separate thread, which also calls on_list and on_end."""

    def __init__(
        self,
        resource: str,
        path: Path,
        *,
        has_preference: bool,
        on_list: Callable[["Endpoint"], None],
        on_end: Callable[["Endpoint"], None],
    ) -> None:
        self.resource = resource
        self.health: Mapping[str, bool] = {}
        self.numa_nodes: Mapping[str, tuple[int, ...]] = {}
        self._has_preference = has_preference
        self._on_list = on_list
        self._on_end = on_end
        self._client = PluginClient(path)
        self._thread = threading.Thread(target=self._follow, name=f"kubelet-{path.stem}", daemon=True)

    def start(self) -> None:
        self._thread.start()

    def stop(self) -> None:
        """Closes the connection and waits for the end of the thread. The thread calls `on_end` before."""
        self._client.close()
        if self._thread.ident is not None and self._thread is not threading.current_thread():
            self._thread.join()

    def preferred_allocation(self, available: Sequence[str], count: int) -> tuple[str, ...]:
        """Returns the preferred devices; empty for a plugin without preferences. Raises CallError."""
        return self._client.preferred_allocation(available, (), count) if self._has_preference else ()

    def allocate(self, ids: Sequence[str]) -> pb.ContainerAllocateResponse:
        """Raises CallError."""
        return self._client.allocate(ids)

    def _follow(self) -> None:
        try:
            for devices in self._client.device_lists():
                self.health = {device.ID: device.health == HEALTHY for device in devices}
                self.numa_nodes = {device.ID: tuple(node.ID for node in device.topology.nodes) for device in devices}
                self._on_list(self)
        except CallError:
            pass  # the plugin has ended
        finally:
            self._client.close()
            self._on_end(self)
