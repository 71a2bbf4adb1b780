"""The gRPC services on sockets: the calls of a kubelet in both versions, errors of single claims, and sockets that disappear."""

import socket
import tempfile
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import grpc
import pytest

from dra_driver.claims.ref import ClaimRef
from dra_driver.kubelet.health import DeviceHealth, HealthBroadcaster
from dra_driver.kubelet.plugin import DraSockets, PluginPaths, plugin_paths
from dra_driver.kubelet.services import (
    MAX_CLAIMS,
    SERVICES,
    PreparedDevice,
    dra_methods,
    registration_methods,
)
from node_core.errors import KubeletError, MigError
from node_core.grpc_h2.client import Client
from node_core.grpc_h2.status import CallError
from node_core.kubelet import dra_health_pb2 as health_pb
from node_core.kubelet import dra_pb2 as pb
from node_core.kubelet import plugin_registration_pb2 as registration
from node_core.kubelet.rpc import call
from node_core.values import replace

DEVICE = PreparedDevice(requests=("gpu",), pool="n1", device="gpu-0", cdi=("k8s.gpu.nvidia.com/claim=u1-gpu-0",))


class Driver:
    """A driver whose claims with the name `bad` fail."""

    def __init__(self, folder: Path) -> None:
        (folder / "plugins_registry").mkdir()
        self.paths = plugin_paths(folder)
        self.executor = ThreadPoolExecutor(2)
        self.health = HealthBroadcaster()
        self.statuses: list[str | None] = []
        self.unprepared: list[ClaimRef] = []
        self.sockets = DraSockets(
            self.paths,
            {**dra_methods(self.prepare, self.unprepare, self.executor), **self.health.methods},
            registration_methods(str(self.paths.socket), self.statuses.append),
        )

    def prepare(self, claim: ClaimRef) -> tuple[PreparedDevice, ...]:
        if claim.name == "bad":
            raise MigError("GPU 0 is gone")
        if claim.name == "broken":
            raise ZeroDivisionError
        if claim.name == "alternatives":
            return (replace(DEVICE, requests=("gpu/large", "gpu/small", "other")),)
        return (DEVICE,)

    def unprepare(self, claim: ClaimRef) -> None:
        self.prepare(claim)
        self.unprepared.append(claim)


@pytest.fixture
def driver() -> Iterator[Driver]:
    with tempfile.TemporaryDirectory(prefix="dra-") as folder:  # the path of a socket is short
        made = Driver(Path(folder))
        made.sockets.ensure()
        yield made
        made.sockets.stop()
        made.executor.shutdown()


def claims(*names: str) -> list[pb.Claim]:
    return [pb.Claim(namespace="ml", uid=f"u-{name}", name=name) for name in names]


@pytest.mark.parametrize("service", SERVICES)
def test_a_claim_that_fails_does_not_affect_the_others(driver: Driver, service: str) -> None:
    method = f"/k8s.io.kubelet.pkg.apis.dra.{service}/NodePrepareResources"
    request = pb.NodePrepareResourcesRequest(claims=claims("a", "bad", "broken"))
    with Client(driver.paths.socket) as client:
        response = call(client, method, request, pb.NodePrepareResourcesResponse, timeout=10)
    assert [*response.claims["u-a"].devices] == [
        pb.Device(request_names=["gpu"], pool_name="n1", device_name="gpu-0", cdi_device_ids=DEVICE.cdi)
    ]
    assert response.claims["u-bad"].error == "GPU 0 is gone"
    assert response.claims["u-broken"].error.startswith("ZeroDivisionError")
    assert len(response.claims) == 3


def test_the_kubelet_gets_the_request_of_a_subrequest_because_containers_name_requests(driver: Driver) -> None:
    method = f"/k8s.io.kubelet.pkg.apis.dra.{SERVICES[0]}/NodePrepareResources"
    request = pb.NodePrepareResourcesRequest(claims=claims("alternatives"))
    with Client(driver.paths.socket) as client:
        response = call(client, method, request, pb.NodePrepareResourcesResponse, timeout=10)
    assert [*response.claims["u-alternatives"].devices[0].request_names] == ["gpu", "other"]


def test_a_client_of_the_grpc_library_gets_one_response(driver: Driver) -> None:
    method = f"/k8s.io.kubelet.pkg.apis.dra.{SERVICES[0]}/NodePrepareResources"
    with grpc.insecure_channel(f"unix:{driver.paths.socket}") as channel:
        prepare = channel.unary_unary(
            method,
            request_serializer=pb.NodePrepareResourcesRequest.SerializeToString,
            response_deserializer=pb.NodePrepareResourcesResponse.FromString,
        )
        response = prepare(pb.NodePrepareResourcesRequest(claims=claims("a", "bad")), timeout=30)
    assert response.claims["u-a"].devices[0].device_name == "gpu-0"
    assert response.claims["u-bad"].error == "GPU 0 is gone"


def test_each_claim_of_an_unprepare_call_has_an_entry(driver: Driver) -> None:
    method = f"/k8s.io.kubelet.pkg.apis.dra.{SERVICES[0]}/NodeUnprepareResources"
    request = pb.NodeUnprepareResourcesRequest(claims=claims("a", "bad"))
    with Client(driver.paths.socket) as client:
        response = call(client, method, request, pb.NodeUnprepareResourcesResponse, timeout=10)
    assert {uid: each.error for uid, each in response.claims.items()} == {"u-a": "", "u-bad": "GPU 0 is gone"}
    assert [str(each) for each in driver.unprepared] == ["ml/a"]


