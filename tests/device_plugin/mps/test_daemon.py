"""MPS control daemons as children: the program is a stand-in script that keeps the real one's manners."""

import json
import os
import signal
import stat
import threading
import time
from collections.abc import Callable, Collection, Iterator
from pathlib import Path

import pytest

from device_plugin.mps.control import MpsControl, MpsError, MpsFolder
from device_plugin.mps.daemon import EXCLUSIVE_PROCESS, MpsDaemon
from device_plugin.mps.keeper import MpsKeeper, MpsTools
from device_plugin.mps.plan import MpsGpu, MpsWanted
from node_core.domain.backoff import Backoff
from node_core.domain.inventory import GpuUuid
from node_core.domain.resources import GPU
from node_core.errors import NvmlError
from tests.device_plugin.mps.stand_in import SCRIPT

ONE, TWO = GpuUuid("GPU-1"), GpuUuid("GPU-2")
WANTED = MpsWanted(
    resource=GPU,
    gpus=(MpsGpu(uuid=ONE, memory_mib=81920, replicas=4), MpsGpu(uuid=TWO, memory_mib=40960, replicas=2)),
)


class Modes:
    """Compute modes of two GPUs, one of which had been set by a person."""

    def __init__(self) -> None:
        self.now = {ONE: 0, TWO: 2}
        self.refuses = False
        self.calls = 0

    def read(self, gpus: Collection[GpuUuid]) -> dict[GpuUuid, int]:
        self.calls += 1
        return {gpu: self.now[gpu] for gpu in gpus}

    def write(self, gpus: Collection[GpuUuid], mode: int) -> None:
        self.calls += 1
        if self.refuses:
            raise NvmlError("nvmlDeviceSetComputeMode", "NO_PERMISSION")
        self.now |= dict.fromkeys(gpus, mode)


class Stage:
    def __init__(self, root: Path) -> None:
        self.root = root
        self.modes = Modes()
        self.changed = threading.Condition()
        self.folder = MpsFolder(base=root / GPU)
        program = root / "nvidia-cuda-mps-control"
        program.write_text(SCRIPT)
        program.chmod(program.stat().st_mode | stat.S_IXUSR)
        self.control = MpsControl(program)
        self.daemons: list[MpsDaemon] = []
        self.is_released = False
        self.asked = 0

    def daemon(self, wanted: MpsWanted = WANTED, control: MpsControl | None = None) -> MpsDaemon:
        retries = Backoff(first=0.01, most=0.02)
        daemon = MpsDaemon(
            wanted,
            self.folder,
            control or self.control,
            self.modes,
            self.notify,
            retries=retries,
            may_open=self.may_open,
        )
        self.daemons.append(daemon)
        daemon.start()
        return daemon

    def may_open(self) -> bool:
        self.asked += 1
        self.notify()
        return not self.is_released

    def release(self) -> None:
        self.asked, self.is_released = 0, True

    def notify(self) -> None:
        with self.changed:
            self.changed.notify_all()

    def until(self, true: Callable[[], bool]) -> None:
        with self.changed:
            assert self.changed.wait_for(true, 20), "it did not come true in time"

    def lines(self, name: str) -> list[str]:
        path = self.folder.pipe / name
        return path.read_text().split("\n")[:-1] if path.exists() else []


@pytest.fixture
def stage(tmp_path: Path) -> Iterator[Stage]:
    stage = Stage(tmp_path)
    yield stage
    stage.is_released = False
    for daemon in stage.daemons:
        daemon.stop()


def alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True


def test_each_client_gets_its_share_of_memory_and_threads() -> None:
    assert WANTED.commands == (
        "set_default_device_pinned_mem_limit 0 20480M",
        "set_default_device_pinned_mem_limit 1 20480M",
        "set_default_active_thread_percentage 25",
    )
    boundless = MpsWanted(resource=GPU, gpus=(MpsGpu(uuid=ONE, memory_mib=None, replicas=48),))
    assert boundless.commands == ("set_default_active_thread_percentage 2",)


def test_a_daemon_sees_its_gpus_alone_and_is_told_its_limits(stage: Stage) -> None:
    daemon = stage.daemon()
    stage.until(lambda: daemon.problem is None)
    assert stage.lines("visible") == ["GPU-1,GPU-2"]
    assert [line for line in stage.lines("commands") if line.startswith("set_")] == list(WANTED.commands)
    assert stage.modes.now == {ONE: EXCLUSIVE_PROCESS, TWO: EXCLUSIVE_PROCESS}


