"""The simulated kubelet serves the pod-resources API."""

import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from node_core.kubelet.podresources import ContainerDevices, PodDevices, list_pod_devices
from simulation.kubelet.kubelet import ContainerGrant
from simulation.kubelet.pod_resources import pod_resources_server


class FakeAgent:
    """The Pods of a NodeAgent."""

    def __init__(self) -> None:
        gpus = ContainerGrant(device_ids={"nvidia.com/gpu": ("GPU-0", "GPU-1")})
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
