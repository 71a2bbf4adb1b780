"""The life of one MPS control daemon: GPUs in exclusive mode, the daemon, its limits, and all of it again when it ends.

A thread of its own owns it, so nothing that hangs in a driver holds up the kubelet. The compute modes from before are kept in the
folder, so that they are put back also after we were killed.
"""

import contextlib
import json
import random
import subprocess  # nosec B404 # for the type of the child
import threading
import time
from collections.abc import Callable, Collection, Mapping
from typing import Protocol

import structlog

from device_plugin.mps.control import MpsControl, MpsError, MpsFolder
from device_plugin.mps.plan import MpsWanted
from node_core.domain.backoff import Backoff
from node_core.domain.inventory import GpuUuid
from node_core.errors import NodeError

log = structlog.get_logger(__name__)

EXCLUSIVE_PROCESS = 3
"""NVML_COMPUTEMODE_EXCLUSIVE_PROCESS: only the MPS server may have a context, so nobody passes it by."""
READY_SECONDS = 10.0
PROBE_SECONDS = 15.0
"""How often a daemon that is not our child is asked whether it is there."""
QUIT_SECONDS = 1.0


class ComputeModes(Protocol):
    """nvmlComputeMode_t of GPUs; see SmiComputeModes. Both raise a NodeError."""

    def read(self, gpus: Collection[GpuUuid]) -> Mapping[GpuUuid, int]: ...

    def write(self, gpus: Collection[GpuUuid], mode: int) -> None: ...