def test_an_end_quits_the_daemon_and_puts_the_compute_modes_back(stage: Stage) -> None:
    daemon = stage.daemon()
    stage.until(lambda: daemon.problem is None)
    pid = int(stage.lines("pid")[0])
    daemon.stop()
    assert not alive(pid)
    assert stage.modes.now == {ONE: 0, TWO: 2}
    assert not stage.folder.state.exists()
    assert stage.lines("commands")[-1] == "quit"


def test_a_daemon_that_dies_is_said_and_started_again(stage: Stage) -> None:
    daemon = stage.daemon()
    stage.until(lambda: daemon.problem is None)
    os.kill(int(stage.lines("pid")[0]), signal.SIGKILL)
    stage.until(lambda: daemon.problem is not None)
    assert daemon.problem == "its MPS daemon ended with status -9"
    stage.until(lambda: daemon.problem is None)
    assert (len(stage.lines("starts")), daemon.restarts) == (2, 1)


def test_while_gpus_are_released_no_daemon_is_started_and_no_compute_mode_touched(stage: Stage) -> None:
    stage.release()
    daemon = stage.daemon()
    stage.until(lambda: stage.asked > 3)
    assert daemon.problem == "its MPS daemon waits: the GPUs are released"
    assert (stage.modes.calls, stage.lines("starts")) == (0, [])
    stage.is_released = False
    stage.until(lambda: daemon.problem is None)
    calls = stage.modes.calls
    stage.release()
    os.kill(int(stage.lines("pid")[0]), signal.SIGKILL)
    stage.until(lambda: stage.asked > 3)
    assert (stage.modes.calls, len(stage.lines("starts"))) == (calls, 1)
    stage.is_released = False
    stage.until(lambda: daemon.problem is None)
    assert len(stage.lines("starts")) == 2


def test_compute_modes_are_put_back_when_the_gpus_are_released_no_more(stage: Stage) -> None:
    daemon = stage.daemon()
    stage.until(lambda: daemon.problem is None)
    stage.release()
    daemon.stop()
    stage.until(lambda: stage.asked > 3)
    assert stage.modes.now == {ONE: EXCLUSIVE_PROCESS, TWO: EXCLUSIVE_PROCESS}
    stage.is_released = False
    daemon._thread.join(20)
    assert stage.modes.now == {ONE: 0, TWO: 2}


def test_a_daemon_that_was_left_by_a_killed_process_of_ours_is_used_on(stage: Stage) -> None:
    first = stage.daemon()
    stage.until(lambda: first.problem is None)
    second = stage.daemon()
    stage.until(lambda: second.problem is None)
    assert len(stage.lines("starts")) == 1
    first.stop()


def test_one_that_was_told_otherwise_is_replaced_and_the_modes_from_before_are_not_forgotten(stage: Stage) -> None:
    first = stage.daemon()
    stage.until(lambda: first.problem is None)
    first._stopping.set()  # killed: nobody quits the daemon or puts modes back
    other = MpsWanted(resource=GPU, gpus=(MpsGpu(uuid=ONE, memory_mib=81920, replicas=2),))
    first._restore = lambda: None  # type: ignore[method-assign]
    second = stage.daemon(other)
    stage.until(lambda: second.problem is None)
    assert stage.lines("visible") == ["GPU-1"]
    assert stage.modes.now == {ONE: EXCLUSIVE_PROCESS, TWO: 2}
    second.stop()
    assert stage.modes.now == {ONE: 0, TWO: 2}


def test_one_that_was_left_for_other_gpus_is_replaced(stage: Stage) -> None:
    one = MpsWanted(resource=GPU, gpus=(MpsGpu(uuid=ONE, memory_mib=None, replicas=4),))
    other = MpsWanted(resource=GPU, gpus=(MpsGpu(uuid=TWO, memory_mib=None, replicas=4),))
    assert one.commands == other.commands
    first = stage.daemon(one)
    stage.until(lambda: first.problem is None)
    first._stopping.set()
    first._restore = lambda: None  # type: ignore[method-assign]
    second = stage.daemon(other)
    stage.until(lambda: second.problem is None)
    assert stage.lines("visible") == ["GPU-2"]


