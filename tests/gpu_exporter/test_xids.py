"""Counting Xids, and the last Xid of a GPU until it is healthy again."""

from typing import Any

import pytest

from gpu_core.domain.evidence import GpuState, RecoveryAction, XidEvent
from gpu_core.domain.inventory import Fault, GpuUuid, Inventory
from gpu_exporter.xids import MAX_KEYS, MAX_RECENT, GpuXids, XidKey, XidLog
from node_core.values import replace

GPU = GpuUuid("GPU-1")
WINDOW = 300.0


class Log:
    """A log whose time the test sets."""

    def __init__(self) -> None:
        self.now = 1000.0
        self.log = XidLog(WINDOW, lambda: self.now)

    def add(self, xid: int, **more: Any) -> None:
        self.log.add(XidEvent(**{"xid": xid, "gpu": GPU, "at": self.now, **more}))

    def discover(self, state: GpuState | None, *faults: Fault) -> None:
        states = () if state is None else (state,)
        self.log.observe(Inventory(driver=None, states=states, faults=faults), self.now)

    @property
    def found(self) -> GpuXids:
        return self.log.snapshot()[GPU]

    def last_after(self, seconds: float, state: GpuState | None) -> int:
        """The last Xid after this time, with a discovery each 30 s."""
        for _ in range(int(seconds / 30)):
            self.now += 30
            self.discover(state)
        return self.found.last


HEALTHY = GpuState(gpu=GPU, recovery_action=RecoveryAction.NONE)


def test_without_xids_there_is_no_entry() -> None:
    log = Log()
    log.discover(HEALTHY)
    assert log.log.snapshot() == {}


def test_xids_are_counted_by_code_and_gpu_instance() -> None:
    log = Log()
    log.add(31, count=5)
    log.add(31)
    log.add(94, gpu_instance=7, compute_instance=0)
    log.add(13, gpu=None)
    log.add(13, gpu=GpuUuid("GPU-2"))
    assert log.found.total == {XidKey(xid=31): 6, XidKey(xid=94, gpu_instance=7): 1}
    assert log.found.recent == log.found.total
    assert log.found.last == 94
    assert log.log.snapshot().keys() == {GPU, "GPU-2"}


def test_the_window_forgets_and_the_total_does_not() -> None:
    log = Log()
    log.add(31, count=5)
    log.now += WINDOW - 1
    log.add(31)
    assert log.found.recent == {XidKey(xid=31): 6}
    log.now += 1
    assert log.found.recent == {XidKey(xid=31): 1}
    log.now += WINDOW
    assert log.found.recent == {}
    assert log.found.total == {XidKey(xid=31): 6}


def test_the_last_xid_of_a_healthy_gpu_clears_after_the_window() -> None:
    log = Log()
    log.add(31)
    assert log.last_after(WINDOW - 30, HEALTHY) == 31
    assert log.last_after(30, HEALTHY) == 0


def test_the_last_xid_of_an_unhealthy_gpu_stays_until_the_gpu_is_healthy() -> None:
    log = Log()
    log.add(79)
    needs_reset = replace(HEALTHY, recovery_action=RecoveryAction.RESET)
    assert log.last_after(2 * WINDOW, needs_reset) == 79
    assert log.last_after(30, HEALTHY) == 79
    assert log.last_after(120, HEALTHY) == 0
    log.add(13)
    assert log.found.last == 13


def test_a_lost_gpu_is_not_healthy() -> None:
    log = Log()
    log.add(79)
    for _ in range(30):
        log.now += 30
        log.discover(None, Fault(index=0, uuid=GPU, reason="nvmlDeviceGetName returned GPU_IS_LOST"))
    assert log.found.last == 79


def test_an_xid_that_needs_a_replacement_stays() -> None:
    log = Log()
    log.add(54)
    assert log.last_after(10 * WINDOW, HEALTHY) == 54


def test_a_storm_of_different_xids_does_not_fill_the_memory() -> None:
    log = Log()
    for xid in range(1, 2 * MAX_RECENT):
        log.add(xid)
    assert len(log.found.total) == MAX_KEYS + 1
    assert sum(log.found.total.values()) == 2 * MAX_RECENT - 1
    assert sum(log.found.recent.values()) == MAX_RECENT


@pytest.mark.parametrize("seconds", [0.0, 10.0])
def test_equal_states_give_equal_snapshots(seconds: float) -> None:
    log = Log()
    log.add(31)
    before = log.log.snapshot()
    log.now += seconds
    assert log.log.snapshot() == before
