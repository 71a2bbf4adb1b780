"""Reconciles one MPS folder in a separate thread.

Only this thread starts and stops the daemon, so a driver that hangs does not delay calls of the kubelet. If the thread ends, the daemon
continues to run; a thread with `desired` None stops the daemon.
"""

import fcntl
import os
import random
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from threading import Event

import structlog

from gpu_core.domain.resources import ResourceName
from gpu_core.mps.apply import POLL_SECONDS, RELEASED, GpusReleasedError, MpsApplier, MpsTools
from gpu_core.mps.changes import MpsObserved, plan_mps_changes
from gpu_core.mps.process import find_process
from gpu_core.mps.spec import STARTING, MpsDaemonSpec
from gpu_core.mps.state import read_state
from node_core.domain.backoff import Backoff
from node_core.errors import NodeError
from node_core.host.flock import try_lock
from node_core.host.stoppable_thread import StoppableThread, WakeReason

log = structlog.get_logger(__name__)

PROBE_SECONDS = 15.0
"""The interval at which a daemon is probed if its process is not visible."""
STABLE_SECONDS = 60.0
"""A daemon that ran for this time is restarted with a short delay."""

ENDED = "its MPS daemon has ended"


class _Stopped(Exception):  # noqa: N818 - not an error
    """The thread must end now."""


class MpsDaemon:
    """desired: the daemon to run; None to stop the plugin's daemon and restore the compute modes.

    notify: called in the thread when `problem` or `done` changes. problem: None while clients can connect. done: the thread has ended.
    may_open: whether NVML may be opened. Otherwise no daemon is started and no compute mode is read or set. clock: monotonic.
    """

    def __init__(
        self,
        resource: ResourceName,
        desired: MpsDaemonSpec | None,
        tools: MpsTools,
        notify: Callable[[], None],
        *,
        may_open: Callable[[], bool] = lambda: True,
        retries: Backoff | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.desired = desired
        self.problem: str | None = None if desired is None else STARTING
        self.done = Event()
        self._resource = resource
        self._tools = tools
        self._folder = tools.folder(resource)
        self._control = tools.control
        self._notify = notify
        self._retries = retries or Backoff(first=1.0, maximum=30.0)
        self._clock = clock
        self._applier = MpsApplier(resource, desired, tools, self._wait, may_open)
        self._thread = StoppableThread(f"mps {resource}")

    def start(self) -> None:
        """Starts the thread. If the desired daemon already runs, `problem` is None at once, so a reload changes the health of no device."""
        if self.desired is not None:
            with suppress(NodeError):
                state = read_state(self._folder)
                if (
                    state
                    and state.settings == self.desired.settings
                    and (process := find_process(state.pid, self._folder))
                ):
                    process.close()
                    self.problem = None
        self._thread.start(self._run)

    def stop(self) -> None:
        """Ends the thread; the daemon continues to run. Returns at once. The next thread for the folder waits for the end of this one."""
        self._thread.stop(0)

    def matches(self, desired: MpsDaemonSpec | None, tools: MpsTools) -> bool:
        """Whether the thread can continue. A thread with a problem is replaced if the tools have changed."""
        return not self.done.is_set() and desired == self.desired and (self.problem is None or tools == self._tools)

    def _run(self) -> None:
        try:
            self._reconcile_until_stopped()
        except _Stopped:
            pass
        finally:
            self.done.set()
            self._notify()

    def _reconcile_until_stopped(self) -> None:
        failures = 0
        while True:
            served = 0.0
            try:
                served = self._reconcile()
                if self.desired is None:
                    return
            except GpusReleasedError:
                self._report(RELEASED)
                self._wait(self._retries.first)
                continue
            except (NodeError, OSError) as error:
                self._report(str(error))
            failures = 1 if served >= STABLE_SECONDS else failures + 1
            self._wait(self._retries.delay(failures, random.random()))  # nosec B311 # jitter

    def _reconcile(self) -> float:
        """Returns the seconds for which the desired daemon was ready, after it has ended. Raises NodeError or OSError."""
        if self.desired is not None:
            self._folder.prepare()
        elif not self._folder.base.is_dir():
            return 0.0
        with self._exclusive_lock():
            try:
                observed = self._applier.observe()
                changes = plan_mps_changes(self.desired, observed)
                for change in changes:
                    self._applier.apply(change, observed)
                return self._serve(observed if not changes else None)
            finally:
                self._applier.forget_process()

    @contextmanager
    def _exclusive_lock(self) -> Iterator[None]:
        """Waits for the lock of the folder. Only one thread of one process changes a folder at a time."""
        descriptor = os.open(self._folder.base, os.O_RDONLY | os.O_DIRECTORY)
        try:
            while not try_lock(descriptor, fcntl.LOCK_EX):
                self._wait(POLL_SECONDS)
            yield
        finally:
            os.close(descriptor)

    def _serve(self, adopted: MpsObserved | None) -> float:
        """adopted: the observed state if no change was necessary."""
        if self.desired is None:
            if adopted is None:
                log.info("mps_daemon_ended", resource=self._resource)
            return 0.0
        if adopted is not None:
            log.info("mps_daemon_adopted", resource=self._resource, own=adopted.state is not None)
        self._report(None)
        began = self._clock()
        self._report(self._await_end())
        return self._clock() - began

    def _await_end(self) -> str:
        """Waits for the end of the process. Probes the daemon at intervals if its process is not visible."""
        process = self._applier.process
        while True:
            is_event = process is not None and process.file is not None
            self._wait(None if is_event else PROBE_SECONDS, process.file if process else None)
            if process is None and not self._control.is_serving(self._folder):
                return ENDED
            if process is not None and process.has_ended():
                return ENDED if process.status is None else f"its MPS daemon ended with status {process.status}"

    def _wait(self, seconds: float | None, file: int | None = None) -> None:
        if self._thread.wait(file, seconds) is WakeReason.STOP:
            raise _Stopped

    def _report(self, problem: str | None) -> None:
        if problem == self.problem:
            return
        self.problem = problem
        event = (
            "mps_daemon_ready" if problem is None else "mps_daemon_down" if self.desired else "mps_daemon_still_running"
        )
        is_fault = problem not in (None, STARTING, RELEASED)
        (log.warning if is_fault else log.info)(event, resource=self._resource, why=problem)
        self._notify()
