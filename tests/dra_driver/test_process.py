"""The process gpu-dra-driver with a simulated driver, an API server without Dynamic Resource Allocation, and the calls of a kubelet."""

import contextlib
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from dra_driver.__main__ import parse
from dra_driver.agent import NOT_OFFERED
from dra_driver.devices.collect import devices_of
from dra_driver.kubelet.plugin import plugin_paths
from dra_driver.slices.features import SliceFeatures
from dra_driver.slices.plan import plan_slices
from node_core.grpc_h2.client import Client
from node_core.kube.client import NodeApi
from node_core.kube.http import JSON
from node_core.kubelet import dra_health_pb2 as health_pb
from node_core.kubelet import dra_pb2 as pb
from node_core.kubelet import plugin_registration_pb2 as registration
from node_core.kubelet.rpc import call
from node_core.runtime.process import ProcessRunner
from simulation.apiserver import ApiServer, discovery
from tests.dra_driver.devices.gpus import gpu, inventory
from tests.waiting import until

NODE = "n1"
UID, OTHER = "0123abcd-e", "4567abcd-e"
"""Of two pods of the node."""
SCENARIO = """
driver: {version: "570.1", cuda: "12.8"}
gpus:
  - {model: NVIDIA H100 80GB HBM3, count: 2, memory: 81559Mi, compute: "9.0", device_id: "2330", mig: {mode: disabled}}
"""
XID = """
faults:
  - {at: 1, gpu: 1, kind: xid, code: 79}
"""
LOST = """
faults:
  - {at: 1, gpu: 1, kind: xid, code: 79}
  - {at: 1, gpu: 1, kind: lost}
"""
LOST_BEFORE = """
faults:
  - {at: 0, gpu: 1, kind: lost}
"""
SERVICE = "/k8s.io.kubelet.pkg.apis.dra.v1.DRAPlugin"


@dataclass
class Place:
    folder: Path
    server: ApiServer
    stack: contextlib.ExitStack

    def __post_init__(self) -> None:
        self.paths = plugin_paths(self.folder, UID)
        self.paths.registry.mkdir(parents=True)
        self.server.write_kubeconfig(self.folder / "kubeconfig")
        self.api = NodeApi(NODE, kubeconfig=str(self.folder / "kubeconfig"), user_agent="test")

    def start(self, *flags: str, scenario: str = SCENARIO) -> ProcessRunner:
        (self.folder / "scenario.yaml").write_text(scenario)
        program = parse([
            "--node-name", NODE, "--kubeconfig", str(self.folder / "kubeconfig"), "--simulate",
            str(self.folder / "scenario.yaml"), "--lock-dir", str(self.folder), "--http-address", "", "--kubelet-root",
            str(self.folder), "--cdi-dir", str(self.folder / "cdi"), "--pod-uid", UID, *flags,
        ])  # fmt: skip
        assert program is not None
        running = ProcessRunner(program)
        running.start()
        self.stack.callback(running.stop)
        return running

    def publish(self, index: int) -> None:
        """An earlier process has published a GPU."""
        for name, spec in plan_slices(devices_of(inventory(gpu(index))), {}, NODE, SliceFeatures()).items():
            body = {"metadata": {"name": name}, "spec": spec}
            self.api.request("POST", "/apis/resource.k8s.io/v1/resourceslices", body=body, content=JSON)

    def register(self) -> None:
        """The kubelet reports that it has registered the driver."""
        until(self.paths.registration_socket.is_socket)
        with Client(self.paths.registration_socket) as client:
            call(
                client,
                "/pluginregistration.Registration/NotifyRegistrationStatus",
                registration.RegistrationStatus(plugin_registered=True),
                registration.RegistrationStatusResponse,
                timeout=60,
            )

    def wait_for_health(self, device: str, status: int, message: str = "", *, uid: str = UID) -> health_pb.DeviceHealth:
        path = plugin_paths(self.folder, uid).socket
        until(path.is_socket)
        with Client(path) as client:
            for content in client.stream("/v1alpha1.DRAResourceHealth/NodeWatchResources", b"", timeout=60):
                for each in health_pb.NodeWatchResourcesResponse.FromString(content).devices:
                    if (each.device.device_name, each.health) == (device, status) and message in each.message:
                        return each
        raise AssertionError(f"{device} does not get the status {status}")


@pytest.fixture
def place() -> Iterator[Place]:
    with contextlib.ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="dra-")))
        server = stack.enter_context(ApiServer())
        server.add_node(NODE)
        yield Place(folder, server, stack)


def problems(running: ProcessRunner) -> dict[str, str | None]:
    return {name.partition("/")[2]: problem for name, problem in running.services.readiness.problems().items()}


