"""Applies the planned changes of one MPS folder: compute modes, the daemon, its limits, and the state file."""

from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path

import msgspec
import structlog

from gpu_core.domain.inventory import GpuUuid
from gpu_core.domain.resources import ResourceName
from gpu_core.mps.changes import MpsChange, MpsObserved, MpsState
from gpu_core.mps.compute_mode import DEFAULT, EXCLUSIVE_PROCESS, ComputeModes, restore_modes
from gpu_core.mps.control import MpsControl, MpsError, MpsFolder
from gpu_core.mps.process import DaemonProcess, find_process
from gpu_core.mps.spec import MpsDaemonSpec
from gpu_core.mps.state import discover_folders, read_state, remove_state, write_state
from node_core.values import replace

log = structlog.get_logger(__name__)

READY_SECONDS = 10.0
QUIT_SECONDS = 1.0
POLL_SECONDS = 0.1
RELEASED = "its MPS daemon waits until the release of the GPUs ends"


class GpusReleasedError(MpsError):
    """NVML must not be opened at present."""


class MpsTools(msgspec.Struct, frozen=True, kw_only=True):
    """root: the path of the MPS root in this process. has_selinux: containers can only access folders with the container label."""

    root: Path
    control: MpsControl
    modes: ComputeModes
    has_selinux: bool = False

    def folder(self, resource: ResourceName) -> MpsFolder:
        return MpsFolder(base=self.root / resource, has_selinux=self.has_selinux)


class MpsApplier:
    """wait: waits for a number of seconds; raises an exception if the owning thread must end. may_open: whether NVML may be opened.

    process: the process of the daemon; None if no daemon runs or its process is not visible in this PID namespace.
    """

    def __init__(
        self,
        resource: ResourceName,
        desired: MpsDaemonSpec | None,
        tools: MpsTools,
        wait: Callable[[float], None],
        may_open: Callable[[], bool],
    ) -> None:
        self.process: DaemonProcess | None = None
        self._resource = resource
        self._wanted = desired
        self._tools = tools
        self._folder = tools.folder(resource)
        self._control = tools.control
        self._modes = tools.modes
        self._wait = wait
        self._may_open = may_open

    def observe(self) -> MpsObserved:
        """Raises MpsError."""
        state = read_state(self._folder)
        self.process = find_process(state.pid, self._folder) if state else None
        is_alive = self.process is not None or self._control.is_serving(self._folder)
        return MpsObserved(state=state, is_alive=is_alive)

    def apply(self, change: MpsChange, observed: MpsObserved) -> None:
        """Raises a NodeError."""
        match change:
            case MpsChange.QUIT:
                self._quit()
            case MpsChange.RESTORE:
                self._restore(observed.state or MpsState())
            case MpsChange.START:
                self._start()

    def _quit(self) -> None:
        """Stops the daemon. Raises MpsError if the daemon does not end."""
        with suppress(MpsError):
            self._control.command(self._folder, "quit")
        if self.process is None:
            has_ended = self._poll(lambda: not self._control.is_serving(self._folder), QUIT_SECONDS)
        else:
            has_ended = self.process.end(QUIT_SECONDS)
            self.forget_process()
        if not has_ended:
            raise MpsError(f"the MPS daemon of {self._folder.base} does not quit")

    def _restore(self, state: MpsState) -> None:
        """Restores compute modes. A mode that cannot be restored remains in the state file and is retried when the daemon ends."""
        self._check_may_open()
        needed = {gpu.uuid for gpu in self._wanted.gpus} if self._wanted else set()
        failed = restore_modes(self._modes, {gpu: mode for gpu, mode in state.modes.items() if gpu not in needed})
        left = {gpu: mode for gpu, mode in state.modes.items() if gpu in needed or gpu in failed}
        if left or self._wanted is not None:
            write_state(self._folder, MpsState(modes=left))
        else:
            remove_state(self._folder)
        if failed:
            gpus, why = ", ".join(failed), next(iter(failed.values()))
            if self._wanted is None:
                raise MpsError(f"cannot restore the compute modes of {gpus}: {why}")
            log.warning("compute_mode_not_restored", resource=self._resource, gpus=gpus, why=why)

    def _start(self) -> None:
        """Starts the daemon. After any failure no daemon continues to run without all of its settings."""
        assert self._wanted is not None  # noqa: S101  # nosec B101 # as planned
        self._check_may_open()
        state = self._claim(self._wanted.exclusive)
        settings = self._wanted.settings
        self.process = DaemonProcess(self._control.start(self._folder, settings.visible))
        try:
            state = replace(state, pid=self.process.pid)
            write_state(self._folder, state)
            self._await_ready(self.process)
            for command in settings.commands:
                self._control.command(self._folder, command)
            write_state(self._folder, replace(state, settings=settings))
        except BaseException:
            self._quit()
            raise

    def _claim(self, gpus: Sequence[GpuUuid]) -> MpsState:
        """Saves the current compute modes, then sets EXCLUSIVE_PROCESS. Modes that an earlier process saved take precedence."""
        self._check_unclaimed(gpus)
        known = read_state(self._folder) or MpsState()
        unknown = [gpu for gpu in gpus if gpu not in known.modes]
        modes = self._modes.read(unknown) if unknown else {}
        if known.is_damaged:  # the saved modes are lost; EXCLUSIVE_PROCESS is the mode that the plugin sets
            modes = {gpu: DEFAULT if mode == EXCLUSIVE_PROCESS else mode for gpu, mode in modes.items()}
        state = MpsState(modes={**known.modes, **modes})
        write_state(self._folder, state)
        if gpus:
            self._modes.write(gpus, EXCLUSIVE_PROCESS)
        return state

    def _check_unclaimed(self, gpus: Sequence[GpuUuid]) -> None:
        """If a GPU moves to another resource, the daemon of the previous resource must restore its compute mode first."""
        for resource in discover_folders(self._tools.root):
            state = read_state(self._tools.folder(resource))
            if resource != self._resource and state and not state.modes.keys().isdisjoint(gpus):
                raise MpsError(f"its MPS daemon waits until the MPS daemon of {resource} releases the GPUs")

    def _await_ready(self, process: DaemonProcess) -> None:
        is_ready = self._poll(lambda: self._control.is_serving(self._folder) or process.has_ended(), READY_SECONDS)
        if process.status is not None:
            raise MpsError(
                f"its MPS daemon ended during its start with status {process.status}: see {self._folder.log}"
            )
        if not is_ready:
            raise MpsError(f"its MPS daemon does not respond: see {self._folder.log}")

    def _poll(self, condition: Callable[[], bool], seconds: float) -> bool:
        for _ in range(round(seconds / POLL_SECONDS)):
            if condition():
                return True
            self._wait(POLL_SECONDS)
        return False

    def _check_may_open(self) -> None:
        if not self._may_open():
            raise GpusReleasedError(RELEASED)

    def forget_process(self) -> None:
        if self.process is not None:
            self.process.close()
            self.process = None
