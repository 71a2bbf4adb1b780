"""A stand-in for the kubelet's device manager, for the demo and tests. It starts no containers.

It speaks the real protocol on real sockets, and does to plugins what the kubelet does: it removes their sockets when it starts,
takes a broken stream for the end of all devices, asks for a preference and then does as it must.
Source: Kubernetes documentation, Device Plugins.
"""

import json
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

from node_core.kubelet import deviceplugin_pb2 as pb
from node_core.kubelet.rpc import CallError
from node_core.kubelet.server import UnixServer
from node_core.kubelet.service import registration_handler
from node_core.kubelet.sockets import API_VERSION, is_served, require_free
from node_core.simulate.kubelet_devices import AdmissionError, DeviceTable, Owner, Resource, choose, name_problem
from node_core.simulate.kubelet_endpoint import Endpoint
from node_core.simulate.kubelet_topology import SINGLE_NUMA_NODE, Wish, aligned, choose_numa_node

CHECKPOINT = "kubelet_internal_checkpoint"

Resources = Mapping[str, Resource]


@dataclass(frozen=True, slots=True, kw_only=True)
class ContainerGrant:
    """What the container runtime would be told about one container. device_ids: by resource."""

    device_ids: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    env: Mapping[str, str] = field(default_factory=dict)
    mounts: tuple[pb.Mount, ...] = ()
    devices: tuple[pb.DeviceSpec, ...] = ()
    annotations: Mapping[str, str] = field(default_factory=dict)
    cdi_devices: tuple[str, ...] = ()


