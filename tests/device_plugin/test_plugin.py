"""The plugin of one resource on a real socket, called like the kubelet does."""

import contextlib
import socket
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from device_plugin.allocate.strategies import ResponseOptions, build_strategies
from device_plugin.broadcaster import MAX_STREAMS
from device_plugin.devices import Device, DeviceId, ResourceOffer
from device_plugin.plugin import ResourcePlugin
from gpu_core.domain.inventory import GpuUuid
from gpu_core.domain.resources import GPU
from gpu_core.domain.sharing import SharingStrategy
from node_core.errors import KubeletError
from node_core.grpc_h2.status import CallError
from node_core.kubelet import deviceplugin_pb2 as pb
from node_core.kubelet.client import PluginClient
from node_core.values import replace
from tests.waiting import until

DEVICES = tuple(
    Device(
        id=DeviceId(f"GPU-{index}"),
        uuid=f"GPU-{index}",
        index=str(index),
        gpu=GpuUuid(f"GPU-{index}"),
        numa_node=index % 2,
        links={GpuUuid(f"GPU-{other}"): 20 for other in (0, 1, 2, 3) if other % 2 == index % 2},
    )
    for index in range(4)
)
OFFER = ResourceOffer(devices=DEVICES)
STRATEGIES = build_strategies(ResponseOptions(), lambda: "token")


def of(*devices: Device) -> ResourceOffer:
    return ResourceOffer(devices=devices)


class Follower:
    """Reads a plugin's stream in a thread and stores every list."""

    def __init__(self, path: Path) -> None:
        self.lists: list[dict[str, str]] = []
        self._client = PluginClient(path)
        self._thread = threading.Thread(target=self._read, daemon=True)
        self._thread.start()

    def _read(self) -> None:
        try:
            for devices in self._client.device_lists():
                self.lists.append({device.ID: device.health for device in devices})
        except CallError:
            pass

    def wait_for_end(self) -> None:
        self._thread.join(60)
        assert not self._thread.is_alive()

    def close(self) -> None:
        self._client.close()
        self.wait_for_end()


@pytest.fixture
def plugin(directory: Path) -> Iterator[ResourcePlugin]:
    """A plugin that serves without a kubelet."""
    plugin = ResourcePlugin(
        GPU, OFFER, directory=directory, kubelet_socket=directory / "kubelet.sock", strategies=STRATEGIES
    )
    plugin.serve()
    yield plugin
    plugin.stop()


@pytest.fixture
def client(plugin: ResourcePlugin) -> Iterator[PluginClient]:
    with PluginClient(plugin.path) as client:
        yield client


@pytest.fixture
def follow(plugin: ResourcePlugin) -> Iterator[Callable[[], Follower]]:
    followers: list[Follower] = []

    def start() -> Follower:
        followers.append(Follower(plugin.path))
        return followers[-1]

    yield start
    for follower in followers:
        follower.close()


def healthy(*devices: Device) -> dict[str, str]:
    return {device.id: "Healthy" for device in devices}


def test_the_socket_has_the_name_of_nvidias_plugin(plugin: ResourcePlugin, directory: Path) -> None:
    assert [path.name for path in directory.iterdir()] == ["nvidia-gpu.sock"]
    assert plugin.is_serving


def test_the_options_offer_preferred_allocation(client: PluginClient) -> None:
    assert client.options() == pb.DevicePluginOptions(get_preferred_allocation_available=True)


def test_the_device_list_contains_health_and_numa_node(client: PluginClient, plugin: ResourcePlugin) -> None:
    plugin.update(of(replace(DEVICES[0], why_unhealthy="lost"), replace(DEVICES[1], numa_node=None), DEVICES[2]))
    first = next(client.device_lists())
    assert first == (
        pb.Device(ID="GPU-0", health="Unhealthy", topology=pb.TopologyInfo(nodes=[pb.NUMANode(ID=0)])),
        pb.Device(ID="GPU-1", health="Healthy"),
        pb.Device(ID="GPU-2", health="Healthy", topology=pb.TopologyInfo(nodes=[pb.NUMANode(ID=0)])),
    )


