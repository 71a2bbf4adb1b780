"""The MPS daemons of a node across several managers: reloads, ends, and daemons of earlier processes."""

import threading
from collections.abc import Collection
from pathlib import Path

import pytest

from gpu_core.domain.inventory import GpuUuid
from gpu_core.domain.resources import GPU, ResourceName
from gpu_core.mps.changes import MpsState
from gpu_core.mps.compute_mode import EXCLUSIVE_PROCESS
from gpu_core.mps.control import MpsControl, MpsFolder
from gpu_core.mps.manager import MpsManager
from gpu_core.mps.state import discover_folders, write_state
from node_core.values import replace
from tests.gpu_core.mps.stage import BEFORE, LESS, ONE, TWO, WANTED, Stage, is_alive

ALL_EXCLUSIVE = {ONE: EXCLUSIVE_PROCESS, TWO: EXCLUSIVE_PROCESS}
RENAMED = ResourceName("nvidia.com/gpu.shared")


class SlowControl(MpsControl):
    """An MPS program whose daemon is ready before `start` returns."""

    entered = threading.Event()
    go = threading.Event()

    def start(self, folder: MpsFolder, visible: str) -> int:
        pid = MpsControl.start(self, folder, visible)
        self.entered.set()
        assert self.go.wait(60)
        return pid


def serving(stage: Stage, *, is_container: bool = False) -> MpsManager:
    manager = stage.manager(is_container=is_container)
    manager.reconcile({GPU: WANTED}, stage.tools)
    stage.until(lambda: not manager.problems() and manager._daemons[GPU]._applier.process is not None)
    return manager


def running(stage: Stage) -> list[int]:
    return [pid for pid in stage.pids if is_alive(pid, stage.folder)]


def test_daemons_start_and_stop_with_their_resources(stage: Stage) -> None:
    manager = stage.manager()
    assert manager.problems() == {}
    manager.reconcile({GPU: WANTED}, stage.tools)
    assert manager.desired == {GPU: WANTED}
    stage.until(lambda: not manager.problems())
    manager.reconcile({GPU: WANTED}, stage.tools)
    assert running(stage) == stage.pids
    manager.reconcile({GPU: LESS}, stage.tools)
    assert manager.problems() == {GPU: "its MPS daemon is starting"}
    stage.until(lambda: not manager.problems())
    assert stage.modes.now == {ONE: EXCLUSIVE_PROCESS, TWO: 2}
    manager.reconcile({}, stage.tools)
    assert (manager.problems(), manager.desired) == ({}, {})
    stage.until(lambda: stage.state is None)
    assert (running(stage), stage.modes.now) == ([], BEFORE)


