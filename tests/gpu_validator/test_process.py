"""The process gpu-validator with a simulated API server, kubelet, container runtime and driver."""

import contextlib
import json
import os
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from dra_driver.agent import NAME as DRIVER
from dra_driver.claims.specs import CLAIM_PREFIX, KIND
from gpu_validator.__main__ import parse
from gpu_validator.container import FIRST_MISSING
from gpu_validator.files import STAGES
from node_core.domain.backoff import Backoff
from node_core.domain.conditions import GPU_VALIDATED, ObservedCondition
from node_core.grpc_h2.methods import Unary
from node_core.kube.client import NodeApi
from node_core.kubelet import cri_pb2 as cri
from node_core.kubelet import podresources_pb2 as pb
from node_core.kubelet.server import UnixServer
from node_core.runtime.instance_lock import instance_lock_path
from node_core.runtime.process import ProcessRunner
from simulation.apiserver import ApiServer
from tests.gpu_validator.nodes import RESOURCE, spec
from tests.gpu_validator.runtime import FakeRuntime
from tests.gpu_validator.test_build import hold
from tests.gpu_validator.test_slices import device, slice_of
from tests.waiting import until

NODE = "n1"
UUID = "GPU-00000000-0000-0000-0000-000000000001"
SCENARIO = f"""
driver: {{version: "570.1", cuda: "12.8"}}
gpus: [{{model: NVIDIA H100 80GB HBM3, uuid: [{UUID}], count: 1, memory: 81559Mi, compute: "9.0", device_id: "2330"}}]
"""
NO_GPUS = "driver: null\ngpus: []\n"


class Place:
    """A node. devices: ids of the kubelet."""

    def __init__(self, folder: Path, server: ApiServer, stack: contextlib.ExitStack) -> None:
        self.folder, self.server, self.stack = folder, server, stack
        self.kubeconfig, self.files, self.cdi = folder / "kubeconfig", folder / "validations", folder / "cdi" / "a.json"
        server.write_kubeconfig(self.kubeconfig)
        self.api = NodeApi(NODE, kubeconfig=str(self.kubeconfig), user_agent="test")
        self.devices = [UUID]
        self.runtime = FakeRuntime()
        for path in (self.cdi.parent, folder / "pod-resources"):
            path.mkdir()
        self.write_spec()
        self.socket = stack.enter_context(self.runtime.serve(folder / "runtime.sock"))
        methods = {"/v1.PodResourcesLister/GetAllocatableResources": Unary(self._allocatable)}
        methods["/v1.PodResourcesLister/List"] = Unary(lambda _: pb.ListPodResourcesResponse().SerializeToString())
        kubelet = UnixServer(folder / "pod-resources" / "kubelet.sock", methods, name="pod-resources")
        kubelet.start()
        stack.callback(kubelet.stop)

    def write_spec(self) -> None:
        content = spec(UUID)
        content["devices"][0]["containerEdits"]["deviceNodes"] = [{"path": "/dev/null"}]
        self.cdi.write_text(json.dumps(content))

    def start(self, scenario: str = SCENARIO) -> ProcessRunner:
        (self.folder / "scenario.yaml").write_text(scenario)
        program = parse([
            "--node-name", NODE, "--kubeconfig", str(self.kubeconfig), "--simulate", str(self.folder / "scenario.yaml"),
            "--lock-dir", str(self.folder), "--http-address", "", "--cdi-dir", str(self.cdi.parent),
            "--podresources-socket", str(self.folder / "pod-resources" / "kubelet.sock"), "--device-plugin-dir",
            str(self.folder / "device-plugins"), "--validations-dir", str(self.files), "--runtime-socket",
            str(self.socket), "--container-image", "sha256:1", "--device-list-strategy", "cdi-cri",
        ])  # fmt: skip
        assert program is not None
        running = ProcessRunner(program)
        running.start()
        self.stack.callback(running.stop)
        return running

    def allocate(self, amount: str) -> None:
        body = {"status": {"allocatable": {RESOURCE: amount}, "capacity": {RESOURCE: amount}}}
        self.api.request("PATCH", f"/api/v1/nodes/{NODE}/status", body=body, content="application/merge-patch+json")
        self.server.forget_requests()

    @property
    def condition(self) -> ObservedCondition:
        return self.api.get().conditions.get(GPU_VALIDATED, ObservedCondition())

    def wait_for(self, reason: str) -> str:
        until(lambda: self.condition.reason == reason, lambda: str(self.condition))
        return self.condition.message

    def _allocatable(self, _: bytes) -> bytes:
        devices = [pb.ContainerDevices(resource_name=RESOURCE, device_ids=self.devices)]
        return bytes(pb.AllocatableResourcesResponse(devices=devices).SerializeToString())