def test_every_stream_receives_every_change_and_nothing_else(
    plugin: ResourcePlugin, follow: Callable[[], Follower]
) -> None:
    followers = [follow(), follow()]
    until(lambda: all(len(follower.lists) == 1 for follower in followers))
    assert plugin.stream_count == 2
    assert not plugin.update(of(*DEVICES))
    assert plugin.update(of(*DEVICES[:1]))
    until(lambda: all(len(follower.lists) == 2 for follower in followers))
    assert [follower.lists for follower in followers] == [[healthy(*DEVICES), healthy(DEVICES[0])]] * 2


def test_a_list_with_equal_messages_is_not_sent_again_but_is_used_for_responses(
    plugin: ResourcePlugin, client: PluginClient, follow: Callable[[], Follower]
) -> None:
    follower = follow()
    until(lambda: len(follower.lists) == 1)
    pairs = {0: 1, 1: 0, 2: 3, 3: 2}
    links = [{GpuUuid(f"GPU-{pairs[index]}"): 20} for index in range(4)]
    assert not plugin.update(
        of(*(replace(device, links=of_one) for device, of_one in zip(DEVICES, links, strict=True)))
    )
    assert client.preferred_allocation([device.id for device in DEVICES], (), 2) == ("GPU-0", "GPU-1")
    assert plugin.update(of(*DEVICES[:1]))
    until(lambda: len(follower.lists) == 2)
    assert follower.lists == [healthy(*DEVICES), healthy(DEVICES[0])]


def test_a_stream_that_its_client_closes_ends_at_once(plugin: ResourcePlugin, follow: Callable[[], Follower]) -> None:
    remaining, ended = follow(), follow()
    until(lambda: plugin.stream_count == 2)
    ended.close()
    until(lambda: plugin.stream_count == 1)
    plugin.update(of(*DEVICES[:2]))
    until(lambda: remaining.lists[-1:] == [healthy(*DEVICES[:2])])


def test_stale_streams_never_block_allocations(
    plugin: ResourcePlugin, client: PluginClient, follow: Callable[[], Follower]
) -> None:
    followers = [follow() for _ in range(MAX_STREAMS + 12)]
    until(lambda: all(follower.lists for follower in followers))
    assert plugin.stream_count == MAX_STREAMS
    assert client.allocate(["GPU-0"]).envs == {"NVIDIA_VISIBLE_DEVICES": "GPU-0"}


def test_a_removed_resource_sends_an_empty_list(
    plugin: ResourcePlugin, follow: Callable[[], Follower], directory: Path
) -> None:
    follower = follow()
    until(lambda: bool(follower.lists))
    plugin.stop(retire=True)
    follower.wait_for_end()
    assert follower.lists == [healthy(*DEVICES), {}]
    assert list(directory.iterdir()) == []


def test_a_plugin_that_stops_temporarily_sends_no_empty_list(
    plugin: ResourcePlugin, follow: Callable[[], Follower]
) -> None:
    follower = follow()
    until(lambda: bool(follower.lists))
    plugin.stop()
    follower.wait_for_end()
    assert follower.lists == [healthy(*DEVICES)]


def test_an_allocation_returns_the_devices(client: PluginClient) -> None:
    response = client.allocate(["GPU-2", "GPU-0"])
    assert response == pb.ContainerAllocateResponse(envs={"NVIDIA_VISIBLE_DEVICES": "GPU-2,GPU-0"})


