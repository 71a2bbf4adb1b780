"""The simulated kubelet copies the capacity of other programs to allocatable, and does not change other fields."""

import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from node_core.domain.extended_resources import ResourcePlan
from node_core.kube.client import NodeApi
from simulation.apiserver import ApiServer
from simulation.kubelet.devices import Resource
from simulation.kubelet.kubelet import Kubelet
from simulation.kubelet.node_agent import NodeAgent
from simulation.kubelet.node_api import StoreNodeApi
from tests.waiting import until

FPGA = "example.com/fpga"


class FakeKubelet:
    def subscribe(self, on_resources: Any) -> None: ...

    def resources(self) -> dict[str, Resource]:
        return {FPGA: Resource(capacity=1, allocatable=1)}


class Bench:
    def __init__(self, server: ApiServer, kubeconfig: Path) -> None:
        self.server = server
        self.api = NodeApi("n1", kubeconfig=str(kubeconfig), user_agent="t")

    def applies(self, amount: str | None) -> None:
        self.api.set_capacity("nfd-lite", ResourcePlan(resources={FPGA: amount} if amount else {}))

    @property
    def allocatable(self) -> dict[str, str]:
        status: dict[str, Any] = self.server.store.get("nodes", "n1")["status"]
        return {name: amount for name, amount in status["allocatable"].items() if "/" in name}


@pytest.fixture
def bench(tmp_path: Path) -> Iterator[Bench]:
    with (
        ApiServer() as server,
        tempfile.TemporaryDirectory(prefix="k-") as path,
    ):  # the path of a Unix socket has at most 107 bytes
        server.add_node("n1")
        server.write_kubeconfig(tmp_path / "kubeconfig")
        kubelet = Kubelet(Path(path))
        agent = NodeAgent(StoreNodeApi(server.api, "n1"), kubelet, "n1")
        kubelet.start()
        agent.start()
        yield Bench(server, tmp_path / "kubeconfig")
        agent.stop()
        kubelet.stop()


def test_a_resource_that_an_agent_applies_is_allocatable_until_the_agent_removes_it(bench: Bench) -> None:
    cpu = bench.api.get().capacity["cpu"]
    bench.applies("4")
    until(lambda: bench.allocatable == {FPGA: "4"})
    assert bench.api.get().capacity_by("nfd-lite") == {FPGA: "4"}
    bench.applies("2")
    until(lambda: bench.allocatable == {FPGA: "2"})
    bench.applies(None)
    until(lambda: bench.allocatable == {})
    assert bench.server.store.get("nodes", "n1")["status"]["allocatable"]["cpu"] == cpu


def test_a_node_without_changes_is_not_written(bench: Bench) -> None:
    bench.applies("4")
    until(lambda: bench.allocatable == {FPGA: "4"})
    version = bench.server.store.version
    StoreNodeApi(bench.server.api, "n1").copy_capacity(())
    assert bench.server.store.version == version


def test_a_node_that_is_created_again_is_served(bench: Bench) -> None:
    bench.server.store.delete("nodes", "n1")
    bench.server.store.delete("leases.coordination.k8s.io", "n1", namespace="kube-node-lease")
    bench.server.add_node("n1")
    bench.applies("4")
    until(lambda: bench.allocatable == {FPGA: "4"})


def test_the_devices_of_plugins_return_to_a_node_that_another_client_created_again() -> None:
    with ApiServer() as server:
        api = StoreNodeApi(server.api, "n1")
        kubelet = FakeKubelet()
        agent = NodeAgent(api, kubelet, "n1")  # type: ignore[arg-type] # only the resources are used
        server.add_node("n1")
        agent.sync()
        server.store.delete("nodes", "n1")
        server.store.delete("leases.coordination.k8s.io", "n1", namespace="kube-node-lease")
        agent.sync()
        server.add_node("n1")
        agent.sync()
        assert server.store.get("nodes", "n1")["status"]["allocatable"][FPGA] == "1"


def test_a_kubelet_that_registers_creates_its_deleted_node_once() -> None:
    with ApiServer() as server:
        api = StoreNodeApi(server.api, "n1", register=server.add_node)
        api.register_node()
        uid = server.store.get("nodes", "n1")["metadata"]["uid"]
        api.register_node()
        assert server.store.get("nodes", "n1")["metadata"]["uid"] == uid
        server.store.delete("nodes", "n1")  # the Lease remains
        api.register_node()
        assert server.store.get("nodes", "n1")["metadata"]["uid"] != uid


def test_a_node_without_a_status_gets_one() -> None:
    with ApiServer() as server:
        server.add_node("n1")
        server.store.mutate("nodes", "n1", lambda node: {name: node[name] for name in node if name != "status"})
        api = StoreNodeApi(server.api, "n1")
        api.copy_capacity(())
        assert api.patch_node_status({FPGA: "1"}, {FPGA: "1"})


def test_the_status_of_a_deleted_node_is_not_written() -> None:
    with ApiServer() as server:
        api = StoreNodeApi(server.api, "n1")
        assert not api.patch_node_status({FPGA: "1"}, {FPGA: "1"})
        server.add_node("n1")
        assert api.patch_node_status({FPGA: "1"}, {FPGA: "1"})
