"""The processes of a GPU, merged from NVML's lists and samples."""

from hypothesis import given
from hypothesis import strategies as st

from gpu_core.domain.usage import ProcessSample, ProcessUsage, RunningProcess, merge_processes

PROCESSES = st.builds(
    RunningProcess,
    pid=st.integers(1, 5),
    memory=st.none() | st.integers(0, 9),
    gpu_instance=st.none() | st.integers(0, 2),
)
SAMPLES = st.builds(ProcessSample, st.integers(1, 9), st.integers(0, 9), st.integers(0, 100))


def test_a_process_in_several_lists_is_one_process() -> None:
    compute = (RunningProcess(pid=7, memory=5), RunningProcess(pid=3, memory=1))
    mps = (RunningProcess(pid=7),)
    assert merge_processes((*compute, *mps), None) == (ProcessUsage(pid=3, memory=1), ProcessUsage(pid=7, memory=5))


def test_a_process_on_two_gpu_instances_is_two_entries() -> None:
    processes = (
        RunningProcess(pid=7, memory=5, gpu_instance=2, compute_instance=0),
        RunningProcess(pid=7, memory=6, gpu_instance=1, compute_instance=0),
    )
    assert [(each.gpu_instance, each.memory) for each in merge_processes(processes, None)] == [(1, 6), (2, 5)]


def test_the_utilization_is_the_mean_of_the_samples_and_zero_without_samples() -> None:
    samples = [ProcessSample(7, 1, 10), ProcessSample(7, 2, 20), ProcessSample(99, 2, 100)]
    found = merge_processes((RunningProcess(pid=7), RunningProcess(pid=8)), samples)
    assert [(each.pid, each.sm) for each in found] == [(7, 15.0), (8, 0.0)]


@given(processes=st.lists(PROCESSES, max_size=12), samples=st.none() | st.lists(SAMPLES, max_size=9))
def test_each_listed_process_is_merged_once(
    processes: list[RunningProcess], samples: list[ProcessSample] | None
) -> None:
    merged = merge_processes(processes, samples)
    keys = [(each.pid, each.gpu_instance) for each in merged]
    assert len(keys) == len(set(keys))
    assert set(keys) == {(each.pid, each.gpu_instance) for each in processes}
    assert all((each.sm is None) == (samples is None) for each in merged)
    assert all(each.sm is None or 0 <= each.sm <= 100 for each in merged)
