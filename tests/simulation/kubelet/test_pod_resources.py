"""The simulated kubelet serves the pod-resources API."""

import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from node_core.domain.node_resources import DeviceGroup, ExclusiveResources, NodeResources, PodAllocation
from node_core.kubelet.allocations import read_node_resources
from node_core.kubelet.podresources import ContainerDevices, PodDevices, list_pod_devices
from simulation.kubelet.cpus import CpuTable
from simulation.kubelet.devices import Resource
from simulation.kubelet.kubelet import ContainerGrant
from simulation.kubelet.pod_resources import pod_resources_server

GPU = "nvidia.com/gpu"


class FakeKubelet:
    """Three GPUs, of which one is not healthy and one has no NUMA node, and four CPUs."""

    cpus = CpuTable({0: 0, 1: 1, 2: 0, 3: 1})

    def resources(self) -> dict[str, Resource]:
        return {GPU: Resource(capacity=3, allocatable=2)}

    def device_health(self, resource: str) -> dict[str, bool]:
        return {"GPU-0": True, "GPU-1": True, "GPU-2": False} if resource == GPU else {}

    def numa_nodes(self, resource: str) -> dict[str, tuple[int, ...]]:
        return {"GPU-0": (0,), "GPU-1": ()} if resource == GPU else {}


class FakeAgent:
    """The Pods of a NodeAgent."""

    kubelet = FakeKubelet()

    def __init__(self) -> None:
        gpus = ContainerGrant(device_ids={GPU: ("GPU-0", "GPU-1")}, cpus=frozenset({0, 2}))
        mig = ContainerGrant(device_ids={"nvidia.com/mig-1g.10gb": ("MIG-0",)})
        self.names = {"uid-a": ("team", "a"), "uid-b": ("default", "b")}
        self.grants = {"uid-a": {"c0": gpus, "c1": mig}}


@pytest.fixture
def socket() -> Iterator[Path]:
    with tempfile.TemporaryDirectory(prefix="k-") as path:  # the path of a Unix socket has at most 107 bytes
        yield Path(path, "pod-resources", "kubelet.sock")


def test_the_devices_of_all_pods_of_the_node_are_listed(socket: Path) -> None:
    server = pod_resources_server(socket, FakeAgent())  # type: ignore[arg-type] # only the Pods are used
    server.start()
    pods = list_pod_devices(socket)
    server.stop()
    assert pods == (
        PodDevices(
            namespace="team",
            name="a",
            containers=(
                ContainerDevices(name="c0", devices=frozenset({"GPU-0", "GPU-1"})),
                ContainerDevices(name="c1", devices=frozenset({"MIG-0"})),
            ),
        ),
        PodDevices(namespace="default", name="b"),
    )
    assert not socket.exists()


def test_the_resources_of_the_node_and_of_its_pods_have_their_numa_nodes(socket: Path) -> None:
    server = pod_resources_server(socket, FakeAgent())  # type: ignore[arg-type] # only the Pods and the kubelet are used
    server.start()
    found = read_node_resources(socket)
    server.stop()
    gpus = (
        DeviceGroup(resource=GPU, ids=frozenset({"GPU-0"}), numa_nodes=frozenset({0})),
        DeviceGroup(resource=GPU, ids=frozenset({"GPU-1"})),
    )
    mig = DeviceGroup(resource="nvidia.com/mig-1g.10gb", ids=frozenset({"MIG-0"}))
    containers = (
        ExclusiveResources(cpus=frozenset({0, 2}), devices=gpus),
        ExclusiveResources(devices=(mig,)),
    )
    assert found == NodeResources(
        allocatable=ExclusiveResources(cpus=frozenset({0, 1, 2, 3}), devices=gpus),
        pods=(
            PodAllocation(namespace="team", name="a", containers=containers),
            PodAllocation(namespace="default", name="b"),
        ),
    )