def test_a_call_with_too_many_claims_is_refused(driver: Driver) -> None:
    method = f"/k8s.io.kubelet.pkg.apis.dra.{SERVICES[0]}/NodePrepareResources"
    request = pb.NodePrepareResourcesRequest(claims=claims("a") * (MAX_CLAIMS + 1))
    with Client(driver.paths.socket) as client, pytest.raises(CallError) as error:
        call(client, method, request, pb.NodePrepareResourcesResponse, timeout=10)
    assert error.value.code == "INVALID_ARGUMENT"


def test_a_claim_that_takes_long_does_not_block_another_call(driver: Driver) -> None:
    begun, goes_on = threading.Event(), threading.Event()
    methods = f"/k8s.io.kubelet.pkg.apis.dra.{SERVICES[0]}/"

    def unprepare(_: ClaimRef) -> None:
        begun.set()
        assert goes_on.wait(30)

    driver.sockets.stop()
    slow = dra_methods(driver.prepare, unprepare, driver.executor)
    driver.sockets = DraSockets(driver.paths, slow, {})
    driver.sockets.ensure()
    with Client(driver.paths.socket) as client, ThreadPoolExecutor(1) as caller:
        request = pb.NodeUnprepareResourcesRequest(claims=claims("a"))
        slow_call = caller.submit(
            call,
            client,
            f"{methods}NodeUnprepareResources",
            request,
            pb.NodeUnprepareResourcesResponse,
            timeout=30,
        )
        assert begun.wait(30)
        prepare = pb.NodePrepareResourcesRequest(claims=claims("b"))
        assert call(client, f"{methods}NodePrepareResources", prepare, pb.NodePrepareResourcesResponse, timeout=30)
        goes_on.set()
        assert slow_call.result(30).claims["u-a"].error == ""


def test_the_kubelet_gets_the_versions_and_reports_the_result(driver: Driver) -> None:
    service = "/pluginregistration.Registration"
    with Client(driver.paths.registration_socket) as client:
        info = call(client, f"{service}/GetInfo", registration.InfoRequest(), registration.PluginInfo, timeout=10)
        for status in (
            registration.RegistrationStatus(plugin_registered=True),
            registration.RegistrationStatus(error="no"),
            registration.RegistrationStatus(),
        ):
            call(
                client,
                f"{service}/NotifyRegistrationStatus",
                status,
                registration.RegistrationStatusResponse,
                timeout=10,
            )
    assert (info.type, info.name, info.endpoint) == ("DRAPlugin", "gpu.nvidia.com", str(driver.paths.socket))
    assert tuple(info.supported_versions) == (*SERVICES, "v1alpha1.DRAResourceHealth")
    assert driver.statuses == [None, "no", "the kubelet gave no reason"]


def test_a_socket_that_disappears_is_served_again(driver: Driver) -> None:
    driver.paths.registration_socket.unlink()
    was_in_place = driver.sockets.is_in_place
    driver.sockets.ensure()
    assert (was_in_place, driver.sockets.is_in_place) == (False, True)
    assert driver.paths.socket.is_socket()


def test_without_the_folder_of_the_kubelet_the_driver_says_so(tmp_path: Path) -> None:
    sockets = DraSockets(PluginPaths(registry=tmp_path / "none", data=tmp_path / "data"), {}, {})
    with pytest.raises(KubeletError, match="none does not exist"):
        sockets.ensure()
    assert not (tmp_path / "data").exists()


def test_two_pods_serve_different_sockets(tmp_path: Path) -> None:
    one, two = (plugin_paths(tmp_path, uid) for uid in ("aaaaaaaa-1", "bbbbbbbb-2"))
    assert one.registration_socket.name == "gpu.nvidia.com-aaaaaaaa-reg.sock"
    assert one.socket != two.socket
    assert one.claims_file == two.claims_file


def test_the_sockets_of_a_killed_pod_are_removed_and_those_of_a_running_one_stay(driver: Driver) -> None:
    dead = driver.paths.registry / "gpu.nvidia.com-dead-reg.sock"
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(dead))
    other = driver.paths.registry / "other.example.com-reg.sock"
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(other))
    paths = replace(driver.paths, instance="new")
    sockets = DraSockets(paths, {}, {})
    sockets.ensure()
    assert not dead.exists()
    assert (other.is_socket(), driver.sockets.is_in_place, sockets.is_in_place) == (True, True, True)
    sockets.stop()


def test_the_kubelet_gets_the_health_at_once_and_at_each_change(driver: Driver) -> None:
    driver.health.publish([DeviceHealth(pool="n1", device="gpu-0", is_healthy=True)], now=5.5)
    with Client(driver.paths.socket) as client:
        stream = client.stream("/v1alpha1.DRAResourceHealth/NodeWatchResources", b"")
        first = health_pb.NodeWatchResourcesResponse.FromString(next(stream))
        driver.health.publish([DeviceHealth(pool="n1", device="gpu-0", is_healthy=False, message="x" * 2000)], now=6)
        second = health_pb.NodeWatchResourcesResponse.FromString(next(stream))
    assert (first.devices[0].health, first.devices[0].last_updated_time) == (health_pb.HEALTHY, 5)
    assert (second.devices[0].health, len(second.devices[0].message)) == (health_pb.UNHEALTHY, 1024)


def test_only_the_sockets_of_killed_pods_are_removed(driver: Driver) -> None:
    other = plugin_paths(driver.paths.data.parents[1], "bbbbbbbb-2")
    running = DraSockets(other, {}, {})
    running.ensure()
    dead = driver.paths.registry / "gpu.nvidia.com-cccccccc-reg.sock"
    with socket.socket(socket.AF_UNIX) as killed:
        killed.bind(str(dead))
    driver.sockets.remove_dead()
    assert not dead.exists()
    assert driver.sockets.is_in_place
    assert running.is_in_place
    running.stop()
