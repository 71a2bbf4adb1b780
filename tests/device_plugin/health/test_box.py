"""The box between the threads that see things and the agent's."""

import threading
from dataclasses import replace

from device_plugin.health.box import MOST_KINDS, EvidenceBox
from node_core.domain.evidence import XidEvent
from node_core.domain.inventory import GpuUuid
from node_core.errors import NvmlError

EVENT = XidEvent(xid=31, gpu=GpuUuid("GPU-0"), at=1.0)


class Woken:
    times = 0

    def __call__(self) -> None:
        self.times += 1


def test_a_storm_wakes_once_and_is_one_entry_with_its_number_and_newest_time() -> None:
    woken = Woken()
    box = EvidenceBox(woken)
    for at in range(10_000):
        box.seen(replace(EVENT, at=float(at), count=2))
    assert woken.times == 1
    assert box.take().xids == (replace(EVENT, at=9999.0, count=20_000),)
    assert box.take().xids == ()


def test_what_differs_is_kept_apart() -> None:
    box = EvidenceBox(Woken())
    events = (EVENT, replace(EVENT, xid=48), replace(EVENT, gpu_instance=1), replace(EVENT, gpu=GpuUuid("GPU-1")))
    for event in events:
        box.seen(event)
    assert box.take().xids == events


def test_too_many_kinds_are_counted_as_lost_and_cost_no_memory() -> None:
    box = EvidenceBox(Woken())
    for xid in range(MOST_KINDS + 10):
        box.seen(replace(EVENT, xid=xid))
    taken = box.take()
    assert (len(taken.xids), taken.lost) == (MOST_KINDS, 10)
    assert box.take().lost == 0


def test_a_change_asks_for_a_look_once_and_a_failure_is_a_problem_until_it_is_over() -> None:
    woken = Woken()
    box = EvidenceBox(woken)
    box.changed("its MIG configuration changed")
    assert [box.take().wants_look for _ in range(2)] == [True, False]
    problems = []
    for error in (NvmlError("nvmlEventSetWait_v2", "UNKNOWN"), None):
        box.failed(error)
        problems.append(box.problem)
        assert box.take().wants_look
    assert problems == ["nvmlEventSetWait_v2 answered UNKNOWN", None]
    assert woken.times == 3


def test_nothing_is_lost_between_threads() -> None:
    box, taken = EvidenceBox(Woken()), 0

    def see() -> None:
        for _ in range(500):
            box.seen(EVENT)

    threads = [threading.Thread(target=see) for _ in range(4)]
    for thread in threads:
        thread.start()
    while any(thread.is_alive() for thread in threads):
        taken += sum(event.count for event in box.take().xids)
    taken += sum(event.count for event in box.take().xids)
    assert taken == 2000
