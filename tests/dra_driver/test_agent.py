"""The controller without threads: what a discovery, a failed discovery and a timer change, and which of two processes publishes."""

import threading
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, cast

import pytest

from dra_driver.agent import (
    CLEAN,
    DISCOVER,
    MIN_INTERVAL,
    NAME,
    NOT_OFFERED,
    NOT_REGISTERED,
    DraController,
    DraDiscovery,
    Parts,
)
from dra_driver.claims.holding import NodeDevices
from dra_driver.devices.collect import devices_of
from dra_driver.devices.model import Device
from dra_driver.slices.publisher import Pool
from dra_driver.slices.taints import TaintEffect
from gpu_core.domain.evidence import GpuState, RecoveryAction, XidEvent
from gpu_core.domain.health import HealthPolicy, Incident, Phase
from gpu_core.domain.inventory import Fault, Gpu, GpuUuid
from gpu_core.health.state_file import StateFile
from gpu_core.health.tracker import HealthTracker
from gpu_core.health.xid_queue import XidQueue
from gpu_core.nvml.api import DRIVER_NOT_LOADED
from gpu_core.nvml.poller import InventoryPoller
from gpu_core.nvml.source import RELEASED
from node_core.domain.node import NodeView
from node_core.errors import NodeError, NvmlError
from node_core.runtime.control_loop import Timers
from node_core.runtime.instance_lock import RETRY, InstanceLock
from node_core.runtime.messages import NodeChanged
from node_core.runtime.services import Services
from node_core.values import replace
from tests.dra_driver.devices.gpus import gpu, inventory

UUID = GpuUuid("GPU-0")


class Ignores:
    """A part that the test does not examine."""

    problem = None

    def __getattr__(self, name: str) -> Callable[..., None]:
        return lambda *_, **__: None


class Records:
    """A part whose calls are recorded by name."""

    problem = None

    def __init__(self, calls: list[str]) -> None:
        self._calls = calls

    def __getattr__(self, name: str) -> Callable[..., None]:
        return lambda *_, **__: self._calls.append(name)


class Publisher(Records):
    """previous: the devices of an earlier process; None until the slices are read. pools: what it must write."""

    def __init__(self, calls: list[str], previous: Mapping[str, Device] | None) -> None:
        super().__init__(calls)
        self.previous = previous
        self.pools: list[Pool] = []

    def desire(self, pool: Pool) -> None:
        self._calls.append("desire")
        self.pools.append(pool)

    @property
    def taints(self) -> Mapping[str, list[str]]:
        """The keys of the taints of each device."""
        newest = self.pools[-1]
        return {each.name: [taint.key for taint in newest.taints.get(each.name, ())] for each in newest.devices}


@dataclass
class Agent:
    """files: the folder of the lock and of the health file, which two processes share."""

    files: Path | None = None
    now: float = 100.0
    result: NodeError | tuple[tuple[Gpu, ...], tuple[GpuState, ...]] = field(
        default_factory=lambda: NodeError("not read yet")
    )
    refreshes: list[float] = field(default_factory=list)
    calls: list[str] = field(default_factory=list)
    registration: str | None = None
    previous: Mapping[str, Device] | None = field(default_factory=dict)
    held: tuple[GpuUuid, ...] = ()
    faults: tuple[Fault, ...] = ()

    def __post_init__(self) -> None:
        services = Services(clock=lambda: self.now)
        self.timers = Timers(services.clock)
        self.tracker, self.xids = HealthTracker(HealthPolicy()), XidQueue(lambda: None)
        ignores = cast("Any", Ignores())
        role = None if self.files is None else InstanceLock(self.files, NAME, "n1")
        self.publisher = Publisher(self.calls, self.previous)
        parts = Parts(
            sockets=ignores,
            registration=lambda: self.registration,
            poller=InventoryPoller(self._discover, lambda: None, start=lambda run: run()),
            tracker=self.tracker,
            health_file=StateFile(None if self.files is None else self.files / "health.json", "boot"),
            xids=self.xids,
            refresh=lambda: self.refreshes.append(self.now),
            publisher=cast("Any", self.publisher),
            health=cast("Any", Records(self.calls)),
            preparer=ignores,
            executor=cast("ThreadPoolExecutor", Records(self.calls)),
            role=role,
        )
        self.services = services
        self.controller = DraController(services, self.timers, parts, pool="n1", effect=TaintEffect.NO_SCHEDULE)
        self.controller.start()
        self.controller.handle(NodeChanged(NodeView(name="n1", uid="u1", resource_version="1", labels={})))
        self.wake()

    def _discover(self) -> DraDiscovery:
        if isinstance(self.result, NodeError):
            raise self.result
        gpus, states = self.result
        found = inventory(*gpus, states=states, faults=self.faults)
        devices = {each.name: each for each in devices_of(found)}
        node = NodeDevices(devices=devices, mig_gpus=(), inventory=found)
        return DraDiscovery(node=node, began=self.now, held=self.held)

    def wake(self) -> None:
        """One pass of the loop."""
        for name in self.timers.pop_due():
            self.controller.timer(name)
        self.controller.reconcile()

    @property
    def slices(self) -> str | None:
        return self.services.readiness.problems()[f"{NAME}/slices"]

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


