"""What comes over wires: requests of a kubelet, its answers, watch events, a client's HTTP. Only errors that say something come back."""

import json
import socket
from collections.abc import Iterator
from contextlib import suppress
from typing import Any

import grpc
import pytest
from hypothesis import given
from structlog.testing import capture_logs

from device_plugin.allocate.strategies import Answering, build_strategies
from device_plugin.devices import Device, DeviceId, Offer
from device_plugin.plugin import ResourcePlugin
from node_core.domain.inventory import GpuUuid
from node_core.domain.node import NodeView, parse_node
from node_core.domain.resources import GPU
from node_core.errors import KubeError, KubeletError
from node_core.kube.client import understand
from node_core.kube.collection import Collection
from node_core.kube.watch import ObjectWatch
from node_core.kubelet import deviceplugin_pb2 as pb
from node_core.kubelet import podresources_pb2 as pods
from node_core.kubelet.podresources import read_holders
from node_core.kubelet.rpc import explain, open_channel
from node_core.kubelet.server import UnixServer
from node_core.runtime.http import HealthServer
from node_core.runtime.metrics import Metrics
from node_core.runtime.readiness import Readiness
from tests.fuzz.mutations import mutated, mutated_json
from tests.fuzz.parsers import NODE, RULES
from tests.fuzz.profile import fuzzed
from tests.node_core.kube.answer import Answer

pytestmark = pytest.mark.fuzz

IDS = [f"GPU-{index}" for index in range(4)]
OFFER = Offer(devices=tuple(Device(id=DeviceId(each), uuid=each, index=each[4:], gpu=GpuUuid(each)) for each in IDS))
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
UNDECODABLE = "Exception deserializing request!"


@pytest.fixture
def channel(tmp_path_factory: pytest.TempPathFactory) -> Iterator[grpc.Channel]:
    folder = tmp_path_factory.mktemp("k")
    plugin = ResourcePlugin(
        GPU,
        OFFER,
        directory=folder,
        kubelet_socket=folder / "kubelet.sock",
        strategies=build_strategies(Answering(), lambda: "token"),
    )
    plugin.serve()
    with open_channel(plugin.path) as opened:
        yield opened
    plugin.stop()


@pytest.mark.parametrize("method", METHODS)
def test_a_request_is_answered_or_refused_with_a_reason(method: str, channel: grpc.Channel) -> None:
    call = channel.unary_unary(method, request_serializer=bytes, response_deserializer=bytes)

    @fuzzed
    @given(mutated(*METHODS.values()))
    def check(request: bytes) -> None:
        try:
            call(request, timeout=10)
        except grpc.RpcError as error:
            code, why = explain(error)
            assert (
                code in {"INVALID_ARGUMENT", "NOT_FOUND", "FAILED_PRECONDITION", "UNIMPLEMENTED"} or why == UNDECODABLE
            )

    check()


def test_any_answer_of_the_kubelet_names_pods_or_is_an_error(tmp_path_factory: pytest.TempPathFactory) -> None:
    path = tmp_path_factory.mktemp("k") / "kubelet.sock"
    devices = [pods.ContainerDevices(resource_name="nvidia.com/gpu", device_ids=IDS)]
    pod = pods.PodResources(name="p", namespace="n", containers=[pods.ContainerResources(name="c", devices=devices)])
    seed = pods.ListPodResourcesResponse(pod_resources=[pod, pod]).SerializeToString()
    answers = [seed]
    method: grpc.RpcMethodHandler[bytes, bytes] = grpc.unary_unary_rpc_method_handler(lambda _, __: answers[-1])
    server = UnixServer(path, grpc.method_handlers_generic_handler("v1.PodResourcesLister", {"List": method}))
    server.start()

    @fuzzed
    @given(mutated(seed))
    def check(answer: bytes) -> None:
        answers.append(answer)
        with suppress(KubeletError):
            assert all(isinstance(holder.name, str) for holder in read_holders(path))

    try:
        check()
    finally:
        server.stop()


class Subject:
    """A Node whose watch says this once, and then nothing more."""

    shown = "Node n"
    path = "/api/v1/nodes"

    def __init__(self, content: bytes) -> None:
        self._contents = [content]

    def look(self) -> tuple[NodeView, str]:
        if not self._contents:
            raise KubeError("that was all")
        return parse_node(NODE), "7"

    def open_watch(self, **_: Any) -> Any:
        if not self._contents:
            raise KubeError("that was all")
        return Answer(self._contents.pop())

    def state(self, event: str, obj: Any) -> NodeView:
        if event == "DELETED":
            raise KubeError("it was deleted", status=404)
        return understand(parse_node, obj)


EVENT = json.dumps({"type": "MODIFIED", "object": NODE}).encode() + b"\n"
GONE = json.dumps({"type": "ERROR", "object": {"code": 410, "reason": "Gone", "message": "old"}}).encode() + b"\n"
BOOKMARK = b'{"type": "BOOKMARK", "object": {"metadata": {"resourceVersion": "9"}}}\n'
events = mutated_json({"type": "MODIFIED", "object": NODE}).map(lambda event: json.dumps(event).encode() + b"\n")


@fuzzed
@given(mutated(EVENT, EVENT + BOOKMARK, GONE) | events)
def test_a_watch_ends_with_an_error_of_ours_whatever_it_is_sent(content: bytes) -> None:
    with capture_logs():
        watch = ObjectWatch(Subject(content), seen=lambda _: None, failed=lambda _: None)
        assert isinstance(watch._follow(), KubeError)


class Listed:
    """An API that answers a list with this."""

    def __init__(self, page: Any) -> None:
        self._page = page

    def request(self, *_: Any, **__: Any) -> Any:
        return self._page


PAGE = {
    "metadata": {"resourceVersion": "7"},
    "items": [RULES, RULES | {"metadata": {"name": "b", "managedFields": []}}],
}


@fuzzed
@given(mutated_json(PAGE))
def test_a_list_is_objects_or_an_error(page: Any) -> None:
    with suppress(KubeError):
        Collection(Listed(page), shown="rules", path="/x").look()  # type: ignore[arg-type]


REQUEST = b"GET /readyz?verbose=1 HTTP/1.1\r\nHost: a\r\nAuthorization: Bearer x\r\nAccept: */*\r\n\r\n"


def test_the_health_port_answers_or_hangs_up(capfd: pytest.CaptureFixture[str]) -> None:
    server = HealthServer("127.0.0.1:0", Readiness(), Metrics())
    server.start()

    @fuzzed
    @given(mutated(REQUEST))
    def check(request: bytes) -> None:
        with socket.create_connection(("127.0.0.1", server.port), timeout=20) as connection:
            try:
                connection.sendall(request)
                connection.shutdown(socket.SHUT_WR)
                answer = connection.makefile("rb").read()
            except OSError:
                answer = b""
        assert not answer.startswith(b"HTTP/1.0 500")

    try:
        check()
    finally:
        server.stop()
    assert capfd.readouterr().err == ""