@pytest.fixture
def place(monkeypatch: pytest.MonkeyPatch) -> Iterator[Place]:
    monkeypatch.setattr("gpu_validator.agent.INTERVAL_SECONDS", 0.0)
    monkeypatch.setattr("gpu_validator.agent.SETTLE_SECONDS", 0.0)
    with contextlib.ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="validator-")))
        server = stack.enter_context(ApiServer())
        server.add_node(NODE)
        yield Place(folder, server, stack)


def names(folder: Path) -> set[str]:
    return {each.name for each in folder.iterdir()} if folder.exists() else set()


def test_a_node_is_valid_after_the_registration_and_gets_its_files(place: Place) -> None:
    place.start()
    assert "The Node has no allocatable" in place.wait_for("NotRegistered")
    until(lambda: names(place.files) == {"driver-ready", "toolkit-ready", "cuda-ready"})
    place.allocate("1")
    message = place.wait_for("Validated")
    assert (
        message
        == "The GPUs are simulated. Passed: driver, cdi, kubelet, container. Not applicable: device-nodes, cuda, resource-slices."
    )
    until(lambda: names(place.files) == set(STAGES))
    (container,) = place.runtime.containers
    assert list(container.command)[-1] == "/dev/null"
    assert place.runtime.sandboxes == {}


def test_a_deleted_specification_makes_the_node_invalid_until_it_is_back(place: Place) -> None:
    place.allocate("1")
    place.start()
    place.wait_for("Validated")
    place.cdi.unlink()
    assert "no CDI specification" in place.wait_for("CDIFailed")
    assert names(place.files) == {"driver-ready"}
    place.write_spec()
    place.wait_for("Validated")


def test_a_node_of_the_dra_driver_is_valid_with_its_slices_and_the_first_claim_gets_a_container(
    place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("gpu_validator.agent.RETRIES", Backoff(first=0.05, maximum=0.05))
    place.devices = []
    place.cdi.unlink()
    place.stack.callback(os.close, hold(instance_lock_path(place.folder, DRIVER, NODE)))
    place.start()
    assert "The Node has no ResourceSlice of gpu.nvidia.com" in place.wait_for("ResourceSlicesFailed")
    body = {"metadata": {"name": "n1-0"}, **slice_of(device(UUID))}
    place.api.request("POST", "/apis/resource.k8s.io/v1/resourceslices", body=body, content="application/json")
    assert "Passed: driver, resource-slices." in place.wait_for("Validated")
    assert names(place.files) == set(STAGES)
    content = spec("u1-gpu-0", kind=KIND)
    content["devices"][0]["containerEdits"]["deviceNodes"] = [{"path": "/dev/null"}]
    (place.cdi.parent / f"{CLAIM_PREFIX}u1.json").write_text(json.dumps(content))
    until(lambda: "Passed: driver, resource-slices, container." in place.condition.message)
    (container,) = place.runtime.containers
    assert [each.name for each in container.CDI_devices] == [f"{KIND}=u1-gpu-0"]


def test_a_container_without_its_device_makes_the_node_invalid(place: Place) -> None:
    place.allocate("1")
    place.runtime.ended = [cri.ContainerStatus(state=cri.CONTAINER_EXITED, exit_code=FIRST_MISSING)]
    place.start()
    assert "lacks /dev/null" in place.wait_for("ContainerFailed")


def test_at_the_end_no_file_remains(place: Place) -> None:
    place.files.mkdir()
    (place.files / "plugin-ready").touch()
    place.allocate("1")
    running = place.start()
    place.wait_for("Validated")
    running.stop()
    assert names(place.files) == set()


def test_a_node_without_gpus_gets_neither_a_condition_nor_files(place: Place) -> None:
    place.start(NO_GPUS)
    until(lambda: place.server.requests["watch", "/api/v1/nodes"])
    place.allocate("1")
    assert place.condition == ObservedCondition()
    assert names(place.files) == set()
