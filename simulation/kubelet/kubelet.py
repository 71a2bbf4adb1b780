"""The device manager and the CPU manager of the simulated kubelet. It starts no containers.

It uses the device plugin API on Unix sockets, and treats plugins as the kubelet does: it removes their sockets when it starts, marks
all devices unhealthy when a stream ends, and asks a plugin for its preference before an allocation.
Source: Kubernetes documentation, Device Plugins.
"""

import json
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

from node_core.grpc_h2.status import CallError
from node_core.host.atomic_write import write_atomically
from node_core.kubelet import deviceplugin_pb2 as pb
from node_core.kubelet.server import UnixServer
from node_core.kubelet.service import registration_methods
from node_core.kubelet.sockets import API_VERSION, is_served, require_free_path
from node_core.values import replace
from simulation.kubelet.cpus import CpuTable
from simulation.kubelet.devices import AdmissionError, DeviceTable, Owner, Resource, choose, name_problem
from simulation.kubelet.endpoint import Endpoint
from simulation.kubelet.topology import SINGLE_NUMA_NODE, DeviceRequest, aligned, choose_numa_node

CHECKPOINT = "kubelet_internal_checkpoint"
CPU_STATE = "cpu_manager_state"
PODS = "pods"
"""The folder with a folder for each pod."""

Resources = Mapping[str, Resource]


@dataclass(frozen=True, slots=True, kw_only=True)
class ContainerGrant:
    """The allocation of one container, for the container runtime. device_ids: by resource. cpus: exclusive ones."""

    device_ids: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    cpus: frozenset[int] = frozenset()
    env: Mapping[str, str] = field(default_factory=dict)
    mounts: tuple[pb.Mount, ...] = ()
    devices: tuple[pb.DeviceSpec, ...] = ()
    annotations: Mapping[str, str] = field(default_factory=dict)
    cdi_devices: tuple[str, ...] = ()