class MpsDaemon:
    """notify: called, in our thread, whenever `problem` changed. problem: None while clients can connect.

    after: the one that had the folder before; nothing is done there until that one has ended. may_open: whether NVML may be open now:
    while it may not, no daemon is started and no compute mode is read or set.
    """

    def __init__(
        self,
        wanted: MpsWanted,
        folder: MpsFolder,
        control: MpsControl,
        modes: ComputeModes,
        notify: Callable[[], None],
        *,
        retries: Backoff | None = None,
        after: "MpsDaemon | None" = None,
        may_open: Callable[[], bool] = lambda: True,
    ) -> None:
        self.wanted = wanted
        self.problem: str | None = "its MPS daemon is starting"
        self.restarts = 0
        self._folder = folder
        self._control = control
        self._modes = modes
        self._notify = notify
        self._retries = retries or Backoff(first=1.0, most=30.0)
        self._stopping = threading.Event()
        self._after = after
        self._may_open = may_open
        self._child: subprocess.Popen[bytes] | None = None
        self._thread = threading.Thread(target=self._run, name=f"mps {wanted.resource}", daemon=True)

    def start(self) -> None:
        self._thread.start()

    def stop(self) -> None:
        """Quits a daemon of ours and puts the compute modes back. A daemon of somebody else is left alone."""
        self._stopping.set()
        if (child := self._child) is not None:
            self._quit(child)
        self._thread.join(QUIT_SECONDS)

    def _run(self) -> None:
        if self._after is not None:
            self._after._thread.join()  # noqa: SLF001 - of our own kind
            self._after = None
        failures = 0
        while self._await_gpus():
            try:
                self._serve()
                failures = 1
            except NodeError as error:
                failures += 1
                self._tell(str(error))
            if not self._stopping.wait(self._retries.delay(failures, random.random())):  # nosec B311 # jitter
                self.restarts += 1
        self._restore()

    def _await_gpus(self) -> bool:
        """Whether there is something to do, which we are not told to stop meanwhile."""
        while not self._stopping.is_set() and not self._may_open():
            self._tell("its MPS daemon waits: the GPUs are released")
            self._stopping.wait(self._retries.first)
        return not self._stopping.is_set()

    def _serve(self) -> None:
        """Until the daemon ends. Raises MpsError or NvmlError."""
        self._folder.prepare()
        if self._control.is_serving(self._folder):
            self._adopt()
            return
        self._set_modes()
        self._child = self._control.start(self._folder, self.wanted.visible)
        self._await_ready(self._child)
        for command in self.wanted.commands:
            self._control.command(self._folder, command)
        self._tell(None)
        status = self._child.wait()
        self._child = None
        if not self._stopping.is_set():
            self._tell(f"its MPS daemon ended with status {status}")

    def _adopt(self) -> None:
        """A daemon that is there already: one of ours from before is quit if it was told otherwise, any other is used as it is."""
        state = self._read_state()
        if state is not None and state.get("told") != self._told:
            self._control.command(self._folder, "quit")
            return
        log.info("mps_daemon_found", resource=self.wanted.resource, ours=state is not None)
        self._tell(None)
        while not self._stopping.wait(PROBE_SECONDS):
            if not self._control.is_serving(self._folder):
                self._tell("its MPS daemon is gone")
                return
        if state is not None:
            self._control.command(self._folder, "quit")

    def _await_ready(self, child: "subprocess.Popen[bytes]") -> None:
        waited = 0.0
        while not self._control.is_serving(self._folder):
            if child.poll() is not None:
                raise MpsError(f"its MPS daemon ended at once with status {child.returncode}: see {self._folder.log}")
            if waited >= READY_SECONDS or self._stopping.wait(0.1):
                self._quit(child)
                raise MpsError(f"its MPS daemon does not answer: see {self._folder.log}")
            waited += 0.1

    def _quit(self, child: "subprocess.Popen[bytes]") -> None:
        for end in (lambda: self._control.command(self._folder, "quit"), child.terminate, child.kill):
            try:
                end()
                child.wait(QUIT_SECONDS)
            except (MpsError, OSError, subprocess.TimeoutExpired):
                continue
            return

    @property
    def _told(self) -> dict[str, object]:
        """What a daemon of ours was started with."""
        return {"visible": self.wanted.visible, "commands": list(self.wanted.commands)}

    def _set_modes(self) -> None:
        """The modes from before are written down first. Those that an earlier life of ours wrote count, not what it had set since."""
        known = self._modes_before()
        wanted = [gpu.uuid for gpu in self.wanted.gpus]
        new = [uuid for uuid in wanted if uuid not in known]
        before = {**known, **(self._modes.read(new) if new else {})}
        try:
            self._folder.state.write_text(json.dumps({"told": self._told, "modes": before}))
        except OSError as error:
            raise MpsError(f"cannot write {self._folder.state}: {error.strerror}") from error
        self._modes.write(wanted, EXCLUSIVE_PROCESS)
        self._put_back({uuid: mode for uuid, mode in before.items() if uuid not in wanted})

    def _restore(self) -> None:
        """What cannot be put back now, or before our process ends, stays written down for the next daemon in this folder."""
        while not self._may_open():
            time.sleep(self._retries.first)
        if self._put_back(self._modes_before()):
            with contextlib.suppress(OSError):
                self._folder.state.unlink()

    def _put_back(self, modes: Mapping[GpuUuid, int]) -> bool:
        """Whether all of it could be done."""
        done = True
        for mode in sorted(set(modes.values())):
            gpus = [uuid for uuid, each in modes.items() if each == mode]
            try:
                self._modes.write(gpus, mode)
            except NodeError as error:
                log.warning("compute_mode_not_restored", gpus=gpus, mode=mode, why=str(error))
                done = False
        return done

    def _modes_before(self) -> Mapping[GpuUuid, int]:
        modes = (self._read_state() or {}).get("modes")
        return modes if isinstance(modes, dict) else {}

    def _read_state(self) -> dict[str, object] | None:
        try:
            state = json.loads(self._folder.state.read_text())
        except (OSError, ValueError):
            return None
        return state if isinstance(state, dict) else None

    def _tell(self, problem: str | None) -> None:
        if problem == self.problem:
            return
        self.problem = problem
        log.info(
            "mps_daemon_serves" if problem is None else "mps_daemon_down", resource=self.wanted.resource, why=problem
        )
        self._notify()