def test_without_dra_in_the_api_server_and_the_kubelet_the_driver_waits_and_says_so(
    place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delitem(discovery.documents(), "/apis/resource.k8s.io")
    running = place.start()
    until(lambda: "has not registered" in str(problems(running)["kubelet"]), lambda: str(problems(running)))
    until(lambda: problems(running)["slices"] == NOT_OFFERED, lambda: str(problems(running)))
    with Client(place.paths.socket) as client:
        request = pb.NodePrepareResourcesRequest(claims=[pb.Claim(namespace="ml", name="a", uid="u")])
        response = call(client, f"{SERVICE}/NodePrepareResources", request, pb.NodePrepareResourcesResponse, timeout=60)
    assert "the API server has no resource.k8s.io" in response.claims["u"].error


def test_the_kubelet_registers_the_driver_again_after_its_socket_disappeared(place: Place) -> None:
    running = place.start()
    until(place.paths.registration_socket.is_socket)
    with Client(place.paths.registration_socket) as client:
        info = call(
            client,
            "/pluginregistration.Registration/GetInfo",
            registration.InfoRequest(),
            registration.PluginInfo,
            timeout=60,
        )
    place.register()
    assert info.endpoint == str(place.paths.socket)
    until(lambda: problems(running)["kubelet"] is None, lambda: str(problems(running)))
    place.paths.registration_socket.unlink()
    until(place.paths.registration_socket.is_socket)


def test_an_xid_makes_a_device_unhealthy_for_the_kubelet_and_not_another(place: Place) -> None:
    place.start(scenario=SCENARIO + XID)
    found = place.wait_for_health("gpu-1", health_pb.UNHEALTHY)
    assert (found.device.pool_name, found.message) == (NODE, "gpu.nvidia.com/xid=79")
    place.wait_for_health("gpu-0", health_pb.HEALTHY)


def test_a_restart_of_the_driver_does_not_make_a_gpu_healthy(place: Place) -> None:
    running = place.start(scenario=SCENARIO + XID)
    place.wait_for_health("gpu-1", health_pb.UNHEALTHY)
    running.stop()
    place.start()
    found = place.wait_for_health("gpu-1", health_pb.UNHEALTHY)
    assert found.message == "gpu.nvidia.com/xid=79"


def test_a_gpu_that_is_lost_stays_a_device_and_is_unhealthy(place: Place) -> None:
    place.start(scenario=SCENARIO + LOST)
    place.wait_for_health("gpu-1", health_pb.UNHEALTHY, "gpu.nvidia.com/gpu-lost")
    place.wait_for_health("gpu-0", health_pb.HEALTHY)


def test_a_gpu_that_is_missing_stays_a_device_while_the_record_of_claims_cannot_be_read(place: Place) -> None:
    place.publish(2)
    place.paths.claims_file.parent.mkdir(parents=True)
    place.paths.claims_file.write_text('{"version": 2}')
    place.start()
    place.wait_for_health("gpu-2", health_pb.UNHEALTHY, "gpu.nvidia.com/gpu-lost")


def test_a_gpu_that_was_lost_before_the_start_stays_a_device_and_is_unhealthy(place: Place) -> None:
    place.publish(1)
    place.start(scenario=SCENARIO + LOST_BEFORE)
    place.wait_for_health("gpu-1", health_pb.UNHEALTHY, "gpu.nvidia.com/gpu-lost")
    place.wait_for_health("gpu-0", health_pb.HEALTHY)


def test_with_dynamic_mig_each_possible_mig_device_is_a_device(place: Place) -> None:
    place.start("--dra-dynamic-mig")
    place.wait_for_health("gpu-0-mig-1g10gb-19-6", health_pb.HEALTHY)


def test_while_gpu_device_plugin_offers_the_gpus_the_driver_offers_none(place: Place) -> None:
    place.api.patch_status("test", {"status": {"allocatable": {"nvidia.com/gpu": "2"}}})
    running = place.start()
    until(lambda: "gpu-device-plugin offers" in str(problems(running)["slices"]), lambda: str(problems(running)))


def test_without_the_folder_of_the_kubelet_the_driver_waits(place: Place) -> None:
    place.paths.registry.rmdir()
    running = place.start()
    until(lambda: "plugins_registry does not exist" in str(problems(running)["kubelet"]))
    place.paths.registry.mkdir()
    until(place.paths.registration_socket.is_socket)


def test_the_sockets_are_removed_at_the_end(place: Place) -> None:
    running = place.start()
    until(place.paths.registration_socket.is_socket)
    running.stop()
    assert not place.paths.registration_socket.exists()
    assert not place.paths.socket.exists()


def test_a_second_process_serves_the_kubelet_and_publishes_when_the_first_one_ends(place: Place) -> None:
    first = place.start()
    until(lambda: problems(first)["slices"] == NOT_OFFERED, lambda: str(problems(first)))
    second = place.start("--pod-uid", OTHER)
    paths = plugin_paths(place.folder, OTHER)
    until(paths.registration_socket.is_socket)
    until(lambda: problems(second)["gpus"] is None, lambda: str(problems(second)))
    assert place.paths.registration_socket.is_socket()
    assert problems(second)["slices"] is None
    first.stop()
    place.wait_for_health("gpu-0", health_pb.HEALTHY, uid=OTHER)
    until(lambda: problems(second)["slices"] == NOT_OFFERED, lambda: str(problems(second)))
    assert [*place.paths.registry.glob("*.sock")] == [paths.registration_socket]