class Kubelet:
    """on_resources: told of the Node's resources at every change, in any thread but one at a time.

    topology_policy: of the topology manager, `none` or `single-numa-node`.
    """

    def __init__(
        self,
        directory: Path,
        on_resources: Callable[[Resources], None] = lambda _: None,
        *,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.directory = directory
        self.socket = directory / "kubelet.sock"
        self.topology_policy = "none"
        self._listeners = [on_resources]
        self._clock = clock
        self._table = DeviceTable()
        self._endpoints: dict[str, Endpoint] = {}
        self._grants: dict[Owner, ContainerGrant] = {}
        self._server: UnixServer | None = None
        self._lock = threading.RLock()
        self._admitting = threading.Lock()
        self._telling = threading.Lock()

    def subscribe(self, on_resources: Callable[[Resources], None]) -> None:
        self._listeners.append(on_resources)

    def start(self) -> None:
        """Raises KubeletError when another kubelet serves the directory."""
        self.directory.mkdir(parents=True, exist_ok=True)
        require_free(self.socket)
        self._server = UnixServer(self.socket, registration_handler(self._register), name="kubelet")
        self._clean_directory()
        self._read_checkpoint()
        self._server.start()
        self._tell()

    def stop(self) -> None:
        """Plugins lose their streams. The socket goes, and what Pods hold is written down."""
        self._write_checkpoint()
        with self._lock:
            server, self._server = self._server, None
            endpoints, self._endpoints = list(self._endpoints.values()), {}
        if server is not None:
            server.stop()
        for endpoint in endpoints:
            endpoint.stop()

    def restart(self) -> None:
        self.stop()
        self.start()

    def resources(self) -> dict[str, Resource]:
        """By name: what the Node's status says."""
        with self._lock:
            return self._table.resources(self._clock())

    def device_health(self, resource: str) -> dict[str, bool]:
        """Device id -> healthy, as the resource's plugin says now; empty where it has none."""
        with self._lock:
            endpoint = self._endpoints.get(resource)
            return dict(endpoint.health) if endpoint else {}

    def numa_nodes(self, resource: str) -> dict[str, tuple[int, ...]]:
        """Device id -> NUMA nodes, as the resource's plugin says now."""
        with self._lock:
            endpoint = self._endpoints.get(resource)
            return dict(endpoint.numa_nodes) if endpoint else {}

    def admit(self, pod_uid: str, container: str, requests: Mapping[str, int]) -> ContainerGrant:
        """Devices for one container: the same again when it has them. Names that no plugin has registered are passed over.

        Raises AdmissionError; the container then has nothing.
        """
        owner = (pod_uid, container)
        with self._admitting:
            if owner in self._grants:
                return self._grants[owner]
            grant = ContainerGrant()
            try:
                known = [each for each in sorted(requests.items()) if each[1] > 0 and self._is_known(each[0])]
                node = self._numa_node(known) if self.topology_policy == SINGLE_NUMA_NODE else None
                for resource, count in known:
                    grant = _together(grant, resource, *self._allocate(owner, resource, count, node))
            except AdmissionError:
                with self._lock:
                    self._table.held.pop(owner, None)
                raise
            self._grants[owner] = grant
            return grant

    def release(self, pod_uid: str) -> None:
        """The Pod is gone, and its devices are free."""
        with self._admitting, self._lock:
            self._table.release(pod_uid)
            self._grants = {owner: grant for owner, grant in self._grants.items() if owner[0] != pod_uid}

    def _is_known(self, resource: str) -> bool:
        with self._lock:
            return self._table.knows(resource)

    def _numa_node(self, requests: Sequence[tuple[str, int]]) -> int | None:
        return choose_numa_node([self._wish(*request) for request in requests])

    def _wish(self, resource: str, count: int) -> Wish:
        """Too few are none to choose from: the topology manager is asked before the devices are."""
        with self._lock:
            numa_nodes = self.numa_nodes(resource)
            try:
                available = self._table.available(resource, count)
            except AdmissionError:
                available = ()
            return Wish(available=available, count=count, numa_nodes=numa_nodes)

    def _allocate(
        self, owner: Owner, resource: str, count: int, numa_node: int | None
    ) -> tuple[tuple[str, ...], pb.ContainerAllocateResponse]:
        with self._lock:
            available = aligned(self._table.available(resource, count), self.numa_nodes(resource), numa_node)
            endpoint = self._endpoints.get(resource)
        if endpoint is None:
            raise AdmissionError(f"endpoint not found in cache for a registered resource: {resource}")
        try:
            ids = choose(available, endpoint.preferred(available, count), count)
            with self._lock:
                self._table.hold(owner, resource, ids)
            return ids, endpoint.allocate(ids)
        except CallError as error:
            raise AdmissionError(f"rpc error: code = {error.code} desc = {error.message}") from error

    def _register(self, request: pb.RegisterRequest) -> None:
        if request.version != API_VERSION:
            why = f'requested API version "{request.version}" is not supported by kubelet. Supported version is "{API_VERSION}"'
            raise CallError("UNKNOWN", why)
        if problem := name_problem(request.resource_name):
            raise CallError("UNKNOWN", problem)
        path = self.directory / request.endpoint
        if path.parent != self.directory or not is_served(path):
            raise CallError("UNKNOWN", f"failed to dial device plugin with socketPath {path}")
        self._follow(request, path)

    def _follow(self, request: pb.RegisterRequest, path: Path) -> None:
        """The newest registration of a resource takes the place of older ones."""
        endpoint = Endpoint(
            request.resource_name,
            path,
            has_preference=request.options.get_preferred_allocation_available,
            on_list=self._listed,
            on_end=self._ended,
        )
        with self._lock:
            if self._server is None:
                raise CallError("UNAVAILABLE", "the kubelet is stopping")
            old = self._endpoints.get(endpoint.resource)
            self._endpoints[endpoint.resource] = endpoint
        if old is not None:
            old.stop()
        endpoint.start()

    def _listed(self, endpoint: Endpoint) -> None:
        with self._lock:
            if self._endpoints.get(endpoint.resource) is not endpoint:
                return
            self._table.set_devices(endpoint.resource, endpoint.health)
        self._tell()

    def _ended(self, endpoint: Endpoint) -> None:
        with self._lock:
            if self._endpoints.get(endpoint.resource) is not endpoint:
                return
            del self._endpoints[endpoint.resource]
            self._table.plugin_gone(endpoint.resource, self._clock())
        self._tell()

    def _tell(self) -> None:
        with self._telling:
            resources = self.resources()
            for listener in self._listeners:
                listener(resources)

    def _clean_directory(self) -> None:
        for path in self.directory.iterdir():
            if path.name != CHECKPOINT and not path.is_dir():
                path.unlink(missing_ok=True)

    def _write_checkpoint(self) -> None:
        """In a form of our own: which resources there were, and who holds what."""
        with self._lock:
            held = [[*owner, grant] for owner, grant in self._table.held.items()]
            content = {"resources": sorted(self._table.resources(self._clock())), "held": held}
        (self.directory / CHECKPOINT).write_text(json.dumps(content))

    def _read_checkpoint(self) -> None:
        with self._lock, suppress(FileNotFoundError):
            content = json.loads((self.directory / CHECKPOINT).read_text())
            self._table.expect(content["resources"])
            self._table.held = {
                (pod, container): {name: tuple(ids) for name, ids in grant.items()}
                for pod, container, grant in content["held"]
            }


def _together(
    grant: ContainerGrant, resource: str, ids: tuple[str, ...], response: pb.ContainerAllocateResponse
) -> ContainerGrant:
    return ContainerGrant(
        device_ids={**grant.device_ids, resource: ids},
        env={**grant.env, **response.envs},
        mounts=(*grant.mounts, *response.mounts),
        devices=(*grant.devices, *response.devices),
        annotations={**grant.annotations, **response.annotations},
        cdi_devices=(*grant.cdi_devices, *(device.name for device in response.cdi_devices)),
    )
