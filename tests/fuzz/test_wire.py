"""Damaged network input: requests and responses of the kubelet, watch events, HTTP requests. Errors have a reason."""

import json
import socket
from collections.abc import Iterator
from contextlib import suppress
from typing import Any

import pytest
from h2.config import H2Configuration
from h2.connection import H2Connection
from hypothesis import given
from structlog.testing import capture_logs

from device_plugin.allocate.strategies import ResponseOptions, build_strategies
from device_plugin.devices import Device, DeviceId, ResourceOffer
from device_plugin.plugin import ResourcePlugin
from gpu_core.domain.inventory import GpuUuid
from gpu_core.domain.resources import GPU
from node_core.errors import KubeError, KubeletError
from node_core.grpc_h2.client import Client
from node_core.grpc_h2.connection import Connection
from node_core.grpc_h2.headers import render_request
from node_core.grpc_h2.messages import encode
from node_core.grpc_h2.methods import Methods, Streaming, Unary
from node_core.grpc_h2.status import CallError
from node_core.kube import resources
from node_core.kube.http import ApiClient
from node_core.kube.informer import Informer
from node_core.kube.resources import Resource
from node_core.kubelet import deviceplugin_pb2 as pb
from node_core.kubelet import podresources_pb2 as pods
from node_core.kubelet.allocations import read_node_resources
from node_core.kubelet.podresources import list_pod_devices
from node_core.kubelet.server import UnixServer
from node_core.runtime.http import HealthServer
from node_core.runtime.metrics import Metrics
from node_core.runtime.readiness import Readiness
from tests.fuzz.mutations import mutated, mutated_json
from tests.fuzz.parsers import NODE, RULES
from tests.fuzz.profile import fuzzed
from tests.node_core.kube.scripted_api import ScriptedApi

pytestmark = pytest.mark.fuzz

IDS = [f"GPU-{index}" for index in range(4)]
OFFER = ResourceOffer(
    devices=tuple(Device(id=DeviceId(each), uuid=each, index=each[4:], gpu=GpuUuid(each)) for each in IDS)
)
ALLOCATE = pb.AllocateRequest(container_requests=[pb.ContainerAllocateRequest(devices_ids=IDS[:2])])
PREFER = pb.PreferredAllocationRequest(
    container_requests=[
        pb.ContainerPreferredAllocationRequest(
            available_deviceIDs=IDS, must_include_deviceIDs=IDS[:1], allocation_size=2
        )
    ]
)
START = pb.PreStartContainerRequest(devices_ids=IDS)
METHODS = {
    "/v1beta1.DevicePlugin/Allocate": ALLOCATE.SerializeToString(),
    "/v1beta1.DevicePlugin/GetPreferredAllocation": PREFER.SerializeToString(),
    "/v1beta1.DevicePlugin/PreStartContainer": START.SerializeToString(),
    "/deviceplugin.DevicePlugin/Allocate": ALLOCATE.container_requests[0].SerializeToString(),
}
CODES = {"INVALID_ARGUMENT", "NOT_FOUND", "FAILED_PRECONDITION", "UNIMPLEMENTED"}
UNDECODABLE = "cannot decode"


@pytest.fixture
def client(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Client]:
    folder = tmp_path_factory.mktemp("k")
    plugin = ResourcePlugin(
        GPU,
        OFFER,
        directory=folder,
        kubelet_socket=folder / "kubelet.sock",
        strategies=build_strategies(ResponseOptions(), lambda: "token"),
    )
    plugin.serve()
    with Client(plugin.path) as opened:
        yield opened
    plugin.stop()


def call_error(client: Client, method: str, request: bytes) -> CallError | None:
    try:
        client.call(method, request, timeout=60)
    except CallError as error:
        return error
    return None


@pytest.mark.parametrize("method", METHODS)
def test_a_request_gets_a_response_or_an_error_with_a_reason(method: str, client: Client) -> None:
    @fuzzed
    @given(mutated(*METHODS.values()))
    def check(request: bytes) -> None:
        error = call_error(client, method, request)
        assert error is None or error.code in CODES or error.message.startswith(UNDECODABLE)

    check()


def test_a_response_of_the_kubelet_contains_pods_or_is_an_error(tmp_path_factory: pytest.TempPathFactory) -> None:
    path = tmp_path_factory.mktemp("k") / "kubelet.sock"
    devices = [pods.ContainerDevices(resource_name="nvidia.com/gpu", device_ids=IDS)]
    pod = pods.PodResources(name="p", namespace="n", containers=[pods.ContainerResources(name="c", devices=devices)])
    seed = pods.ListPodResourcesResponse(pod_resources=[pod, pod]).SerializeToString()
    responses = [seed]
    server = UnixServer(path, {"/v1.PodResourcesLister/List": Unary(lambda _: responses[-1])})
    server.start()

    @fuzzed
    @given(mutated(seed))
    def check(response: bytes) -> None:
        responses.append(response)
        with suppress(KubeletError):
            assert all(isinstance(holder.name, str) for holder in list_pod_devices(path))

    try:
        check()
    finally:
        server.stop()


