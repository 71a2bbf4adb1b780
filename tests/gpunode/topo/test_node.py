"""Reading this node: the CPUs of NUMA nodes, the devices of pods, the settings of the running plugin."""

import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from device_plugin.devices import Plan
from device_plugin.settings import PluginSettings
from gpu_core import assembly
from gpu_core.domain.inventory import Inventory
from gpunode.topo.node import NodeReading, read_devices_in_use, read_node
from node_core.errors import KubeletError
from node_core.grpc_h2.methods import Unary
from node_core.kubelet import podresources_pb2 as pb
from node_core.kubelet.server import UnixServer
from node_core.runtime.named_config import NamedConfigOptions
from node_core.values import replace
from tests.device_plugin.conftest import make_gpu
from tests.device_plugin.plan.plans import inventory


@pytest.fixture
def folder() -> Iterator[Path]:
    with tempfile.TemporaryDirectory(prefix="gpunode-topo-") as path:
        yield Path(path)


def reading(socket: Path, node: Inventory) -> NodeReading:
    settings = PluginSettings(podresources_socket=socket)
    return NodeReading(inventory=node, plan=Plan(), settings=settings, cpus={}, is_agent=False)


def serve(socket: Path) -> UnixServer:
    devices = [pb.ContainerDevices(resource_name="nvidia.com/gpu", device_ids=["GPU-0", "GPU-1"])]
    pod = pb.PodResources(name="train", namespace="ml", containers=[pb.ContainerResources(name="c", devices=devices)])
    content = pb.ListPodResourcesResponse(pod_resources=[pod]).SerializeToString()
    return UnixServer(socket, {"/v1.PodResourcesLister/List": Unary(lambda _: content)}, name="pod-resources")


def test_the_kubelet_lists_the_devices_in_use(folder: Path) -> None:
    server = serve(folder / "kubelet.sock")
    server.start()
    try:
        assert read_devices_in_use(reading(folder / "kubelet.sock", inventory(make_gpu(0)))) == {
            "GPU-0": "ml/train",
            "GPU-1": "ml/train",
        }
    finally:
        server.stop(0)


def test_without_a_kubelet_the_devices_in_use_are_unknown(folder: Path) -> None:
    with pytest.raises(KubeletError, match="cannot list the devices of the pods"):
        read_devices_in_use(reading(folder / "kubelet.sock", inventory(make_gpu(0))))


def test_no_pod_has_a_simulated_gpu(folder: Path) -> None:
    assert read_devices_in_use(reading(folder / "x", replace(inventory(make_gpu(0)), simulated=True))) == {}


def test_the_host_states_the_cpus_of_each_numa_node(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    node = inventory(make_gpu(0, numa=0), make_gpu(1, numa=1), make_gpu(2))
    monkeypatch.setattr(assembly, "read_gpus", lambda *_: node)
    monkeypatch.setattr(assembly, "may_have_gpus", lambda _: True)
    cpus = folder / "sys/devices/system/node/node0/cpulist"
    cpus.parent.mkdir(parents=True)
    cpus.write_text("0-15,32-47\n")
    found = read_node([f"--host-root={folder}", f"--lock-dir={folder}"])
    assert found.cpus == {0: "0-15,32-47"}
    assert not found.is_agent


def test_a_config_that_a_label_selects_is_noted(folder: Path) -> None:
    found = reading(folder, inventory(make_gpu(0)))
    assert found.config_note is None
    named = NamedConfigOptions(place=folder, label="x", default="", fallbacks=())
    assert replace(found, settings=replace(found.settings, named=named)).config_note is not None
