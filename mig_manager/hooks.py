"""Runs the hooks of mig-parted's hooks file around a change of layouts. Source: README of mig-parted, hooks."""

import os
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from subprocess import TimeoutExpired  # nosec B404 # only the error

import msgspec
import structlog

from gpu_core.mig.hooks import Hook, HookPoint, Hooks, decode_hooks
from gpu_core.mig.plan import GpuPlan
from node_core.decode import read_yaml
from node_core.errors import MigError
from node_core.host.limited_program import run_limited

log = structlog.get_logger(__name__)

HOOK_SECONDS = 300.0
"""A hook that runs longer is killed, and counts as failed."""
MAX_OUTPUT = 400

ReportHook = Callable[[HookPoint, Hook], None]


class HookRunner(msgspec.Struct, frozen=True, kw_only=True):
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
        except TimeoutExpired:
            why = f"it did not end within {self._runner.seconds:g} s"
        except (OSError, ValueError) as error:  # ValueError: a null character
            why = str(error)
        if why is not None:
            log.warning("mig_hook_failed", point=str(point), command=hook.command, why=why)
            raise MigError(f"the hook {point}, {hook.command}, failed: {why}")
        log.info("mig_hook_ended", point=str(point), command=hook.command)


def run_hook(hook: Hook, seconds: float) -> tuple[int, str]:
    """Returns the exit status of the command, and the end of its output. Raises TimeoutExpired, OSError and ValueError."""
    ended = run_limited([hook.command, *hook.args], env={**os.environ, **hook.envs}, seconds=seconds, cwd=hook.workdir)
    return ended.status, f"{ended.output}{ended.errors}"[-MAX_OUTPUT:].strip()


def select_points(plans: Sequence[GpuPlan]) -> Iterator[HookPoint]:
    """Yields the points before a change, in order. PURE."""
    yield HookPoint.APPLY_START
    if any(plan.mode is not None for plan in plans):
        yield HookPoint.PRE_APPLY_MODE
    if any(plan.destroy or plan.destroy_compute or plan.create or plan.create_compute for plan in plans):
        yield HookPoint.PRE_APPLY_CONFIG
