"""A node with two GPUs for tests of MPS: compute modes, fake programs, and daemons that end with the test."""

import os
import stat
import threading
from collections.abc import Callable, Collection
from pathlib import Path

from gpu_core.domain.inventory import GpuUuid
from gpu_core.domain.resources import GPU
from gpu_core.mps.apply import MpsTools
from gpu_core.mps.changes import MpsState
from gpu_core.mps.compute_mode import EXCLUSIVE_PROCESS
from gpu_core.mps.control import MpsControl, MpsFolder
from gpu_core.mps.daemon import MpsDaemon
from gpu_core.mps.manager import MpsManager
from gpu_core.mps.process import find_process
from gpu_core.mps.spec import MpsDaemonSpec, MpsGpu
from gpu_core.mps.state import discover_folders, read_state
from node_core.domain.backoff import Backoff
from node_core.errors import NvmlError
from tests.gpu_core.mps.fake_program import SCRIPT

ONE, TWO = GpuUuid("GPU-1"), GpuUuid("GPU-2")
WANTED = MpsDaemonSpec(
    resource=GPU,
    gpus=(MpsGpu(uuid=ONE, memory_mib=81920, replicas=4), MpsGpu(uuid=TWO, memory_mib=40960, replicas=2)),
)
LESS = MpsDaemonSpec(resource=GPU, gpus=WANTED.gpus[:1])
BEFORE = {ONE: 0, TWO: 2}
"""Compute modes of the two GPUs; an administrator set one of them."""
ALL_EXCLUSIVE = {ONE: EXCLUSIVE_PROCESS, TWO: EXCLUSIVE_PROCESS}


class Modes:
    """Fake compute modes. refused: GPUs whose mode cannot be set. entered, go: the first write sets `entered` and waits for `go`."""

    def __init__(self) -> None:
        self.now = dict(BEFORE)
        self.refused: set[GpuUuid] = set()
        self.calls = 0
        self.entered = threading.Event()
        self.go = threading.Event()
        self.go.set()

    def read(self, gpus: Collection[GpuUuid]) -> dict[GpuUuid, int]:
        self.calls += 1
        return {gpu: self.now[gpu] for gpu in gpus}

    def write(self, gpus: Collection[GpuUuid], mode: int) -> None:
        self.calls += 1
        self.entered.set()
        assert self.go.wait(60)
        if not self.refused.isdisjoint(gpus):
            raise NvmlError("nvmlDeviceSetComputeMode", "NO_PERMISSION")
        self.now |= dict.fromkeys(gpus, mode)


class Clock:
    """A clock that advances with each call."""

    def __init__(self, step: float) -> None:
        self.step = step
        self.now = 0.0

    def __call__(self) -> float:
        self.now += self.step
        return self.now


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
        self.managers: list[MpsManager] = []
        self.is_released = False
        self.checks = 0

    @property
    def tools(self) -> MpsTools:
        return MpsTools(root=self.root, control=self.control, modes=self.modes)

    @property
    def state(self) -> MpsState | None:
        return read_state(self.folder)

    def daemon(
        self,
        desired: MpsDaemonSpec | None = WANTED,
        *,
        retries: Backoff | None = None,
        clock: Callable[[], float] | None = None,
    ) -> MpsDaemon:
        daemon = MpsDaemon(
            GPU,
            desired,
            self.tools,
            self.notify,
            may_open=self.may_open,
            retries=retries or Backoff(first=0.01, maximum=0.02),
            clock=clock or Clock(0.0),
        )
        self.daemons.append(daemon)
        daemon.start()
        return daemon

    def serving(self, desired: MpsDaemonSpec = WANTED) -> MpsDaemon:
        """Waits until a daemon is started or adopted."""
        daemon = self.daemon(desired)
        self.until(lambda: daemon.problem is None and daemon._applier.process is not None)
        return daemon

    def end(self) -> None:
        """Stops the daemon, as if no daemon is desired."""
        daemon = self.daemon(None)
        assert daemon.done.wait(60), daemon.problem

    def manager(self, *, is_container: bool = False) -> MpsManager:
        manager = MpsManager(self.notify, self.may_open, lambda: is_container)
        self.managers.append(manager)
        return manager

    def close(self) -> None:
        """Ends all processes that the test started."""
        self.is_released = False
        self.modes.refused.clear()
        self.modes.go.set()
        for manager in self.managers:
            manager.close(is_final=False)
        for daemon in self.daemons:
            daemon.stop()
        last = self.manager(is_container=True)
        last.reconcile({}, self.tools)
        self.until(
            lambda: not any(daemon.desired is None and not daemon.done.is_set() for daemon in last._daemons.values())
        )
        assert not list(discover_folders(self.root))

    def may_open(self) -> bool:
        self.checks += 1
        self.notify()
        return not self.is_released

    def release(self) -> None:
        self.checks, self.is_released = 0, True

    def notify(self) -> None:
        with self.changed:
            self.changed.notify_all()

    def until(self, true: Callable[[], bool]) -> None:
        """Polls, because some changes cause no notification."""
        with self.changed:
            for _ in range(400):
                if self.changed.wait_for(true, 0.05):
                    return
        raise AssertionError(f"timeout: {[(daemon.problem, daemon.done.is_set()) for daemon in self.daemons]}")

    def lines(self, name: str) -> list[str]:
        path = self.folder.pipe / name
        return path.read_text().split("\n")[:-1] if path.exists() else []

    @property
    def pids(self) -> list[int]:
        """The pids of all started daemons, including ended daemons."""
        return [int(line) for line in self.lines("starts")]


def is_alive(pid: int, folder: MpsFolder) -> bool:
    """Whether the pid belongs to a daemon of this folder. A zombie does not count."""
    process = find_process(pid, folder)
    if process is not None:
        process.close()
    return process is not None


def kill(pid: int) -> None:
    os.kill(pid, 9)
