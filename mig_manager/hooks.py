"""Runs the hooks of mig-parted's hooks file around a change of layouts. Source: README of mig-parted, hooks."""

import os
import signal
import subprocess  # nosec B404 # the commands of the administrator's file
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

import structlog

from gpu_core.mig.hooks import Hook, HookPoint, Hooks, decode_hooks
from gpu_core.mig.plan import GpuPlan
from node_core.decode import read_yaml
from node_core.errors import MigError

log = structlog.get_logger(__name__)

HOOK_SECONDS = 300.0
"""A hook that runs longer is killed, and counts as failed."""
MAX_OUTPUT = 400

ReportHook = Callable[[HookPoint, Hook], None]


@dataclass(frozen=True, slots=True, kw_only=True)
class HookRunner:
    """path: of the hooks file, which is read before each change; None for no hooks."""

    path: Path | None = None
    seconds: float = HOOK_SECONDS

    @contextmanager
    def open(self) -> Iterator["HookSession"]:
        """Within the block, the session runs hooks before changes. After the block, it runs `apply-exit` if it has run any."""
        session = HookSession(self)
        try:
            yield session
        finally:
            session.close()


class HookSession:
    """The hooks of one attempt. Each point runs once, also if the attempt needs several plans."""

    def __init__(self, runner: HookRunner) -> None:
        self._runner = runner
        self._hooks: Hooks | None = None
        self._done: set[HookPoint] = set()
        self._report: ReportHook = lambda *_: None

    def run_before(self, plans: Sequence[GpuPlan], report: ReportHook) -> None:
        """Runs the hooks before these changes. Calls `report` before each.

        Raises SettingsError if the file is not valid, and MigError if a hook fails: then nothing may be changed.
        """
        path = self._runner.path
        if self._hooks is None:
            self._hooks = {} if path is None else decode_hooks(read_yaml(path), source=str(path))
        self._report = report
        for point in select_points(plans):
            if point not in self._done:
                self._done.add(point)
                for hook in self._hooks.get(point, ()):
                    self._run(point, hook)

    def close(self) -> None:
        """Runs `apply-exit`, also after a failure."""
        for hook in (self._hooks or {}).get(HookPoint.APPLY_EXIT, ()):
            with suppress(MigError):  # the log states the reason
                self._run(HookPoint.APPLY_EXIT, hook)

    def _run(self, point: HookPoint, hook: Hook) -> None:
        """Raises MigError."""
        self._report(point, hook)
        try:
            status, output = run_hook(hook, self._runner.seconds)
            why = f"status {status}: {output}" if status else None
        except subprocess.TimeoutExpired:
            why = f"it did not end within {self._runner.seconds:g} s"
        except (OSError, ValueError) as error:  # ValueError: a null character
            why = str(error)
        if why is not None:
            log.warning("mig_hook_failed", point=str(point), command=hook.command, why=why)
            raise MigError(f"the hook {point}, {hook.command}, failed: {why}")
        log.info("mig_hook_ended", point=str(point), command=hook.command)


def run_hook(hook: Hook, seconds: float) -> tuple[int, str]:
    """Returns the exit status of the command, and the end of its output. Raises TimeoutExpired, OSError and ValueError.

    The output goes to a file in memory: the reader of a pipe would wait for processes that the command leaves in the background. After an
    error, the processes that the command has started are killed too.
    """
    with os.fdopen(os.memfd_create("hook-output"), "w+b") as output:
        process = subprocess.Popen(  # nosec B603 # no shell
            [hook.command, *hook.args],
            cwd=hook.workdir,
            env={**os.environ, **hook.envs},
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
        try:
            status = process.wait(seconds)
        except BaseException:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()
            raise
        start = max(0, os.fstat(output.fileno()).st_size - MAX_OUTPUT)
        return status, os.pread(output.fileno(), MAX_OUTPUT, start).decode(errors="replace").strip()


def select_points(plans: Sequence[GpuPlan]) -> Iterator[HookPoint]:
    """Yields the points before a change, in order. PURE."""
    yield HookPoint.APPLY_START
    if any(plan.mode is not None for plan in plans):
        yield HookPoint.PRE_APPLY_MODE
    if any(plan.destroy or plan.destroy_compute or plan.create or plan.create_compute for plan in plans):
        yield HookPoint.PRE_APPLY_CONFIG
