"""The device plugin's life, message by message: the gate, failed looks, and what is said of them."""

from collections.abc import Callable
from dataclasses import replace
from typing import cast

import pytest
from structlog.testing import capture_logs

from device_plugin.agent import RETRIES, PluginAgent, PluginSettings
from device_plugin.devices import Plan
from device_plugin.manager import Manager
from node_core.domain.inventory import Inventory
from node_core.domain.node import NodeView
from node_core.errors import KubeError, NvmlError
from node_core.host.nvml.inventory import read_inventory
from node_core.host.nvml.source import FRESH, InventorySource
from node_core.runtime.messages import AgentMessage, KubeletChanged, NodeLost, NodeSeen, Pass, Stop
from node_core.runtime.readiness import Readiness
from node_core.runtime.services import Services
from node_core.simulate.nvml import numa_of, simulated_nvml
from node_core.simulate.scenario import load_scenario

OPEN = NodeView(name="n", uid="u", resource_version="1", labels={"nvidia.com/gpu.present": "true"})
SHUT = replace(OPEN, labels={})


class Recorder:
    """A manager that remembers its plans."""

    def __init__(self) -> None:
        self.plans: list[Plan] = []
        self.checks = 0
        self.closed = False
        self.wrong: tuple[str, ...] = ()
        self.allocations: dict[str, int] = {}
        self.registrations: dict[str, int] = {}
        self.registration_failures: dict[str, int] = {}

    def reconcile(self, plan: Plan) -> None:
        self.plans.append(plan)

    def check(self) -> None:
        self.checks += 1

    def next_check(self, most: float) -> float:
        return most

    def problems(self) -> tuple[str, ...]:
        return self.wrong

    def close(self) -> None:
        self.closed = True


class Bench:
    def __init__(self, read: Callable[[], Inventory]) -> None:
        self.now = 1000.0
        self.manager = Recorder()
        self.services = Services(readiness=Readiness(lambda: self.now), clock=lambda: self.now, chance=lambda: 0.0)
        self.agent = PluginAgent(
            PluginSettings(),
            inventory=InventorySource(read, gpus_on_pci=lambda: True, clock=lambda: self.now),
            manager=lambda _: cast("Manager", self.manager),
            services=self.services,
        )

    def play(self, *messages: AgentMessage | None) -> None:
        for message in messages:
            self.now += FRESH  # so that every look is a new one
            self.agent._handle(message)
            self.agent._report()

    @property
    def advertised(self) -> list[int]:
        """How many devices each plan had, healthy ones counted positive, unhealthy ones negative."""
        return [
            sum(1 if one.healthy else -1 for devices in plan.resources.values() for one in devices)
            for plan in self.manager.plans
        ]

    def problem(self, check: str) -> str | None:
        return self.services.readiness.problems()[f"gpu-device-plugin/{check}"]


def eight() -> Inventory:
    scenario = load_scenario("h100x8")
    return read_inventory(simulated_nvml(scenario, lambda: 0.0), numa_of(scenario))


class Flaky:
    """Looks that fail while `code` is set."""

    code: str | None = None

    def __call__(self) -> Inventory:
        if self.code:
            raise NvmlError("nvmlInit_v2", self.code)
        return eight()


def test_nothing_is_looked_at_or_served_while_the_gate_is_shut() -> None:
    bench = Bench(lambda: pytest.fail("looked at the GPUs"))
    bench.play(NodeSeen(SHUT), Pass(), KubeletChanged(), None)
    assert bench.manager.plans == []
    assert bench.problem("node") is None


def test_the_label_opens_the_gate_and_its_removal_shuts_it() -> None:
    bench = Bench(eight)
    bench.play(NodeSeen(OPEN), NodeSeen(OPEN), NodeSeen(SHUT), Pass(), NodeSeen(OPEN))
    assert bench.advertised == [8, 0, 8]


def test_an_api_outage_changes_nothing_that_is_served() -> None:
    bench = Bench(eight)
    bench.play(NodeSeen(OPEN), NodeLost(KubeError("down")))
    assert bench.advertised == [8]
    assert bench.problem("node") == "down"


def test_one_failed_look_is_forgiven_and_the_second_makes_the_gpus_unhealthy_until_one_succeeds() -> None:
    read = Flaky()
    bench = Bench(read)
    bench.play(NodeSeen(OPEN))
    read.code = "UNKNOWN"
    bench.play(Pass())
    assert bench.advertised == [8]
    assert "UNKNOWN" in (bench.problem("gpus") or "")
    bench.now += RETRIES.most
    bench.play(None)
    assert bench.advertised == [8, -8]
    read.code = None
    bench.now += RETRIES.most
    bench.play(None)
    assert bench.advertised == [8, -8, 8]
    assert bench.problem("gpus") is None


def test_a_failed_look_is_not_repeated_before_its_time() -> None:
    read = Flaky()
    read.code = "DRIVER_NOT_LOADED"
    bench = Bench(read)
    bench.play(NodeSeen(OPEN))
    for _ in range(3):
        bench.agent._handle(None)
    assert (
        bench.services.metrics.render().count(b'gpunode_errors_total{agent="gpu-device-plugin",check="gpus"} 1.0') == 1
    )


def test_what_is_not_advertised_is_said_once() -> None:
    scenario = load_scenario("h100x8-mig-mixed")
    bench = Bench(lambda: read_inventory(simulated_nvml(scenario, lambda: 0.0), numa_of(scenario)))
    with capture_logs() as logs:
        bench.play(NodeSeen(OPEN), Pass(), Pass())
    said = [entry["why"] for entry in logs if entry["event"] == "not_allocatable"]
    assert len(said) == len(set(said)) > 0


def test_problems_with_the_kubelet_reach_readiness_and_devices_reach_metrics() -> None:
    bench = Bench(eight)
    bench.manager.wrong = ("nvidia.com/gpu: no kubelet",)
    bench.play(NodeSeen(OPEN))
    assert bench.problem("kubelet") == "nvidia.com/gpu: no kubelet"
    bench.manager.allocations = {"nvidia.com/gpu": 3}
    bench.play(Pass(), Pass())
    assert b'gpunode_allocations_total{agent="gpu-device-plugin",resource="nvidia.com/gpu"} 3.0' in (
        bench.services.metrics.render()
    )
    sample = b'gpunode_devices{agent="gpu-device-plugin",health="healthy",resource="nvidia.com/gpu"} 8.0'
    assert sample in bench.services.metrics.render()


def test_stop_ends_it_and_closing_closes_the_manager() -> None:
    bench = Bench(eight)
    bench.agent.mailbox.post(Stop())
    bench.agent.run()
    bench.agent.close()
    assert bench.manager.closed