def test_a_thread_that_cannot_start_is_started_later(stage: Stage, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(_: threading.Thread) -> None:
        raise RuntimeError("can't start new thread")

    manager = stage.manager()
    with monkeypatch.context() as patch:
        patch.setattr(threading.Thread, "start", refuse)
        with pytest.raises(RuntimeError):
            manager.reconcile({GPU: WANTED}, stage.tools)
    manager.reconcile({GPU: WANTED}, stage.tools)
    stage.until(lambda: not manager.problems())


@pytest.mark.parametrize(
    ("is_final", "is_container"),
    [(False, False), (False, True), (True, False)],
    ids=["reload on a host", "reload in a container", "end on a host"],
)
def test_the_next_manager_adopts_running_daemons(stage: Stage, is_final: bool, is_container: bool) -> None:
    serving(stage, is_container=is_container).close(is_final=is_final)
    assert running(stage) == stage.pids
    calls = stage.modes.calls
    serving(stage)
    assert (len(stage.pids), stage.modes.calls, stage.modes.now) == (1, calls, ALL_EXCLUSIVE)


def test_the_end_of_a_container_stops_daemons_and_restores_compute_modes(stage: Stage) -> None:
    manager = serving(stage, is_container=True)
    manager.close(is_final=True)
    stage.until(lambda: stage.state is None)
    assert (running(stage), stage.modes.now) == ([], BEFORE)


def test_daemons_of_an_earlier_process_are_stopped_if_mps_is_no_longer_configured(stage: Stage) -> None:
    serving(stage).close(is_final=True)
    manager = stage.manager()
    manager.reconcile({}, stage.tools)
    assert manager._daemons[GPU].done.wait(60)
    assert (running(stage), stage.modes.now, stage.state) == ([], BEFORE, None)
    manager.reconcile({}, stage.tools)
    assert manager._daemons == {}


def test_compute_modes_of_a_killed_process_are_restored_if_mps_is_no_longer_configured(stage: Stage) -> None:
    stage.folder.prepare()
    write_state(stage.folder, MpsState(modes=BEFORE))
    stage.modes.now = dict(ALL_EXCLUSIVE)
    stage.manager().reconcile({}, stage.tools)
    stage.until(lambda: stage.state is None)
    assert stage.modes.now == BEFORE


def test_gpus_that_move_to_another_resource_retain_their_original_modes(stage: Stage) -> None:
    """The new resource must not store the mode that the old resource has set."""
    manager = serving(stage)
    manager.reconcile({RENAMED: replace(WANTED, resource=RENAMED)}, stage.tools)
    stage.until(lambda: not manager.problems())
    assert list(discover_folders(stage.root)) == [RENAMED]
    assert (running(stage), stage.modes.now) == ([], ALL_EXCLUSIVE)
    manager.reconcile({}, stage.tools)
    stage.until(lambda: not list(discover_folders(stage.root)))
    assert stage.modes.now == BEFORE


@pytest.mark.parametrize("case", ["replaced", "no longer desired"])
def test_a_change_during_the_compute_mode_write_leaves_no_old_daemon(stage: Stage, case: str) -> None:
    stage.modes.go.clear()
    manager = stage.manager()
    manager.reconcile({GPU: WANTED}, stage.tools)
    assert stage.modes.entered.wait(60)
    change(stage, manager, case)
    stage.modes.go.set()
    check(stage, manager, case)


@pytest.mark.parametrize("case", ["replaced", "no longer desired"])
def test_a_change_during_the_start_of_a_daemon_leaves_no_old_daemon(stage: Stage, case: str) -> None:
    quick = stage.control
    SlowControl.entered.clear()
    SlowControl.go.clear()
    stage.control = SlowControl(quick.program)
    manager = stage.manager()
    manager.reconcile({GPU: WANTED}, stage.tools)
    assert SlowControl.entered.wait(60)
    stage.control = quick
    change(stage, manager, case)
    SlowControl.go.set()
    check(stage, manager, case)
    assert stage.pids[0] not in running(stage)


def change(stage: Stage, manager: MpsManager, case: str) -> None:
    manager.reconcile({GPU: LESS} if case == "replaced" else {}, stage.tools)


def check(stage: Stage, manager: MpsManager, case: str) -> None:
    if case == "replaced":
        stage.until(lambda: not manager.problems())
        assert (len(running(stage)), stage.lines("visible")) == (1, [ONE])
        assert stage.modes.now == {ONE: EXCLUSIVE_PROCESS, TWO: 2}
    else:
        stage.until(lambda: stage.state is None)
        assert (running(stage), stage.modes.now) == ([], BEFORE)


def test_a_reload_during_the_start_of_a_daemon_leaves_one_daemon(stage: Stage) -> None:
    quick = stage.control
    SlowControl.entered.clear()
    SlowControl.go.clear()
    stage.control = SlowControl(quick.program)
    first = stage.manager()
    first.reconcile({GPU: WANTED}, stage.tools)
    assert SlowControl.entered.wait(60)
    first.close(is_final=False)
    stage.control = quick
    second = stage.manager()
    second.reconcile({GPU: WANTED}, stage.tools)
    SlowControl.go.set()
    stage.until(lambda: not second.problems())
    assert running(stage) == stage.pids[-1:]


def test_a_new_thread_waits_for_the_end_of_the_previous_thread(stage: Stage) -> None:
    manager = serving(stage)
    write = stage.modes.write
    entered, go = threading.Event(), threading.Event()

    def write_slowly(gpus: Collection[GpuUuid], mode: int) -> None:
        entered.set()
        assert go.wait(60)
        write(gpus, mode)

    stage.modes.write = write_slowly  # type: ignore[method-assign]
    manager.reconcile({}, stage.tools)
    assert entered.wait(60)
    manager.reconcile({GPU: WANTED}, stage.tools)
    go.set()
    stage.until(lambda: not manager.problems())
    assert stage.state is not None
    assert (stage.state.modes, stage.modes.now) == (BEFORE, ALL_EXCLUSIVE)


def test_a_failed_daemon_uses_programs_that_were_installed_later(stage: Stage) -> None:
    there, stage.control = stage.control, MpsControl(None)
    manager = stage.manager()
    manager.reconcile({GPU: WANTED}, stage.tools)
    stage.until(lambda: "the driver does not contain nvidia-cuda-mps-control" in manager.problems()[GPU])
    stage.control = there
    manager.reconcile({GPU: WANTED}, stage.tools)
    stage.until(lambda: not manager.problems())


def test_a_missing_root_has_no_folders(stage: Stage, tmp_path: Path) -> None:
    stage.manager().reconcile({}, replace(stage.tools, root=tmp_path / "gone"))
    assert not (tmp_path / "gone").exists()
