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


@dataclass(frozen=True, slots=True, kw_only=True)
class HookRunner:
    """path: of the hooks file, which is read before each change; None for no hooks."""

    path: Path | None = None
    seconds: float = HOOK_SECONDS

    @contextmanager
    def around(self, plans: Sequence[GpuPlan], report: Callable[[HookPoint, Hook], None]) -> Iterator[None]:
        """Runs the hooks before the block, and `apply-exit` after the block, also after a failure. Calls `report` before each.

        Raises SettingsError if the file is not valid, and MigError if a hook before the block fails: then nothing may be changed.
        """
        hooks: Hooks = {} if self.path is None else decode_hooks(read_yaml(self.path), source=str(self.path))
        try:
            for point in select_points(plans):
                for hook in hooks.get(point, ()):
                    report(point, hook)
                    self._run(point, hook)
            yield
        finally:
            for hook in hooks.get(HookPoint.APPLY_EXIT, ()):
                report(HookPoint.APPLY_EXIT, hook)
                with suppress(MigError):  # the log states the reason
                    self._run(HookPoint.APPLY_EXIT, hook)

    def _run(self, point: HookPoint, hook: Hook) -> None:
        """Raises MigError."""
        try:
            status, output = run_hook(hook, self.seconds)
            why = f"status {status}: {output}" if status else None
        except subprocess.TimeoutExpired:
            why = f"it did not end within {self.seconds:g} s"
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
