"""Cleanup stops the MPS daemons of the plugin, restores compute modes and ignores other daemons."""

import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from gpu_core.mps.changes import MpsState
from gpu_core.mps.compute_mode import EXCLUSIVE_PROCESS
from gpu_core.mps.state import write_state
from gpunode.cleanup.mps import stop_mps_daemons
from node_core.errors import NodeError
from tests.gpu_core.mps.stage import BEFORE, ONE, TWO, Stage, is_alive


@pytest.fixture
def stage(tmp_path: Path) -> Iterator[Stage]:
    stage = Stage(tmp_path)
    yield stage
    stage.close()


def test_a_daemon_of_the_plugin_is_stopped_and_compute_modes_are_restored(stage: Stage) -> None:
    stage.serving().stop()
    assert stop_mps_daemons(stage.tools)
    assert not is_alive(stage.pids[0], stage.folder)
    assert (stage.modes.now, stage.state) == (BEFORE, None)
    assert not stop_mps_daemons(stage.tools)


def test_a_daemon_without_a_state_file_of_the_plugin_is_ignored(stage: Stage) -> None:
    stage.folder.prepare()
    foreign = subprocess.Popen([str(stage.control.program), "-f"], env=stage.folder.environment)
    try:
        stage.until(lambda: stage.control.is_serving(stage.folder))
        assert not stop_mps_daemons(stage.tools)
        assert foreign.poll() is None
    finally:
        foreign.kill()
        foreign.wait()


def test_a_compute_mode_that_cannot_be_restored_is_a_problem_and_remains_in_the_state_file(stage: Stage) -> None:
    stage.folder.prepare()
    write_state(stage.folder, MpsState(modes=BEFORE))
    stage.modes.now = {ONE: EXCLUSIVE_PROCESS, TWO: EXCLUSIVE_PROCESS}
    stage.modes.refused = {ONE}
    with pytest.raises(NodeError, match=r"nvidia\.com/gpu: cannot restore the compute modes of GPU-1: nvmlDevice"):
        stop_mps_daemons(stage.tools)
    assert stage.modes.now == {ONE: EXCLUSIVE_PROCESS, TWO: 2}
    assert stage.state == MpsState(modes={ONE: 0})
