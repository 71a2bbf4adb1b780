"""The controller: discoveries, new GPUs, faults in the log, and the port."""

from collections.abc import Iterable
from typing import Any

import pytest
from structlog.testing import capture_logs

from gpu_core.domain.evidence import GpuState as Evidence
from gpu_core.domain.inventory import Driver, Fault, Gpu, GpuUuid, Inventory, Platform
from gpu_core.nvml.source import RELEASED
from gpu_exporter.agent import DISCOVER, ExporterController
from gpu_exporter.pods.monitor import PodsSnapshot
from gpu_exporter.reading import GpuReading, GpuState, Sample
from gpu_exporter.xids import XidLog
from node_core.domain.pci import PciAddress
from node_core.errors import HostReadError, NodeError, NvmlError
from node_core.runtime.control_loop import Timers
from node_core.runtime.messages import Resync
from node_core.runtime.services import Services
from node_core.values import replace
from tests.gpu_core.pods.nodes import gpu

DRIVER = Driver(version="570.1", cuda=None)


def board(index: int) -> Gpu:
    return replace(gpu(index), address=PciAddress(f"0000:0{index}:00.0"))


class FakeSampler:
    """Has readings of the GPUs of the last discovery, except those with a fault."""

    def __init__(self) -> None:
        self.followed: list[Inventory] = []
        self.faults: dict[GpuUuid, str] = {}

    def follow(self, inventory: Inventory) -> None:
        self.followed.append(inventory)

    def sample(self) -> Sample:
        gpus = self.followed[-1].gpus if self.followed else ()
        return Sample(gpus=tuple(map(self._state, gpus)))

    def _state(self, each: Gpu) -> GpuState:
        fault = self.faults.get(each.uuid)
        return GpuState(gpu=each, reading=None if fault else GpuReading(gpu=each, at=1.0), fault=fault)


class FakeWatch:
    watched = frozenset({board(0).uuid})

    def __init__(self) -> None:
        self.refreshed = 0

    def refresh(self) -> None:
        self.refreshed += 1


class FakePort:
    def __init__(self) -> None:
        self.problem: str | None = None
        self.started = 0

    def start(self) -> None:
        self.started += 1


class Bench:
    """A controller whose discoveries and time the test sets."""

    def __init__(self) -> None:
        self.now = 100.0
        self.services = Services(clock=lambda: self.now, chance=lambda: 0.5)
        self.timers = Timers(lambda: self.now)
        self.found: Inventory | NodeError = self.inventory(0, 1)
        self.bound: frozenset[PciAddress] = frozenset()
        self.sampler, self.watch, self.port = FakeSampler(), FakeWatch(), FakePort()
        self.xids = XidLog(300.0, lambda: self.now)
        parts: Any = {"sampler": self.sampler, "watch": self.watch}
        self.controller = ExporterController(
            self.services,
            self.timers,
            discover=self.discover,
            bound=lambda: self.bound,
            xids=self.xids,
            pods=PodsSnapshot,
            **parts,
        )
        port: Any = self.port
        self.controller.port = port

    def discover(self) -> Inventory:
        if isinstance(self.found, NodeError):
            raise self.found
        return self.found

    @staticmethod
    def inventory(*indexes: int, faults: Iterable[Fault] = (), lost: Iterable[int] = ()) -> Inventory:
        states = tuple(Evidence(gpu=board(index).uuid, lost=index in lost) for index in indexes)
        return Inventory(driver=DRIVER, gpus=tuple(map(board, indexes)), faults=tuple(faults), states=states)

    def wake(self, after: float = 0.0, *, resync: bool = False) -> None:
        """As the loop does."""
        self.now += after
        if resync:
            self.controller.handle(Resync())
        for name in self.timers.pop_due():
            self.controller.timer(name)
        self.controller.reconcile()

    def start(self) -> None:
        self.controller.start()
        self.wake()

    def problem(self, check: str) -> str | None:
        return self.services.readiness.problems()[f"gpu-exporter/{check}"]


@pytest.fixture
def bench() -> Bench:
    return Bench()


def test_the_agent_is_ready_after_the_first_discovery(bench: Bench) -> None:
    bench.controller.start()
    assert bench.problem("gpus")
    bench.wake()
    assert bench.problem("gpus") is None
    assert bench.problem("port") is None
    assert [each.uuid for each in bench.sampler.followed[0].gpus] == [board(0).uuid, board(1).uuid]
    assert not bench.timers.is_set(DISCOVER)