def test_an_allocation_of_invalid_ids_is_an_error_with_the_id(client: PluginClient, plugin: ResourcePlugin) -> None:
    plugin.update(of(replace(DEVICES[0], why_unhealthy="XID 79"), *DEVICES[1:]))
    with pytest.raises(CallError, match=r"nvidia\.com/gpu has no device 'GPU-9'") as unknown:
        client.allocate(["GPU-1", "GPU-9"])
    with pytest.raises(CallError, match="'GPU-0' is unhealthy: XID 79") as sick:
        client.allocate(["GPU-0"])
    assert (unknown.value.code, sick.value.code) == ("NOT_FOUND", "FAILED_PRECONDITION")
    assert client.allocate([]).envs == {"NVIDIA_VISIBLE_DEVICES": ""}, "no GPU, for any environment of the image"
    assert client.allocate(["GPU-1"] * 5000).envs == {"NVIDIA_VISIBLE_DEVICES": "GPU-1"}


def test_ten_thousand_ids_get_the_same_response_as_one(client: PluginClient) -> None:
    unknown = [f"GPU-none-{number}" for number in range(10_000)]
    with pytest.raises(CallError, match="has no device 'GPU-none-0'") as refused:
        client.allocate(unknown)
    assert refused.value.code == "NOT_FOUND"
    assert client.allocate(["GPU-1"] * 10_000).envs == {"NVIDIA_VISIBLE_DEVICES": "GPU-1"}
    assert client.preferred_allocation(unknown, unknown[:1], 10_000) == (unknown[0],)


@pytest.mark.parametrize("sent", [b"", b"PRI * HTTP/2.0\r\n", b"GET / HTTP/1.1\r\n\r\n", b"\0" * 4096])
def test_clients_that_hang_do_not_block_other_clients(
    plugin: ResourcePlugin, client: PluginClient, sent: bytes
) -> None:
    with contextlib.ExitStack() as stack:
        for _ in range(64):
            hanging = stack.enter_context(socket.socket(socket.AF_UNIX))
            hanging.connect(str(plugin.path))
            hanging.sendall(sent)
        assert client.allocate(["GPU-0"]).envs == {"NVIDIA_VISIBLE_DEVICES": "GPU-0"}
        with PluginClient(plugin.path) as another:
            assert another.allocate(["GPU-1"]).envs == {"NVIDIA_VISIBLE_DEVICES": "GPU-1"}
    assert plugin.is_serving


def test_every_preferred_allocation_request_has_a_response(client: PluginClient) -> None:
    ids = [device.id for device in DEVICES]
    assert client.preferred_allocation(ids, (), 2) == ("GPU-0", "GPU-2")
    assert client.preferred_allocation([], (), 0) == ()
    assert client.preferred_allocation(["GPU-9"] * 3, ["GPU-8"], -5) == ("GPU-8",)
    assert client.preferred_allocation(ids, ["GPU-3"], 2**31 - 1) == ("GPU-3", "GPU-0", "GPU-1", "GPU-2")
    assert len(client.preferred_allocation([f"{ids[0]}{n}" for n in range(20000)] + [*map(str, ids)], (), 3)) == 3


def test_allocations_are_counted(directory: Path) -> None:
    counts: list[int] = []
    plugin = ResourcePlugin(
        GPU, OFFER, directory=directory, kubelet_socket=directory / "kubelet.sock", strategies=[],
        on_allocate=counts.append,
    )  # fmt: skip
    two = pb.AllocateRequest(container_requests=[pb.ContainerAllocateRequest(devices_ids=["GPU-0"])] * 2)
    assert len(plugin.allocate(two).container_responses) == 2
    assert counts == [2]


def test_a_second_plugin_does_not_affect_the_first(plugin: ResourcePlugin, directory: Path) -> None:
    second = ResourcePlugin(GPU, OFFER, directory=directory, kubelet_socket=directory / "kubelet.sock", strategies=[])
    with pytest.raises(KubeletError, match="another plugin serves"):
        second.serve()
    second.stop()
    assert plugin.is_serving
    with PluginClient(plugin.path) as client:
        assert client.options().get_preferred_allocation_available


def test_serving_again_creates_a_removed_socket(plugin: ResourcePlugin, follow: Callable[[], Follower]) -> None:
    plugin.path.unlink()
    plugin.serve()
    assert plugin.is_serving
    follower = follow()
    until(lambda: follower.lists == [healthy(*DEVICES)])


