"""NVIDIA's MPS program and the folder of a daemon."""

import stat

import pytest

from gpu_core.mps.changes import MpsState
from gpu_core.mps.control import MpsError
from tests.gpu_core.mps.stage import ALL_EXCLUSIVE, BEFORE, WANTED, Stage


def test_a_daemon_gets_only_its_own_gpus_and_its_limits(stage: Stage) -> None:
    stage.serving()
    assert stage.lines("visible") == ["GPU-1,GPU-2"]
    assert [line for line in stage.lines("commands") if line.startswith("set_")] == list(WANTED.settings.commands)
    assert stage.modes.now == ALL_EXCLUSIVE
    assert stage.state == MpsState(modes=BEFORE, pid=stage.pids[0], settings=WANTED.settings)


def test_the_shared_memory_folder_is_writable_for_all_users(stage: Stage) -> None:
    stage.folder.prepare()
    assert stat.S_IMODE(stage.folder.shm.stat().st_mode) == 0o1777


def test_an_error_contains_the_refusal_of_the_daemon(stage: Stage) -> None:
    stage.folder.prepare()
    with pytest.raises(MpsError, match="Cannot find MPS control daemon process"):
        stage.control.command(stage.folder, "quit")
