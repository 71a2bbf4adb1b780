"""The simulated kubelet treats plugins as the kubelet does."""

import tempfile
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from gpu_core.pods.checkpoint import Allocation, parse_checkpoint, read_checkpoint
from node_core.errors import KubeletError
from node_core.grpc_h2.status import CallError
from node_core.kubelet import deviceplugin_pb2 as pb
from node_core.kubelet.registration import register
from node_core.kubelet.server import UnixServer
from node_core.kubelet.service import Stream, device_plugin_methods
from simulation.kubelet.devices import GRACE_SECONDS, AdmissionError, Resource, name_problem
from simulation.kubelet.kubelet import Kubelet
from tests.waiting import until

GPU = "nvidia.com/gpu"


class FakePlugin:
    """A device plugin with settable devices, which prefers the last ids."""

    def __init__(self, directory: Path, resource: str = GPU, name: str = "fake") -> None:
        self.resource = resource
        self.health = {"a": True, "b": True, "c": True}
        self.numa_nodes: dict[str, int] = {}
        self.allocations: list[tuple[str, ...]] = []
        self.refusal: CallError | None = None
        self._streams: list[Stream] = []
        self._kubelet_socket = directory / "kubelet.sock"
        self._server = UnixServer(directory / f"{name}.sock", device_plugin_methods(self))
        self._server.start()

    def register(self, *, preference: bool = True) -> None:
        options = pb.DevicePluginOptions(get_preferred_allocation_available=preference)
        register(self._kubelet_socket, self.resource, self._server.path.name, options)

    def set_health(self, **health: bool) -> None:
        self.health = health
        for stream in self._streams:
            stream.send(self._list())

    def stop(self) -> None:
        for stream in self._streams:
            stream.close()
        self._server.stop(0.1)

    def options(self) -> pb.DevicePluginOptions:
        return pb.DevicePluginOptions()

    def list_and_watch(self, stream: Stream) -> None:
        self._streams.append(stream)
        stream.send(self._list())

    def _list(self) -> pb.ListAndWatchResponse:
        return pb.ListAndWatchResponse(devices=[self._device(name, well) for name, well in self.health.items()])

    def _device(self, name: str, well: bool) -> pb.Device:
        nodes = [pb.NUMANode(ID=self.numa_nodes[name])] if name in self.numa_nodes else []
        return pb.Device(ID=name, health="Healthy" if well else "Unhealthy", topology=pb.TopologyInfo(nodes=nodes))

    def preferred_allocation(self, request: pb.PreferredAllocationRequest) -> pb.PreferredAllocationResponse:
        container = request.container_requests[0]
        ids = sorted(container.available_deviceIDs, reverse=True)[: container.allocation_size]
        return pb.PreferredAllocationResponse(
            container_responses=[pb.ContainerPreferredAllocationResponse(deviceIDs=[*ids, "never heard of"])]
        )

    def allocate(self, request: pb.AllocateRequest) -> pb.AllocateResponse:
        if self.refusal is not None:
            raise self.refusal
        self.allocations.append(tuple(request.container_requests[0].devices_ids))
        response = pb.ContainerAllocateResponse(envs={"IDS": ",".join(self.allocations[-1])})
        return pb.AllocateResponse(container_responses=[response])


class Clock:
    now = 0.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def directory() -> Iterator[Path]:
    with tempfile.TemporaryDirectory(prefix="k-") as path:  # the path of a Unix socket has at most 107 bytes
        yield Path(path)


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def kubelet(directory: Path, clock: Clock) -> Iterator[Kubelet]:
    kubelet = Kubelet(directory, clock=clock)
    kubelet.start()
    yield kubelet
    kubelet.stop()


@pytest.fixture
def make_plugin(directory: Path) -> Iterator[Callable[..., FakePlugin]]:
    plugins: list[FakePlugin] = []

    def make(**settings: str) -> FakePlugin:
        plugins.append(FakePlugin(directory, **settings))
        return plugins[-1]

    yield make
    for plugin in plugins:
        plugin.stop()


@pytest.fixture
def plugin(kubelet: Kubelet, make_plugin: Callable[..., FakePlugin]) -> FakePlugin:
    """Registers the plugin, and waits for its list."""
    plugin = make_plugin()
    plugin.register()
    until(lambda: kubelet.resources() == {GPU: Resource(capacity=3, allocatable=3)})
    return plugin


