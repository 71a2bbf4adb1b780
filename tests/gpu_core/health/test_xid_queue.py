"""The queue between the watch threads and the agent's thread."""

import threading

from gpu_core.domain.evidence import XidEvent
from gpu_core.domain.inventory import GpuUuid
from gpu_core.health.xid_queue import MAX_XIDS, XidQueue
from node_core.errors import NvmlError
from node_core.values import replace

EVENT = XidEvent(xid=31, gpu=GpuUuid("GPU-0"), at=1.0)


class WakeReason:
    times = 0

    def __call__(self) -> None:
        self.times += 1


def test_a_storm_wakes_once_and_is_one_event_with_its_count_and_newest_time() -> None:
    woken = WakeReason()
    queue = XidQueue(woken)
    for at in range(10_000):
        queue.add(replace(EVENT, at=float(at), count=2))
    assert woken.times == 1
    assert queue.drain().xids == (replace(EVENT, at=9999.0, count=20_000),)
    assert queue.drain().xids == ()


def test_different_xids_are_separate_events() -> None:
    queue = XidQueue(WakeReason())
    events = (EVENT, replace(EVENT, xid=48), replace(EVENT, gpu_instance=1), replace(EVENT, gpu=GpuUuid("GPU-1")))
    for event in events:
        queue.add(event)
    assert queue.drain().xids == events


def test_xids_beyond_the_maximum_are_dropped() -> None:
    queue = XidQueue(WakeReason())
    for xid in range(MAX_XIDS + 10):
        queue.add(replace(EVENT, xid=xid))
    assert len(queue.drain().xids) == MAX_XIDS
    assert queue.drain().xids == ()


def test_a_change_requests_one_discovery_and_an_error_is_a_problem_until_it_ends() -> None:
    woken = WakeReason()
    queue = XidQueue(woken)
    queue.request_discovery("the MIG configuration changed")
    assert [queue.drain().needs_discovery for _ in range(2)] == [True, False]
    problems = []
    for error in (NvmlError("nvmlEventSetWait_v2", "UNKNOWN"), None):
        queue.set_problem(error)
        problems.append(queue.problem)
        assert queue.drain().needs_discovery
    assert problems == ["nvmlEventSetWait_v2 returned UNKNOWN", None]
    assert woken.times == 3


def test_nothing_is_lost_between_threads() -> None:
    queue, taken = XidQueue(WakeReason()), 0

    def see() -> None:
        for _ in range(500):
            queue.add(EVENT)

    threads = [threading.Thread(target=see) for _ in range(4)]
    for thread in threads:
        thread.start()
    while any(thread.is_alive() for thread in threads):
        taken += sum(event.count for event in queue.drain().xids)
    taken += sum(event.count for event in queue.drain().xids)
    assert taken == 2000
