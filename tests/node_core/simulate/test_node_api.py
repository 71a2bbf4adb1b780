"""The stand-in kubelet makes allocatable what others put into the Node's capacity, and keeps its hands off the rest."""

import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from node_core.domain.outputs import ResourcePlan
from node_core.kube.client import NodeApi
from node_core.simulate.apiserver import ApiServer
from node_core.simulate.kubelet import Kubelet
from node_core.simulate.node_agent import NodeAgent
from node_core.simulate.node_api import StoreNodeApi

FPGA = "example.com/fpga"


def until(true: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 10
    while not true():
        assert time.monotonic() < deadline, "it did not come true in time"
        time.sleep(0.002)


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
    with ApiServer() as server, tempfile.TemporaryDirectory(prefix="k-") as path:  # a unix socket's path is short
        server.add_node("n1")
        server.write_kubeconfig(tmp_path / "kubeconfig")
        kubelet = Kubelet(Path(path))
        agent = NodeAgent(StoreNodeApi(server.api, "n1"), kubelet, "n1")
        kubelet.start()
        agent.start()
        yield Bench(server, tmp_path / "kubeconfig")
        agent.stop()
        kubelet.stop()


def test_a_resource_that_an_agent_applies_becomes_allocatable_and_goes_with_it(bench: Bench) -> None:
    cpu = bench.api.get().capacity["cpu"]
    bench.applies("4")
    until(lambda: bench.allocatable == {FPGA: "4"})
    assert bench.api.get().capacity_by("nfd-lite") == {FPGA: "4"}
    bench.applies("2")
    until(lambda: bench.allocatable == {FPGA: "2"})
    bench.applies(None)
    until(lambda: bench.allocatable == {})
    assert bench.server.store.get("nodes", "n1")["status"]["allocatable"]["cpu"] == cpu


def test_a_node_at_rest_is_not_written(bench: Bench) -> None:
    bench.applies("4")
    until(lambda: bench.allocatable == {FPGA: "4"})
    version = bench.server.store.version
    StoreNodeApi(bench.server.api, "n1").offer_capacity(())
    assert bench.server.store.version == version


def test_a_node_that_is_deleted_and_comes_back_is_served_again(bench: Bench) -> None:
    bench.server.store.delete("nodes", "n1")
    bench.server.store.delete("leases.coordination.k8s.io", "n1", namespace="kube-node-lease")
    bench.server.add_node("n1")
    bench.applies("4")
    until(lambda: bench.allocatable == {FPGA: "4"})