class Kubelet:
    """The device manager and the CPU manager of one Node.

    directory: the folder of device plugins. root: the folder for the state of the CPU manager and the folders of pods; None to write
    neither. topology_policy: of the topology manager, `none` or `single-numa-node`. cpus: of the CPU manager.
    """

    def __init__(
        self, directory: Path, *, root: Path | None = None, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self.directory = directory
        self.cpus = CpuTable()
        self._root = root
        self.socket = directory / "kubelet.sock"
        self.topology_policy = "none"
        self._listeners: list[Callable[[Resources], None]] = []
        self._clock = clock
        self._table = DeviceTable()
        self._endpoints: dict[str, Endpoint] = {}
        self._grants: dict[Owner, ContainerGrant] = {}
        self._server: UnixServer | None = None
        self._lock = threading.RLock()
        self._admitting = threading.Lock()
        self._notifying = threading.Lock()

    def subscribe(self, on_resources: Callable[[Resources], None]) -> None:
        """Calls `on_resources` at each change of the Node's resources, in any thread, but never in two threads at the same time."""
        self._listeners.append(on_resources)

    def start(self) -> None:
        """Starts to serve. Raises KubeletError if another kubelet serves the directory."""
        self.directory.mkdir(parents=True, exist_ok=True)
        require_free_path(self.socket)
        self._server = UnixServer(self.socket, registration_methods(self._register), name="kubelet")
        self._clean_directory()
        self._read_checkpoint()
        self._server.start()
        self._notify()

    def stop(self) -> None:
        """Ends the streams of the plugins, removes the socket and writes the allocations to the checkpoint."""
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
        """Returns the resources of the Node's status by name."""
        with self._lock:
            return self._table.resources(self._clock())

    def device_health(self, resource: str) -> dict[str, bool]:
        """Returns the current device list of the resource's plugin: device id -> healthy. Empty without a plugin."""
        with self._lock:
            endpoint = self._endpoints.get(resource)
            return dict(endpoint.health) if endpoint else {}

    def numa_nodes(self, resource: str) -> dict[str, tuple[int, ...]]:
        """Returns the current NUMA nodes of the resource's devices: device id -> NUMA nodes. Empty without a plugin."""
        with self._lock:
            endpoint = self._endpoints.get(resource)
            return dict(endpoint.numa_nodes) if endpoint else {}

    def admit(self, pod_uid: str, container: str, requests: Mapping[str, int], *, cpus: int = 0) -> ContainerGrant:
        """Allocates devices and exclusive CPUs for one container, or returns its existing allocation. Ignores resources without a plugin.

        Raises AdmissionError. Then the container has no devices and no exclusive CPUs.
        """
        owner = (pod_uid, container)
        with self._admitting:
            if owner in self._grants:
                return self._grants[owner]
            grant = ContainerGrant()
            try:
                known = [each for each in sorted(requests.items()) if each[1] > 0 and self._has_plugin(each[0])]
                node = self._numa_node(known, cpus) if self.topology_policy == SINGLE_NUMA_NODE else None
                for resource, count in known:
                    grant = _merge_response(grant, resource, *self._allocate(owner, resource, count, node))
                with self._lock:
                    grant = replace(grant, cpus=self.cpus.allocate(owner, cpus, node))
            except AdmissionError:
                with self._lock:
                    self._table.allocated.pop(owner, None)
                raise
            self._grants[owner] = grant
            self._write_state(pod_uid, grant)
            return grant

    def release(self, pod_uid: str) -> None:
        """Releases the devices and the CPUs of a Pod. As in the kubelet, the checkpoint of devices is written at the next allocation."""
        with self._admitting, self._lock:
            self._table.release(pod_uid)
            if any(owner[0] == pod_uid for owner in self.cpus.allocated):
                self.cpus.release(pod_uid)
                self._write_cpu_state()
            self._grants = {owner: grant for owner, grant in self._grants.items() if owner[0] != pod_uid}
        if self._root is not None:
            with suppress(FileNotFoundError):
                (self._root / PODS / pod_uid).rmdir()

    def _has_plugin(self, resource: str) -> bool:
        with self._lock:
            return self._table.has_resource(resource)

    def _numa_node(self, requests: Sequence[tuple[str, int]], cpus: int) -> int | None:
        return choose_numa_node([self._device_request(*request) for request in requests] + self._cpu_requests(cpus))

    def _cpu_requests(self, count: int) -> list[DeviceRequest]:
        with self._lock:
            if count == 0 or not self.cpus.numa_nodes:
                return []
            available = tuple(map(str, sorted(self.cpus.available())))
            numa_nodes = {str(cpu): (node,) for cpu, node in self.cpus.numa_nodes.items()}
            return [DeviceRequest(available=available, count=count, numa_nodes=numa_nodes)]

    def _device_request(self, resource: str, count: int) -> DeviceRequest:
        """Returns no available devices if there are too few: the topology manager refuses the Pod before the device manager does."""
        with self._lock:
            numa_nodes = self.numa_nodes(resource)
            try:
                available = self._table.available(resource, count)
            except AdmissionError:
                available = ()
            return DeviceRequest(available=available, count=count, numa_nodes=numa_nodes)

    def _allocate(
        self, owner: Owner, resource: str, count: int, numa_node: int | None
    ) -> tuple[tuple[str, ...], pb.ContainerAllocateResponse]:
        with self._lock:
            available = aligned(self._table.available(resource, count), self.numa_nodes(resource), numa_node)
            endpoint = self._endpoints.get(resource)
        if endpoint is None:
            raise AdmissionError(f"endpoint not found in cache for a registered resource: {resource}")
        try:
            ids = choose(available, endpoint.preferred_allocation(available, count), count)
            with self._lock:
                self._table.allocate(owner, resource, ids)
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
        """Connects to a plugin. A new registration of a resource replaces the previous one."""
        endpoint = Endpoint(
            request.resource_name,
            path,
            has_preference=request.options.get_preferred_allocation_available,
            on_list=self._on_list,
            on_end=self._on_end,
        )
        with self._lock:
            if self._server is None:
                raise CallError("UNAVAILABLE", "the kubelet is stopping")
            old = self._endpoints.get(endpoint.resource)
            self._endpoints[endpoint.resource] = endpoint
        if old is not None:
            old.stop()
        endpoint.start()

    def _on_list(self, endpoint: Endpoint) -> None:
        with self._lock:
            if self._endpoints.get(endpoint.resource) is not endpoint:
                return
            self._table.set_devices(endpoint.resource, endpoint.health)
        self._notify()

    def _on_end(self, endpoint: Endpoint) -> None:
        with self._lock:
            if self._endpoints.get(endpoint.resource) is not endpoint:
                return
            del self._endpoints[endpoint.resource]
            self._table.mark_plugin_ended(endpoint.resource, self._clock())
        self._notify()

    def _notify(self) -> None:
        with self._notifying:
            resources = self.resources()
            for listener in self._listeners:
                listener(resources)

    def _clean_directory(self) -> None:
        for path in self.directory.iterdir():
            if path.name != CHECKPOINT and not path.is_dir():
                path.unlink(missing_ok=True)

    def _write_state(self, pod_uid: str, grant: ContainerGrant) -> None:
        if grant.device_ids:
            self._write_checkpoint()
        if grant.cpus:
            self._write_cpu_state()
        if self._root is not None:
            (self._root / PODS / pod_uid).mkdir(parents=True, exist_ok=True)

    def _write_cpu_state(self) -> None:
        if self._root is not None:
            with self._lock:
                write_atomically(self._root / CPU_STATE, json.dumps(self.cpus.state()), mode=0o600)

    def _write_checkpoint(self) -> None:
        """Writes the resources and the allocations in the format of the kubelet, without AllocResp and a checksum."""
        with self._lock:
            entries = [
                {"PodUID": pod, "ContainerName": container, "ResourceName": resource, "DeviceIDs": {"-1": ids}}
                for (pod, container), resources in self._table.allocated.items()
                for resource, ids in resources.items()
            ]
            registered = dict.fromkeys(sorted(self._table.resources(self._clock())), ())
            content = {"Data": {"PodDeviceEntries": entries, "RegisteredDevices": registered}, "Checksum": 0}
            write_atomically(self.directory / CHECKPOINT, json.dumps(content), mode=0o600)

    def _read_checkpoint(self) -> None:
        with self._lock, suppress(FileNotFoundError):
            data = json.loads((self.directory / CHECKPOINT).read_text())["Data"]
            self._table.restore_resources(data["RegisteredDevices"])
            self._table.allocated = {}
            for entry in data["PodDeviceEntries"]:
                ids = [each for of_node in entry["DeviceIDs"].values() for each in of_node]
                self._table.allocate((entry["PodUID"], entry["ContainerName"]), entry["ResourceName"], ids)


def _merge_response(
    grant: ContainerGrant, resource: str, ids: tuple[str, ...], response: pb.ContainerAllocateResponse
) -> ContainerGrant:
    return replace(
        grant,
        device_ids={**grant.device_ids, resource: ids},
        env={**grant.env, **response.envs},
        mounts=(*grant.mounts, *response.mounts),
        devices=(*grant.devices, *response.devices),
        annotations={**grant.annotations, **response.annotations},
        cdi_devices=(*grant.cdi_devices, *(device.name for device in response.cdi_devices)),
    )
