"""One registered plugin as the stand-in kubelet sees it: a connection, its device list, its calls."""

import threading
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from node_core.kubelet import deviceplugin_pb2 as pb
from node_core.kubelet.client import PluginClient
from node_core.kubelet.rpc import CallError
from node_core.kubelet.sockets import HEALTHY


class Endpoint:
    """Follows the plugin's list in a thread of its own. on_list and on_end are called in it."""

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
        """Hangs up and waits for the end of the thread; `on_end` is still called."""
        self._client.close()
        if self._thread.ident is not None and self._thread is not threading.current_thread():
            self._thread.join()

    def preferred(self, available: Sequence[str], count: int) -> tuple[str, ...]:
        """Empty where the plugin has no preference. Raises CallError."""
        return self._client.preferred(available, (), count) if self._has_preference else ()

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
            pass  # the end of the plugin is an end like any other
        finally:
            self._client.close()
            self._on_end(self)