def test_what_is_known_is_the_present_state(bench: Bench) -> None:
    bench.start()
    known = bench.controller.known()
    assert known.sample == bench.sampler.sample()
    assert (known.watched, known.driver, known.is_simulated) == (FakeWatch.watched, "570.1", False)
    bench.found = replace(bench.inventory(0), driver=None, simulated=True)
    bench.wake(resync=True)
    known = bench.controller.known()
    assert (known.driver, known.is_simulated) == ("", True)


@pytest.mark.parametrize(
    "error", [NvmlError("nvmlInit_v2", "UNKNOWN"), HostReadError("/sys/bus/pci/devices: Input/output error")]
)
def test_a_failed_discovery_is_retried_with_increasing_pauses_and_the_readings_stay(
    bench: Bench, error: NodeError
) -> None:
    bench.start()
    bench.found = error
    bench.wake(resync=True)
    assert bench.problem("gpus") == str(error)
    pauses = []
    for _ in range(8):
        due = bench.timers.next_due()
        assert due is not None
        pauses.append(due - bench.now)
        bench.wake(pauses[-1])
    assert pauses == sorted(pauses)
    assert pauses[-1] <= 60
    assert len(bench.controller.known().sample.gpus) == 2
    bench.found = bench.inventory(0)
    bench.wake(60.0)
    assert bench.problem("gpus") is None
    assert not bench.timers.is_set(DISCOVER)


def test_after_a_release_no_discovery_is_planned_and_the_agent_is_ready(bench: Bench) -> None:
    bench.start()
    bench.found = NvmlError("nvmlInit_v2", RELEASED)
    bench.wake(resync=True)
    assert bench.problem("gpus") is None
    assert not bench.timers.is_set(DISCOVER)


def test_a_new_function_of_the_driver_causes_one_scan_of_the_bus(bench: Bench) -> None:
    bench.bound = frozenset({PciAddress("0000:00:00.0"), PciAddress("0000:01:00.0")})
    bench.start()
    assert bench.watch.refreshed == 0
    bench.bound |= {PciAddress("0000:07:00.0")}
    for _ in range(3):
        bench.wake(60.0, resync=True)
    assert bench.watch.refreshed == 1


def test_a_function_that_was_there_at_the_start_but_that_nvml_does_not_list_causes_one_scan(bench: Bench) -> None:
    bench.bound = frozenset({PciAddress("0000:07:00.0")})
    bench.start()
    bench.wake(60.0, resync=True)
    assert bench.watch.refreshed == 1


def test_another_set_of_gpus_causes_a_scan(bench: Bench) -> None:
    bench.start()
    assert bench.watch.refreshed == 0
    bench.found = bench.inventory(0, 1, 2)
    bench.wake(resync=True)
    assert bench.watch.refreshed == 1


@pytest.mark.parametrize(
    "found",
    [Bench.inventory(0, 1, lost=[1]), Bench.inventory(0, faults=[Fault(index=1, uuid=None, reason="lost")])],
    ids=["lost", "fault"],
)
def test_while_a_gpu_is_lost_each_discovery_causes_a_scan(bench: Bench, found: Inventory) -> None:
    bench.found = found
    bench.start()
    bench.wake(60.0, resync=True)
    assert bench.watch.refreshed == 2


def test_a_tegra_without_nvml_has_no_gpus(bench: Bench) -> None:
    bench.found = replace(bench.inventory(0), platform=Platform.TEGRA)
    bench.start()
    assert bench.sampler.followed[0].gpus == ()
    assert bench.problem("gpus") is None


def test_a_fault_is_logged_when_it_begins_and_when_it_ends(bench: Bench) -> None:
    bench.start()
    with capture_logs() as logs:
        bench.sampler.faults[board(1).uuid] = "a call of NVML has not returned for 10 s"
        bench.wake(30.0)
        bench.wake(30.0)
        bench.sampler.faults.clear()
        bench.wake(30.0)
    assert [(each["event"], each["gpu"].split()[:2], each.get("why")) for each in logs] == [
        ("gpu_not_readable", ["GPU", "1"], "a call of NVML has not returned for 10 s"),
        ("gpu_readable_again", ["GPU", "1"], None),
    ]


def test_a_port_in_use_is_a_problem_and_is_tried_again(bench: Bench) -> None:
    bench.start()
    bench.port.problem = "Address already in use"
    bench.wake(30.0)
    assert bench.problem("port") == "the port is not available: Address already in use"
    bench.port.problem = None
    bench.wake(30.0)
    assert bench.problem("port") is None
    assert bench.port.started == 3