def test_devices_are_offered_only_after_the_kubelet_has_registered_the_driver() -> None:
    agent = Agent(registration=NOT_REGISTERED)
    agent.discover(gpu(0))
    assert agent.slices == NOT_OFFERED
    agent.registration = None
    agent.controller.reconcile()
    assert "desire" in agent.calls
    assert agent.slices is None


def test_a_taint_of_an_earlier_process_s_device_does_not_wait_for_the_kubelet() -> None:
    agent = Agent(registration=NOT_REGISTERED, previous=PREVIOUS)
    agent.discover(gpu(0), gpu(1))
    agent.xids.add(XidEvent(xid=79, gpu=UUID, at=agent.now))
    agent.wake()
    assert agent.publisher.taints == {"gpu-0": ["gpu.nvidia.com/xid"], "gpu-1": []}
    assert agent.slices is None


@pytest.mark.parametrize("status", [NOT_REGISTERED, "the kubelet refuses the driver"])
def test_a_taint_does_not_wait_for_a_kubelet_that_is_away_or_restarts(agent: Agent, status: str) -> None:
    agent.discover(gpu(0), gpu(1))
    agent.registration = status
    agent.xids.add(XidEvent(xid=79, gpu=UUID, at=agent.now))
    agent.wake()
    assert agent.publisher.taints == {"gpu-0": ["gpu.nvidia.com/xid"], "gpu-1": []}


PREVIOUS = {each.name: each for each in devices_of(inventory(gpu(0), gpu(1)))}
LOST = {"gpu-0": ["gpu.nvidia.com/gpu-lost"], "gpu-1": []}
UNKNOWN = Fault(index=0, uuid=None, reason="GPU_IS_LOST")


def test_a_gpu_that_was_lost_before_the_start_is_a_tainted_device_until_it_returns() -> None:
    agent = Agent(previous=PREVIOUS, faults=(UNKNOWN,))
    agent.discover(gpu(1))
    assert agent.publisher.taints == LOST
    agent.faults = ()
    agent.discover(gpu(0), gpu(1))
    assert agent.publisher.taints["gpu-0"] == ["gpu.nvidia.com/recovering"]
    agent.now += 100
    agent.discover(gpu(0), gpu(1))
    assert agent.publisher.taints == {"gpu-0": [], "gpu-1": []}


def test_a_gpu_that_is_missing_at_the_start_is_a_tainted_device_while_a_claim_holds_it() -> None:
    agent = Agent(previous=PREVIOUS, held=(UUID,))
    agent.discover(gpu(1))
    assert agent.publisher.taints == LOST
    agent.held = ()
    agent.discover(gpu(1))
    assert agent.publisher.taints == {"gpu-1": []}