def test_all_devices_are_capacity_and_healthy_devices_are_allocatable(kubelet: Kubelet, plugin: FakePlugin) -> None:
    plugin.set_health(a=True, b=False)
    until(lambda: kubelet.resources() == {GPU: Resource(capacity=2, allocatable=1)})
    assert kubelet.device_health(GPU) == {"a": True, "b": False}
    plugin.set_health()
    until(lambda: kubelet.resources() == {GPU: Resource(capacity=0, allocatable=0)})


def test_each_change_is_reported_in_order(kubelet: Kubelet, plugin: FakePlugin) -> None:
    reported: list[object] = []
    kubelet.subscribe(reported.append)
    plugin.set_health(a=False)
    until(lambda: bool(reported) and reported[-1] == {GPU: Resource(capacity=1, allocatable=0)})


def test_the_devices_of_an_ended_plugin_are_unhealthy_and_removed_after_the_grace_period(
    kubelet: Kubelet, plugin: FakePlugin, clock: Clock
) -> None:
    plugin.stop()
    until(lambda: kubelet.resources() == {GPU: Resource(capacity=3, allocatable=0)})
    clock.now += GRACE_SECONDS
    assert GPU in kubelet.resources()
    clock.now += 1
    assert kubelet.resources() == {}


def test_preferred_devices_are_allocated_if_they_are_available(kubelet: Kubelet, plugin: FakePlugin) -> None:
    grant = kubelet.admit("pod", "main", {GPU: 2, "cpu": 4, "example.com/none": 1})
    assert grant.device_ids == {GPU: ("c", "b")}
    assert grant.env == {"IDS": "c,b"}
    assert kubelet.admit("pod", "main", {GPU: 2}) == grant
    assert plugin.allocations == [("c", "b")]


def test_a_plugin_without_the_option_gets_no_preference_calls(kubelet: Kubelet, plugin: FakePlugin) -> None:
    plugin.register(preference=False)
    until(lambda: kubelet.resources()[GPU].allocatable == 3)
    assert kubelet.admit("pod", "main", {GPU: 1}).device_ids == {GPU: ("a",)}


@pytest.mark.usefixtures("plugin")
def test_a_device_is_not_allocated_twice_before_its_pod_is_released(kubelet: Kubelet) -> None:
    kubelet.admit("one", "main", {GPU: 2})
    with pytest.raises(AdmissionError, match=r"unavailable for nvidia\.com/gpu\. Requested: 2, Available: 1"):
        kubelet.admit("two", "main", {GPU: 2})
    kubelet.release("one")
    assert kubelet.admit("two", "main", {GPU: 2}).device_ids == {GPU: ("c", "b")}


def test_with_the_policy_single_numa_node_all_devices_of_a_container_are_in_one_numa_node(
    kubelet: Kubelet, plugin: FakePlugin
) -> None:
    plugin.numa_nodes = {"a": 0, "b": 1, "c": 1}
    plugin.set_health(a=True, b=True, c=True)
    until(lambda: kubelet.numa_nodes(GPU) == {"a": (0,), "b": (1,), "c": (1,)})
    kubelet.topology_policy = "single-numa-node"
    assert kubelet.admit("one", "main", {GPU: 1}).device_ids == {GPU: ("a",)}
    for _ in ("too few are available", "they are not in one node"):
        with pytest.raises(AdmissionError, match=r"^Resources cannot be allocated with Topology locality$") as refused:
            kubelet.admit("two", "main", {GPU: 3})
        assert refused.value.reason == "TopologyAffinityError"
        kubelet.release("one")
    assert kubelet.admit("two", "main", {GPU: 2}).device_ids == {GPU: ("c", "b")}


def test_unhealthy_devices_are_not_allocated(kubelet: Kubelet, plugin: FakePlugin) -> None:
    plugin.set_health(a=True, b=False)
    until(lambda: kubelet.resources()[GPU].allocatable == 1)
    assert kubelet.admit("one", "main", {GPU: 1}).device_ids == {GPU: ("a",)}
    plugin.set_health(a=False, b=False)
    until(lambda: kubelet.resources()[GPU].allocatable == 0)
    with pytest.raises(AdmissionError, match="no healthy devices present"):
        kubelet.admit("two", "main", {GPU: 1})