def test_a_replacement_begins_when_the_one_before_has_put_everything_back(stage: Stage) -> None:
    tools = MpsTools(root=stage.root, control=stage.control, modes=stage.modes)
    keeper = MpsKeeper(stage.notify)
    slow = threading.Event()
    write = stage.modes.write

    def write_slowly(gpus: Collection[GpuUuid], mode: int) -> None:
        if mode != EXCLUSIVE_PROCESS:
            slow.wait(2)
        write(gpus, mode)

    stage.modes.write = write_slowly  # type: ignore[method-assign]
    try:
        keeper.reconcile({GPU: WANTED}, tools)
        stage.until(lambda: not keeper.problems())
        keeper.reconcile({GPU: MpsWanted(resource=GPU, gpus=WANTED.gpus[:1])}, tools)
        slow.set()
        stage.until(lambda: not keeper.problems())
        assert json.loads(stage.folder.state.read_text())["modes"] == {ONE: 0}
    finally:
        slow.set()
        keeper.close()
    stage.until(lambda: stage.modes.now == {ONE: 0, TWO: 2})


def test_shared_memory_is_for_all_users(stage: Stage) -> None:
    stage.folder.prepare()
    assert stat.S_IMODE(stage.folder.shm.stat().st_mode) == 0o1777


def test_a_daemon_of_somebody_else_is_used_and_never_quit(stage: Stage) -> None:
    stage.folder.prepare()
    foreign = stage.control.start(stage.folder, "all")
    try:
        deadline = time.monotonic() + 10
        while not stage.control.is_serving(stage.folder):
            assert time.monotonic() < deadline
        daemon = stage.daemon()
        stage.until(lambda: daemon.problem is None)
        daemon.stop()
        assert foreign.poll() is None
        assert stage.modes.now == {ONE: 0, TWO: 2}
    finally:
        foreign.kill()
        foreign.wait()


@pytest.mark.parametrize("case", ["no program", "ends at once", "no right to set modes", "no folder"])
def test_what_is_missing_is_said_in_a_sentence_and_tried_again(stage: Stage, case: str) -> None:
    control = stage.control
    expected = {
        "no program": "the driver has no nvidia-cuda-mps-control",
        "ends at once": "its MPS daemon ended at once with status 3",
        "no right to set modes": "nvmlDeviceSetComputeMode answered NO_PERMISSION",
        "no folder": f"cannot make {stage.folder.base}",
    }[case]
    match case:
        case "no program":
            control = MpsControl(None)
        case "ends at once":
            stage.folder.prepare()
            (stage.folder.pipe / "broken").touch()
        case "no right to set modes":
            stage.modes.refuses = True
        case _:
            (stage.root / "nvidia.com").write_text("in the way")
    daemon = stage.daemon(control=control)
    stage.until(lambda: expected in str(daemon.problem))
    daemon.stop()
    assert daemon.problem is not None


def test_a_state_file_that_is_rubbish_is_none(stage: Stage) -> None:
    stage.folder.prepare()
    stage.folder.state.write_text("{")
    daemon = stage.daemon()
    stage.until(lambda: daemon.problem is None)
    assert json.loads(stage.folder.state.read_text())["modes"] == {ONE: 0, TWO: 2}


def test_a_client_that_is_refused_is_told_why(stage: Stage) -> None:
    stage.folder.prepare()
    with pytest.raises(MpsError, match="Cannot find MPS control daemon process"):
        stage.control.command(stage.folder, "quit")


def test_daemons_come_and_go_with_the_resources_that_need_them(stage: Stage) -> None:
    tools = MpsTools(root=stage.root, control=stage.control, modes=stage.modes)
    keeper = MpsKeeper(stage.notify)
    try:
        assert keeper.problems() == {}
        keeper.reconcile({GPU: WANTED}, tools)
        stage.until(lambda: not keeper.problems())
        keeper.reconcile({GPU: WANTED}, tools)
        assert len(stage.lines("starts")) == 1
        less = MpsWanted(resource=GPU, gpus=WANTED.gpus[:1])
        keeper.reconcile({GPU: less}, tools)
        assert keeper.problems() == {GPU: "its MPS daemon is starting"} or len(stage.lines("starts")) == 2
        stage.until(lambda: not keeper.problems())
        assert stage.modes.now == {ONE: EXCLUSIVE_PROCESS, TWO: 2}
    finally:
        keeper.close()
    assert stage.modes.now == {ONE: 0, TWO: 2}