def test_no_slice_is_written_before_those_of_an_earlier_process_are_read() -> None:
    agent = Agent(previous=None, faults=(UNKNOWN,))
    agent.discover(gpu(1))
    assert "recall" in agent.calls
    assert "desire" not in agent.calls
    agent.publisher.previous = PREVIOUS
    agent.wake()
    assert agent.publisher.taints == LOST
    assert list(agent.publisher.taints) == list(PREVIOUS), "another order would change the slices"
    agent.wake()
    assert len(agent.publisher.pools) == 1


def test_the_slices_of_a_node_with_a_device_plugin_are_removed_before_the_registration() -> None:
    agent = Agent(registration=NOT_REGISTERED)
    allocatable = {"nvidia.com/gpu": "2"}
    view = NodeView(name="n1", uid="u1", resource_version="2", labels={}, allocatable=allocatable)
    agent.controller.handle(NodeChanged(view))
    agent.discover(gpu(0), gpu(1))
    assert [tuple(pool.devices) for pool in agent.publisher.pools] == [()]


def test_the_events_of_gpus_that_appear_are_registered(agent: Agent) -> None:
    agent.discover(gpu(0))
    agent.discover(gpu(0))
    assert agent.refreshes == []
    agent.discover(gpu(0), gpu(1))
    assert agent.refreshes == [130.0]


def test_a_gpu_whose_row_remapping_is_pending_is_not_discovered_without_a_pause(agent: Agent) -> None:
    agent.discover(gpu(0))
    agent.xids.add(XidEvent(xid=79, gpu=UUID, at=agent.now))
    agent.timers.cancel(CLEAN)
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


def test_one_of_two_processes_publishes_and_cleans(tmp_path: Path) -> None:
    first, second = Agent(tmp_path), Agent(tmp_path)
    for each in (first, second):
        each.discover(gpu(0))
        each.wake()
    assert {"desire", "publish", "submit"} <= {*first.calls}
    assert second.calls == []
    assert second.slices is None, "the update continues"


def test_a_process_becomes_the_publisher_when_the_other_one_begins_to_end(tmp_path: Path) -> None:
    first, second = Agent(tmp_path), Agent(tmp_path)
    second.discover(gpu(0))
    at_end: list[str] = []
    first.calls.clear()

    def stop() -> None:
        second.wake()
        at_end.extend(second.calls)

    first.controller._parts.sockets.stop = stop  # type: ignore[method-assign]
    assert second.timers.next_due() == 100.0 + RETRY
    first.controller.close(is_final=True)
    assert first.calls == ["stop", "shutdown"]
    assert {"desire", "publish"} <= {*at_end}


def test_the_next_publisher_has_the_xids_of_both_processes(tmp_path: Path) -> None:
    first, second = Agent(tmp_path), Agent(tmp_path)
    for each in (first, second):
        each.discover(gpu(0))
    first.xids.add(XidEvent(xid=79, gpu=UUID, at=first.now))
    first.wake()
    assert second.has(Phase.HEALTHY)
    second.xids.add(XidEvent(xid=48, gpu=UUID, at=second.now))
    second.wake()
    assert [each.xid for each in stored(tmp_path)] == [79]
    first.controller.close(is_final=True)
    second.wake()
    second.discover(gpu(0))
    assert {each.xid for each in stored(tmp_path)} == {79, 48}
    assert second.has(Phase.UNHEALTHY)


def stored(folder: Path) -> Sequence[Incident]:
    return StateFile(folder / "health.json", "boot").read(0.0)[UUID, None].incidents


def test_the_calls_of_the_kubelet_end_before_the_sockets_are_removed(tmp_path: Path) -> None:
    agent, executor, ends = Agent(tmp_path), ThreadPoolExecutor(1), threading.Event()
    calls: list[Future[Any]] = [executor.submit(ends.wait, 30), executor.submit(int)]
    done: list[bool] = []
    parts = agent.controller._parts
    parts.publisher.stop = ends.set  # type: ignore[method-assign]
    parts.sockets.stop = lambda: done.extend(call.done() and not call.cancelled() for call in calls)  # type: ignore[method-assign]
    agent.controller._parts = replace(parts, executor=executor)
    agent.controller.close(is_final=True)
    assert done == [True, True]