def test_the_end_leaves_no_threads(directory: Path) -> None:
    before = set(threading.enumerate())
    plugin = ResourcePlugin(GPU, OFFER, directory=directory, kubelet_socket=directory / "kubelet.sock", strategies=[])
    plugin.serve()
    followers = [Follower(plugin.path) for _ in range(4)]
    until(lambda: plugin.stream_count == 4)
    plugin.stop()
    plugin.stop()
    for follower in followers:
        follower.close()
    until(lambda: not set(threading.enumerate()) - before)


def replicas(*, fail: bool, healthy: bool = True) -> ResourceOffer:
    why = None if healthy else "lost"
    devices = (
        replace(device, id=DeviceId(f"{device.uuid}::{replica}"), replica=replica, why_unhealthy=why)
        for device in DEVICES[:2]
        for replica in range(2)
    )
    return ResourceOffer(
        devices=tuple(devices),
        sharing=SharingStrategy.TIME_SLICING,
        fail_requests_greater_than_one=fail,
        policy="distributed",
    )


def test_replicas_of_one_gpu_are_one_gpu_in_the_container(client: PluginClient, plugin: ResourcePlugin) -> None:
    plugin.update(replicas(fail=False), STRATEGIES)
    assert client.allocate(["GPU-1::1", "GPU-0::0", "GPU-1::0"]).envs == {"NVIDIA_VISIBLE_DEVICES": "GPU-1,GPU-0"}
    ids = ["GPU-0::0", "GPU-1::0", "GPU-1::1"]
    assert client.preferred_allocation(ids, (), 2) == ("GPU-1::0", "GPU-0::0")


def test_a_second_replica_is_refused_if_configured(client: PluginClient, plugin: ResourcePlugin) -> None:
    plugin.update(replicas(fail=True), STRATEGIES)
    with pytest.raises(CallError, match=r"nvidia\.com/gpu: requested 2 shared devices, .* only 1") as refused:
        client.allocate(["GPU-0::0", "GPU-1::0"])
    assert refused.value.code == "INVALID_ARGUMENT"
    assert client.allocate(["GPU-0::1"]).envs == {"NVIDIA_VISIBLE_DEVICES": "GPU-0"}
    assert client.preferred_allocation(["GPU-0::0", "GPU-1::0"], (), 2) == ("GPU-0::0", "GPU-1::0")


def test_an_offer_changes_atomically_and_its_stream_continues(
    plugin: ResourcePlugin, client: PluginClient, follow: Callable[[], Follower]
) -> None:
    follower = follow()
    until(lambda: bool(follower.lists))
    shared = replicas(fail=True)
    plugin.update(shared, STRATEGIES)
    plugin.update(OFFER)
    until(lambda: follower.lists[-1] == healthy(*DEVICES) and len(follower.lists) > 1)
    assert plugin.stream_count == 1
    assert client.allocate(["GPU-2", "GPU-3"]).envs == {"NVIDIA_VISIBLE_DEVICES": "GPU-2,GPU-3"}
    with pytest.raises(CallError, match="has no device 'GPU-0::0'"):
        client.allocate(["GPU-0::0"])


@pytest.mark.exhaustive
def test_a_slow_reader_receives_the_newest_list_and_blocks_no_other_reader(
    plugin: ResourcePlugin, client: PluginClient
) -> None:
    many = tuple(replace(DEVICES[0], id=DeviceId(f"GPU-0::{replica}"), replica=replica) for replica in range(2000))
    plugin.update(of(*many))
    lists = client.device_lists()
    next(lists)
    threads = threading.active_count()
    for number in range(500):
        why = None if number % 2 else f"Xid {number}"
        plugin.update(of(replace(many[0], why_unhealthy=why), *many[1:]))
        with PluginClient(plugin.path) as other:
            assert other.options().get_preferred_allocation_available
    assert threading.active_count() <= threads
    plugin.update(of(*many[:1]))
    taken = 1
    while len(next(lists)) != 1:
        taken += 1
    assert taken < 100, "only the last of the unread lists is sent"
