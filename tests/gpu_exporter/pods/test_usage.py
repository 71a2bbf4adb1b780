"""What the processes of each pod use, from what NVML reports for each process."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gpu_core.pods.cgroups import PodCgroup, ProcessFacts
from gpu_core.pods.holders import Holder, Holders, PodIdentity
from gpu_exporter.pods.usage import DeviceProcesses, GpuProcess, PodUsage, SmSample, select_usage

NOW = 1000.0
HOLDERS = Holders(pods={uid: PodIdentity(uid=uid, namespace="team", name=f"pod-{uid}") for uid in "abc"})
PROCESSES = {
    1: ProcessFacts(started=0.0),
    10: ProcessFacts(started=5.0, pods=(PodCgroup("a"),)),
    11: ProcessFacts(started=6.0, pods=(PodCgroup("a"),)),
    20: ProcessFacts(started=7.0, pods=(PodCgroup("b"),)),
    30: ProcessFacts(started=NOW + 0.005, pods=(PodCgroup("c"),)),
}


def device(
    *memory: tuple[int, int | None],
    sm: dict[int, int] | None = None,
    used: int | None = None,
    ratio: float | None = None,
) -> DeviceProcesses:
    return DeviceProcesses(
        gpu="GPU-0",
        queried_at=NOW,
        memory_used_bytes=used,
        sm_ratio=ratio,
        processes=tuple(GpuProcess(pid=pid, memory_bytes=used) for pid, used in memory),
        samples=None
        if sm is None
        else tuple(SmSample(pid=pid, percent=percent, at=NOW - 1) for pid, percent in sm.items()),
    )


def usage(*devices: DeviceProcesses) -> dict[str, tuple[int | None, float | None]]:
    """UID -> memory and ratio."""
    found = select_usage(devices, PROCESSES, HOLDERS)
    return {each.holder.pod_uid: (each.memory_bytes, each.sm_ratio) for each in found}


def test_the_processes_of_a_pod_are_added_and_those_of_the_host_are_ignored() -> None:
    asked = device((1, 100), (10, 20), (11, 30), (20, 7), sm={1: 50, 10: 10, 11: 5, 20: 30}, used=200, ratio=1.0)
    assert select_usage([asked], PROCESSES, HOLDERS) == (
        PodUsage(
            holder=Holder(pod="pod-a", namespace="team", container="", pod_uid="a"),
            gpu="GPU-0",
            gpu_instance=None,
            memory_bytes=50,
            sm_ratio=0.15,
        ),
        PodUsage(
            holder=Holder(pod="pod-b", namespace="team", container="", pod_uid="b"),
            gpu="GPU-0",
            gpu_instance=None,
            memory_bytes=7,
            sm_ratio=0.3,
        ),
    )


def test_a_process_that_computes_and_renders_counts_once() -> None:
    assert usage(device((10, 20), (10, 20), (11, None), (11, 4))) == {"a": (24, None)}


def test_unknown_memory_makes_the_memory_of_the_pod_unknown_and_not_zero() -> None:
    assert usage(device((10, 20), (11, None), (20, 1))) == {"b": (1, None)}
    assert usage(device((10, 20), (11, None), sm={10: 50})) == {"a": (None, 0.5)}


def test_without_support_for_utilization_there_is_none_and_with_it_an_idle_pod_has_zero() -> None:
    assert usage(device((10, 20))) == {"a": (20, None)}
    assert usage(device((10, 20), sm={})) == {"a": (20, 0.0)}


def test_the_latest_sample_of_a_process_counts() -> None:
    samples = tuple(
        SmSample(pid=10, percent=percent, at=at) for percent, at in [(5, NOW - 2), (40, NOW - 1), (9, NOW - 3)]
    )
    assert usage(DeviceProcesses(gpu="GPU-0", queried_at=NOW, samples=samples)) == {"a": (None, 0.4)}


def test_a_process_that_has_the_pid_of_another_one_gets_nothing() -> None:
    assert usage(device((30, 20), sm={30: 90})) == {}


def test_a_sample_from_before_the_start_of_a_process_is_of_another_process() -> None:
    before, after = (SmSample(pid=10, percent=50, at=at) for at in (4.0, 5.5))
    assert usage(DeviceProcesses(gpu="GPU-0", queried_at=NOW, samples=(before,))) == {}
    assert usage(DeviceProcesses(gpu="GPU-0", queried_at=NOW, samples=(before, after))) == {"a": (None, 0.5)}


def test_thousands_of_dead_processes_change_nothing() -> None:
    dead = ((pid, 1 << 30) for pid in range(1000, 6000))
    asked = device(*dead, (10, 20), sm={10: 10, **dict.fromkeys(range(1000, 6000), 100)}, used=1000, ratio=0.5)
    assert usage(asked) == {"a": (20, 0.1)}


def test_values_that_exceed_the_device_are_reduced_in_proportion() -> None:
    assert usage(device((10, 60), (20, 20), sm={10: 60, 20: 20}, used=40, ratio=0.4)) == {
        "a": (30, 0.3),
        "b": (10, 0.1),
    }
    assert usage(device((10, 60), sm={10: 100, 20: 100})) == {"a": (60, 0.5), "b": (None, 0.5)}
    assert usage(device((10, 60), sm={10: 7}, used=0, ratio=0.0)) == {"a": (0, 0.0)}


def test_each_device_has_its_own_usage() -> None:
    part = DeviceProcesses(gpu="GPU-0", gpu_instance=3, queried_at=NOW, processes=(GpuProcess(pid=10, memory_bytes=9),))
    found = select_usage([device((10, 20)), part], PROCESSES, HOLDERS)
    assert [(each.gpu, each.gpu_instance, each.memory_bytes) for each in found] == [
        ("GPU-0", None, 20),
        ("GPU-0", 3, 9),
    ]


def test_a_pod_without_a_name_has_its_uid() -> None:
    (found,) = select_usage([device((9, 20))], {9: ProcessFacts(started=0.0, pods=(PodCgroup("z"),))}, HOLDERS)
    assert found.holder == Holder(pod="", namespace="", container="", pod_uid="z")


pids = st.integers(1, 40)
facts = st.builds(
    ProcessFacts,
    started=st.floats(0, NOW * 2),
    pods=st.lists(st.builds(PodCgroup, uid=st.sampled_from("abcdef")), max_size=2).map(tuple),
)
devices = st.builds(
    DeviceProcesses,
    gpu=st.just("GPU-0"),
    gpu_instance=st.none() | st.integers(0, 13),
    queried_at=st.just(NOW),
    memory_used_bytes=st.none() | st.integers(0, 192 << 30),
    sm_ratio=st.none() | st.floats(0, 1),
    processes=st.lists(st.builds(GpuProcess, pid=pids, memory_bytes=st.none() | st.integers(0, 192 << 30))).map(tuple),
    samples=st.none()
    | st.lists(st.builds(SmSample, pid=pids, percent=st.integers(0, 100), at=st.floats(0, NOW * 2))).map(tuple),
)


@pytest.mark.parametrize("holders", [HOLDERS, Holders()], ids=["known", "unknown"])
@given(asked=devices, processes=st.dictionaries(pids, facts))
def test_the_values_of_all_pods_never_exceed_the_value_of_the_device(
    holders: Holders, asked: DeviceProcesses, processes: dict[int, ProcessFacts]
) -> None:
    found = select_usage([asked], processes, holders)
    memory = [each.memory_bytes for each in found if each.memory_bytes is not None]
    ratios = [each.sm_ratio for each in found if each.sm_ratio is not None]
    assert min(memory, default=0) >= 0 <= min(ratios, default=0.0)
    assert asked.memory_used_bytes is None or sum(memory) <= asked.memory_used_bytes
    assert math.fsum(ratios) <= (1.0 if asked.sm_ratio is None else asked.sm_ratio) + 1e-9
    assert len({each.holder for each in found}) == len(found)
    reported = {each.pid for each in asked.processes} | {each.pid for each in asked.samples or ()}
    if not reported & {pid for pid, each in processes.items() if each.pods}:
        assert found == ()