def test_resources_of_the_kubelet_are_read_or_are_an_error(tmp_path_factory: pytest.TempPathFactory) -> None:
    path = tmp_path_factory.mktemp("k") / "kubelet.sock"
    topology = pods.TopologyInfo(nodes=[pods.NUMANode(ID=1)])
    devices = [pods.ContainerDevices(resource_name="nvidia.com/gpu", device_ids=IDS, topology=topology)]
    memory = [pods.ContainerMemory(memory_type="memory", size=1 << 40, topology=topology)]
    seed = pods.AllocatableResourcesResponse(devices=devices, cpu_ids=range(9), memory=memory).SerializeToString()
    responses = [seed]
    method = "/v1.PodResourcesLister/GetAllocatableResources"
    server = UnixServer(path, {method: Unary(lambda _: responses[-1]), "/v1.PodResourcesLister/List": Unary(bytes)})
    server.start()

    @fuzzed
    @given(mutated(seed))
    def check(response: bytes) -> None:
        responses.append(response)
        with suppress(KubeletError):
            assert all(isinstance(cpu, int) for cpu in read_node_resources(path).allocatable.cpus)

    try:
        check()
    finally:
        server.stop()


def _calls() -> bytes:
    """The bytes of a client that calls two methods, cancels a third call and closes the connection."""
    client = H2Connection(H2Configuration(client_side=True, header_encoding=None))
    client.initiate_connection()
    for number, method in ((1, "/t.T/Echo"), (3, "/t.T/Follow"), (5, "/t.T/Echo")):
        client.send_headers(number, render_request(method, 5))
        client.send_data(number, encode(b"abc"), end_stream=number != 5)
    client.ping(b"12345678")
    client.reset_stream(5)
    client.close_connection()
    return client.data_to_send()


@fuzzed
@given(mutated(_calls()))
def test_a_server_responds_or_closes_the_connection(sent: bytes) -> None:
    server_end, client_end = socket.socketpair()
    with server_end, client_end:
        client_end.sendall(sent)
        client_end.shutdown(socket.SHUT_WR)
        server_end.setblocking(False)
        methods: Methods = {"/t.T/Echo": Unary(bytes), "/t.T/Follow": Streaming(lambda request, out: out.send(request))}
        connection = Connection(server_end, methods, lambda _, function: function())
        while not connection.is_closed:
            connection.read()
        assert connection.calls == 0


EVENT = json.dumps({"type": "MODIFIED", "object": NODE}).encode() + b"\n"
GONE = json.dumps({"type": "ERROR", "object": {"code": 410, "reason": "Gone", "message": "old"}}).encode() + b"\n"
BOOKMARK = b'{"type": "BOOKMARK", "object": {"metadata": {"resourceVersion": "9"}}}\n'
events = mutated_json({"type": "MODIFIED", "object": NODE}).map(lambda event: json.dumps(event).encode() + b"\n")


NODES = resources.node("n")
LIST = {"metadata": {"resourceVersion": "7"}, "items": [NODE]}


def informer(api: ApiClient, resource: Resource[Any]) -> Informer[Any]:
    return Informer(api, resource, on_change=lambda _: None, on_error=lambda _: None)


@fuzzed
@given(mutated(EVENT, EVENT + BOOKMARK, GONE) | events)
def test_a_watch_ends_with_a_kube_error(content: bytes) -> None:
    """The second request fails."""
    responses = iter([content])

    def watch() -> bytes:
        try:
            return next(responses)
        except StopIteration:
            raise KubeError("no more events") from None

    with capture_logs() as logs:
        assert isinstance(informer(ScriptedApi(lambda: LIST, watch), NODES)._list_and_watch(), KubeError)
    assert logs == []


PAGE = {
    "metadata": {"resourceVersion": "7"},
    "items": [RULES, RULES | {"metadata": {"name": "b", "managedFields": []}}],
}


@fuzzed
@given(mutated_json(PAGE))
def test_a_list_contains_objects_or_is_an_error(page: Any) -> None:
    with suppress(KubeError):
        informer(ScriptedApi(lambda: page, lambda: b""), resources.node_feature_rules()).list_objects()


REQUEST = b"GET /readyz?verbose=1 HTTP/1.1\r\nHost: a\r\nAuthorization: Bearer x\r\nAccept: */*\r\n\r\n"


def test_the_health_port_responds_or_closes_the_connection(capfd: pytest.CaptureFixture[str]) -> None:
    server = HealthServer("127.0.0.1:0", Readiness(), Metrics())
    server.start()

    @fuzzed
    @given(mutated(REQUEST))
    def check(request: bytes) -> None:
        with socket.create_connection(("127.0.0.1", server.port), timeout=20) as connection:
            try:
                connection.sendall(request)
                connection.shutdown(socket.SHUT_WR)
                response = connection.makefile("rb").read()
            except OSError:
                response = b""
        assert not response.startswith(b"HTTP/1.0 500")

    try:
        check()
    finally:
        server.stop()
    assert capfd.readouterr().err == ""
