"""Compute modes and the start of a daemon in one MPS folder."""

import pytest

from gpu_core.domain.resources import GPU
from gpu_core.mps.changes import MpsState
from gpu_core.mps.compute_mode import EXCLUSIVE_PROCESS
from gpu_core.mps.spec import MpsDaemonSpec
from gpu_core.mps.state import NAME, write_state
from node_core.domain.backoff import Backoff
from node_core.values import replace
from tests.gpu_core.mps.stage import ALL_EXCLUSIVE, BEFORE, LESS, ONE, TWO, WANTED, Stage, is_alive, kill


def test_compute_modes_of_a_killed_process_are_restored_without_a_daemon(stage: Stage) -> None:
    stage.folder.prepare()
    write_state(stage.folder, MpsState(modes=BEFORE))
    stage.modes.now = dict(ALL_EXCLUSIVE)
    stage.end()
    assert (stage.modes.now, stage.state) == (BEFORE, None)


def test_a_compute_mode_that_cannot_be_restored_is_stored_and_retried(stage: Stage) -> None:
    stage.serving().stop()
    stage.modes.refused = {ONE}
    ending = stage.daemon(None)
    stage.until(lambda: stage.state == MpsState(modes={ONE: 0}) and ending.problem is not None)
    assert ending.problem == (
        "cannot restore the compute modes of GPU-1: nvmlDeviceSetComputeMode returned NO_PERMISSION"
    )
    assert not ending.done.is_set()
    stage.modes.refused = set()
    assert ending.done.wait(60)
    assert (stage.modes.now, stage.state) == (BEFORE, None)


def test_an_error_for_one_gpu_does_not_affect_other_gpus(stage: Stage) -> None:
    stage.folder.prepare()
    write_state(stage.folder, MpsState(modes={ONE: 0, TWO: 0}))
    stage.modes.now, stage.modes.refused = dict(ALL_EXCLUSIVE), {ONE}
    stage.daemon(None)
    stage.until(lambda: stage.state == MpsState(modes={ONE: 0}))
    assert stage.modes.now == {ONE: EXCLUSIVE_PROCESS, TWO: 0}


def test_a_daemon_starts_even_if_the_mode_of_another_gpu_cannot_be_restored(stage: Stage) -> None:
    stage.serving().stop()
    stage.modes.refused = {TWO}
    stage.serving(LESS).stop()
    assert stage.state is not None
    assert stage.state.modes == BEFORE
    stage.modes.refused = set()
    stage.end()
    assert stage.modes.now == BEFORE


def test_during_a_release_no_daemon_starts_and_no_compute_mode_changes(stage: Stage) -> None:
    stage.release()
    daemon = stage.daemon()
    stage.until(lambda: stage.checks > 3)
    assert daemon.problem == "its MPS daemon waits until the release of the GPUs ends"
    assert (stage.modes.calls, stage.pids) == (0, [])
    stage.is_released = False
    stage.until(lambda: daemon.problem is None)
    calls = stage.modes.calls
    stage.release()
    kill(stage.pids[0])
    stage.until(lambda: stage.checks > 3)
    assert (stage.modes.calls, len(stage.pids)) == (calls, 1)
    stage.is_released = False
    stage.until(lambda: daemon.problem is None)
    assert len(stage.pids) == 2


def test_compute_modes_are_restored_after_a_release_ends(stage: Stage) -> None:
    stage.serving().stop()
    stage.release()
    ending = stage.daemon(None)
    stage.until(lambda: stage.checks > 3)
    assert not is_alive(stage.pids[0], stage.folder)
    assert stage.modes.now == ALL_EXCLUSIVE
    stage.is_released = False
    assert ending.done.wait(60)
    assert stage.modes.now == BEFORE


@pytest.mark.parametrize(
    "other",
    [
        MpsDaemonSpec(resource=GPU, gpus=(replace(WANTED.gpus[0], replicas=2), WANTED.gpus[1])),
        MpsDaemonSpec(resource=GPU, gpus=(WANTED.gpus[1], WANTED.gpus[0])),
        LESS,
    ],
    ids=["other limits", "other order", "other GPUs"],
)
def test_a_daemon_with_other_settings_is_replaced_and_the_original_modes_are_retained(
    stage: Stage, other: MpsDaemonSpec
) -> None:
    stage.serving().stop()
    stage.serving(other).stop()
    assert not is_alive(stage.pids[0], stage.folder)
    assert stage.lines("visible") == [other.settings.visible]
    desired = {gpu.uuid for gpu in other.gpus}
    assert stage.modes.now == {gpu: EXCLUSIVE_PROCESS if gpu in desired else mode for gpu, mode in BEFORE.items()}
    assert stage.state is not None
    assert stage.state.modes == {gpu: BEFORE[gpu] for gpu in desired}
    stage.end()
    assert stage.modes.now == BEFORE


def test_a_daemon_that_refuses_its_limits_is_stopped(stage: Stage) -> None:
    stage.folder.prepare()
    (stage.folder.pipe / "refuses").touch()
    daemon = stage.daemon(retries=Backoff(first=100.0, maximum=100.0))
    stage.until(lambda: "refused 'set_default_device_pinned_mem_limit 0 20480M': no such GPU" in str(daemon.problem))
    assert not is_alive(stage.pids[0], stage.folder)


def test_a_damaged_file_never_restores_exclusive_process(stage: Stage) -> None:
    stage.folder.prepare()
    (stage.folder.base / NAME).write_text('{"told": {"visible":')
    stage.modes.now = {ONE: EXCLUSIVE_PROCESS, TWO: 2}
    stage.serving().stop()
    assert stage.state is not None
    assert stage.state.modes == BEFORE
    stage.end()
    assert stage.modes.now == BEFORE


def test_an_exclusive_mode_of_an_administrator_is_restored(stage: Stage) -> None:
    stage.modes.now = {ONE: EXCLUSIVE_PROCESS, TWO: 0}
    stage.serving().stop()
    stage.end()
    assert stage.modes.now == {ONE: EXCLUSIVE_PROCESS, TWO: 0}
