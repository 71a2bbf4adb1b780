"""The controller without threads: what a discovery, a failed discovery and a timer change."""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Any, cast

import pytest

from dra_driver.agent import DISCOVER, MIN_INTERVAL, DraController, DraDiscovery, Parts
from dra_driver.claims.holding import NodeDevices
from dra_driver.slices.taints import TaintEffect
from gpu_core.domain.evidence import GpuState, RecoveryAction, XidEvent
from gpu_core.domain.health import HealthPolicy, Phase
from gpu_core.domain.inventory import Gpu, GpuUuid
from gpu_core.health.state_file import StateFile
from gpu_core.health.tracker import HealthTracker
from gpu_core.health.xid_queue import XidQueue
from gpu_core.nvml.api import DRIVER_NOT_LOADED
from gpu_core.nvml.poller import InventoryPoller
from gpu_core.nvml.source import RELEASED
from node_core.errors import NodeError, NvmlError
from node_core.runtime.control_loop import Timers
from node_core.runtime.services import Services
from tests.dra_driver.devices.gpus import gpu, inventory

UUID = GpuUuid("GPU-0")


class Ignores:
    """A part that the test does not examine."""

    problem = None

    def __getattr__(self, name: str) -> Callable[..., None]:
        return lambda *_, **__: None


@dataclass
class Agent:
    now: float = 100.0
    result: NodeError | tuple[tuple[Gpu, ...], tuple[GpuState, ...]] = ((), ())
    refreshes: list[float] = field(default_factory=list)

    def __post_init__(self) -> None:
        services = Services(clock=lambda: self.now)
        self.timers = Timers(services.clock)
        self.tracker, self.xids = HealthTracker(HealthPolicy()), XidQueue(lambda: None)
        ignores = cast("Any", Ignores())
        parts = Parts(
            sockets=ignores,
            registration=lambda: None,
            poller=InventoryPoller(self._discover, lambda: None, start=lambda run: run()),
            tracker=self.tracker,
            health_file=StateFile(None, ""),
            xids=self.xids,
            refresh=lambda: self.refreshes.append(self.now),
            publisher=ignores,
            health=ignores,
            preparer=ignores,
            executor=cast("ThreadPoolExecutor", ignores),
        )
        self.controller = DraController(services, self.timers, parts, pool="n1", effect=TaintEffect.NO_SCHEDULE)

    def _discover(self) -> DraDiscovery:
        if isinstance(self.result, NodeError):
            raise self.result
        gpus, states = self.result
        found = inventory(*gpus, states=states)
        return DraDiscovery(node=NodeDevices(devices={}, mig_gpus=(), inventory=found), began=self.now)

    def discover(self, *gpus: Gpu, state: GpuState | None = None, error: NodeError | None = None) -> None:
        self.now += 10
        self.result = error or (gpus, (state,) if state else ())
        self.controller.timer(DISCOVER)
        self.controller.reconcile()

    def has(self, phase: Phase) -> bool:
        return self.tracker.healths[UUID, None].phase is phase


@pytest.fixture
def agent() -> Agent:
    return Agent()


def test_the_events_of_gpus_that_appear_are_registered(agent: Agent) -> None:
    agent.discover(gpu(0))
    agent.discover(gpu(0))
    assert agent.refreshes == []
    agent.discover(gpu(0), gpu(1))
    assert agent.refreshes == [130.0]


def test_a_gpu_whose_row_remapping_is_pending_is_not_discovered_without_a_pause(agent: Agent) -> None:
    agent.discover(gpu(0))
    agent.xids.add(XidEvent(xid=79, gpu=UUID, at=agent.now))
    pending = GpuState(gpu=UUID, remap_pending=True, recovery_action=RecoveryAction.NONE)
    for _ in range(40):
        agent.discover(gpu(0), state=pending)
    assert agent.has(Phase.RECOVERING)
    assert agent.timers.next_due() == agent.now + MIN_INTERVAL


def test_a_driver_that_is_loaded_again_has_cleared_the_errors_of_its_gpus(agent: Agent) -> None:
    agent.discover(gpu(0))
    agent.xids.add(XidEvent(xid=79, gpu=UUID, at=agent.now))
    agent.discover(gpu(0), state=GpuState(gpu=UUID))
    assert agent.has(Phase.UNHEALTHY)
    agent.discover(error=NvmlError("nvmlInit", DRIVER_NOT_LOADED))
    agent.discover(gpu(0), state=GpuState(gpu=UUID))
    assert agent.has(Phase.RECOVERING)


def test_the_time_without_events_does_not_count_for_the_return_of_a_gpu(agent: Agent) -> None:
    agent.discover(gpu(0))
    agent.xids.add(XidEvent(xid=79, gpu=UUID, at=agent.now))
    for _ in range(2):
        agent.discover(gpu(0), state=GpuState(gpu=UUID, recovery_action=RecoveryAction.NONE))
    assert agent.tracker.healths[UUID, None].healthy_since is not None
    agent.discover(error=NvmlError("NVML", RELEASED))
    assert agent.tracker.healths[UUID, None].healthy_since is None