def test_an_error_of_the_plugin_is_an_admission_error_and_allocates_nothing(
    kubelet: Kubelet, plugin: FakePlugin
) -> None:
    plugin.refusal = CallError("NOT_FOUND", "no device")
    with pytest.raises(
        AdmissionError, match="Allocate failed due to rpc error: code = NOT_FOUND desc = no device, whi"
    ):
        kubelet.admit("one", "main", {GPU: 3})
    plugin.refusal = None
    assert kubelet.admit("two", "main", {GPU: 3}).device_ids == {GPU: ("c", "b", "a")}


def test_a_new_registration_of_a_resource_replaces_the_previous_one(
    kubelet: Kubelet, plugin: FakePlugin, make_plugin: Callable[..., FakePlugin]
) -> None:
    newer = make_plugin(name="newer")
    newer.set_health(z=True)
    newer.register()
    until(lambda: kubelet.resources() == {GPU: Resource(capacity=1, allocatable=1)})
    plugin.stop()
    assert kubelet.admit("pod", "main", {GPU: 1}).device_ids == {GPU: ("z",)}


@pytest.mark.usefixtures("plugin")
def test_a_restart_removes_sockets_and_retains_allocations(
    kubelet: Kubelet, directory: Path, make_plugin: Callable[..., FakePlugin]
) -> None:
    kubelet.admit("one", "main", {GPU: 2})
    kubelet.restart()
    assert sorted(path.name for path in directory.iterdir()) == ["kubelet.sock", "kubelet_internal_checkpoint"]
    assert kubelet.resources() == {GPU: Resource(capacity=0, allocatable=0)}
    make_plugin().register()
    until(lambda: kubelet.resources() == {GPU: Resource(capacity=3, allocatable=3)})
    assert kubelet.admit("two", "main", {GPU: 1}).device_ids == {GPU: ("a",)}


@pytest.mark.usefixtures("plugin")
def test_the_checkpoint_has_the_format_of_the_kubelet_after_each_allocation(kubelet: Kubelet, directory: Path) -> None:
    kubelet.admit("one", "main", {GPU: 2})
    assert parse_checkpoint(read_checkpoint(directory)) == (
        Allocation(pod_uid="one", container="main", devices=frozenset({"b", "c"})),
    )
    kubelet.release("one")
    kubelet.admit("two", "main", {GPU: 1})
    assert [each.pod_uid for each in parse_checkpoint(read_checkpoint(directory))] == ["two"]


@pytest.mark.parametrize("name", ["gpu", "kubernetes.io/gpu", "node.kubernetes.io/gpu", "nvidia.com/", "nvidia.com/-a"])
def test_a_resource_name_that_is_not_extended_is_refused(
    kubelet: Kubelet, make_plugin: Callable[..., FakePlugin], name: str
) -> None:
    assert name_problem(name) is not None
    with pytest.raises(KubeletError, match="is invalid"):
        make_plugin(resource=name).register()
    assert kubelet.resources() == {}


def test_an_endpoint_without_a_server_is_refused(kubelet: Kubelet) -> None:
    for endpoint in ("none.sock", "../kubelet.sock"):
        with pytest.raises(KubeletError, match="failed to dial"):
            register(kubelet.socket, GPU, endpoint, pb.DevicePluginOptions())


def test_another_api_version_is_refused(kubelet: Kubelet) -> None:
    with pytest.raises(CallError, match='"v1alpha" is not supported'):
        kubelet._register(pb.RegisterRequest(version="v1alpha", endpoint="e", resource_name=GPU))


def test_a_second_kubelet_in_a_directory_is_refused(kubelet: Kubelet, directory: Path) -> None:
    with pytest.raises(KubeletError, match="serves"):
        Kubelet(directory).start()
    assert kubelet.socket.exists()


def test_stopping_leaves_no_threads(directory: Path) -> None:
    before = set(threading.enumerate())
    kubelet = Kubelet(directory)
    kubelet.start()
    plugin = FakePlugin(directory)
    plugin.register()
    until(lambda: bool(kubelet.resources()))
    kubelet.stop()
    plugin.stop()
    until(lambda: not set(threading.enumerate()) - before)
