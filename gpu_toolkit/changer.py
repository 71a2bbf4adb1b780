"""Changes the config of the runtime so that it injects CDI devices, restarts it once, and puts the old state back if it is not healthy.

The order makes every step safe: record, write, check with the runtime's own `config dump`, restart, check the runtime and its containers,
complete the record. A process that dies in between leaves a record, and the next one restores the files.
"""

import hashlib
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import structlog

from gpu_toolkit.assess import assess
from gpu_toolkit.dump import find_difference
from gpu_toolkit.edits import Plan, Source, is_generated, plan_edits, template_path
from gpu_toolkit.host import Host, ReadOnlyHostError
from gpu_toolkit.journal import Change, ChangedFile, ChangedTable, Journal, Record, Refusal
from gpu_toolkit.model import Assessment, Kind, Reason, Runtime, Wanted
from gpu_toolkit.nvidia_runtime import RUNTIME
from gpu_toolkit.restart import Restart
from gpu_toolkit.restore import restore_files
from node_core.errors import HostCommandError, RuntimeConfigError

log = structlog.get_logger(__name__)

READ_ONLY = (
    "{path}, so gpu-toolkit cannot switch CDI on. Systems such as Talos and Bottlerocket have containerd 2 or their own setting for CDI:"
    " upgrade the system, or set it there."
)
BLIND = "containerd config dump does not show what the runtime runs with, so a drop-in cannot be checked"
"""containerd 2.0.4 shows the defaults of version 3 in place of the values of a config of version 2."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Tools:
    """read: the runtime that the kubelet uses. dump: the config that it would start with; both raise RuntimeConfigError.

    folder: of CDI specifications on the host. drop_in: the path that the user chose, or None. nvidia: the folder on the host in which
    `install` installs NVIDIA's runtime, or None; both raise RuntimeConfigError.
    """

    host: Host
    read: Callable[[], Runtime]
    dump: Callable[[Runtime], Mapping[str, Any]]
    restart: Restart
    journal: Journal
    folder: str
    drop_in: str | None = None
    nvidia: str | None = None
    install: Callable[[str], None] = lambda _: None
    uninstall: Callable[[str], None] = lambda _: None

    def assess(self, runtime: Runtime) -> Assessment:
        return assess(runtime, self.folder, None if self.nvidia is None else f"{self.nvidia}/{RUNTIME}")


class Changer:
    """Every method raises RuntimeConfigError, and then has changed nothing, or left a record from which the next call continues."""

    def __init__(self, tools: Tools) -> None:
        self._tools = tools

    def report(self) -> Assessment:
        """Returns the state without a change."""
        return self._tools.assess(self._tools.read())

    def apply(self, *, again: bool = False) -> Assessment:
        """again: also try a change that failed before with the same config."""
        if not self._is_pending and (state := self.report()).reason is not Reason.SWITCH_MISSING:
            return state
        with self._tools.journal.lock():
            self._recover()
            runtime = self._tools.read()
            state = self._tools.assess(runtime)
            if state.reason is not Reason.SWITCH_MISSING or state.wanted is None:
                return state
            try:
                return self._change(runtime, state.wanted, again=again)
            except ReadOnlyHostError as error:
                return Assessment(reason=Reason.READ_ONLY, message=READ_ONLY.format(path=error.message))

    def revert(self) -> Assessment:
        """Puts back what `apply` changed, and removes the record."""
        with self._tools.journal.lock():
            change = self._tools.journal.read().change
            if change is not None:
                self._tools.journal.write(Record(change=change))
                self._undo(change, is_restarted=True)
            self._tools.journal.remove()
        if change is None:
            return Assessment(reason=Reason.REVERTED, message="gpu-toolkit has changed nothing on this node.")
        message = "The files of the runtime are as they were before."
        return Assessment(reason=Reason.REVERTED, message=message, is_changed=True)

    @property
    def _is_pending(self) -> bool:
        record = self._tools.journal.read()
        return record.change is not None and not record.is_complete

    def _recover(self) -> None:
        record = self._tools.journal.read()
        if record.change is not None and not record.is_complete:
            log.warning("toolkit_change_interrupted", change=record.change.describe, effect="the files are restored")
            self._undo(record.change)

    def _change(self, runtime: Runtime, wanted: Wanted, *, again: bool) -> Assessment:
        if not self._forget_previous():
            return _restart_needed(runtime)
        main, template = self._sources(runtime)
        key = _fingerprint(runtime, main, template)
        refusal = self._tools.journal.read().refusal
        if refusal is not None and refusal.key == key and not again:
            return Assessment(reason=Reason.REFUSED, message=refusal.why)
        problems = []
        for plan in plan_edits(runtime, main, template, self._tools.drop_in, wanted):
            if self._is_written(plan):
                return _restart_needed(runtime)
            outcome = self._attempt(runtime, plan)
            if isinstance(outcome, Assessment):
                return outcome if outcome.reason is not Reason.REFUSED else self._refuse(key, outcome.message)
            problems.append(outcome)
        return self._refuse(key, _not_possible(runtime, problems))

    def _forget_previous(self) -> bool:
        """Restores the files of an earlier change, which the runtime does not use (any more). False if the change waits for a restart."""
        change, host = self._tools.journal.read().change, self._tools.host
        if change is None:
            return True
        if not self._tools.restart.is_possible and all(host.read(each.path) == each.after for each in change.files):
            return False
        restore_files(host, change)
        self._uninstall(change)
        self._tools.journal.write(Record())
        return True

    def _attempt(self, runtime: Runtime, plan: Plan) -> Assessment | str:
        """Returns the result, or why the config would not be the wanted one: then nothing is restarted, and the files are restored."""
        tools = self._tools
        before = self._dump(runtime)
        if plan.can_hide and before is not None and find_difference(before, before, plan.wanted) is None:
            return BLIND
        change = self._record(runtime, plan, tools.nvidia if () not in plan.wanted else None)
        try:
            if change.installed is not None:
                tools.install(change.installed)
            for folder in change.folders:
                tools.host.make_folder(folder)
            for edit in plan.edits:
                tools.host.write(edit.path, edit.after)
            problem = None if before is None else find_difference(before, tools.dump(runtime), plan.wanted)
        except (RuntimeConfigError, HostCommandError) as error:
            self._undo(change)
            if isinstance(error, ReadOnlyHostError):
                raise
            return error.message
        if problem is not None:
            self._undo(change)
            return problem
        return self._activate(runtime, change)

    def _activate(self, runtime: Runtime, change: Change) -> Assessment:
        log.info("toolkit_config_changed", change=change.describe, runtime=runtime.title)
        if not self._tools.restart.is_possible:
            self._tools.journal.write(Record(change=change, is_complete=True))
            return _restart_needed(runtime)
        problem = self._tools.restart.run(runtime, self._check)
        if problem is None:
            self._tools.journal.write(Record(change=change, is_complete=True))
            reason = Reason.READY if change.installed is None else Reason.LEGACY
            message = f"{runtime.title} gives GPUs to pods now: gpu-toolkit {change.describe}, and restarted the runtime once."
            return Assessment(reason=reason, message=message, is_changed=True)
        log.error("toolkit_runtime_unhealthy", why=problem, effect="the old config is put back")
        self._undo(change)
        message = f"After a restart with CDI, {problem}. The old config is back, and the runtime was restarted again."
        return Assessment(reason=Reason.REFUSED, message=message)

    def _check(self, runtime: Runtime) -> str | None:
        state = self._tools.assess(runtime)
        return None if state.is_fine else f"the runtime still reports: {state.message}"

    def _undo(self, change: Change, *, is_restarted: bool = False) -> None:
        """Restores the files. Restarts the runtime if it may run with the new ones. is_restarted: restart in any case."""
        tools = self._tools
        restore_files(tools.host, change)
        runtime = self._try_read()
        identity = None if runtime is None else runtime.identity
        if tools.restart.is_possible and (is_restarted or identity is None or identity != change.identity):
            problem = tools.restart.run(runtime, lambda _: None)
            if problem is not None:
                raise RuntimeConfigError(f"the old files are back, but after a restart {problem}")
        self._uninstall(change)
        tools.journal.write(Record())

    def _uninstall(self, change: Change) -> None:
        if change.installed is not None:
            self._tools.uninstall(change.installed)

    def _try_read(self) -> Runtime | None:
        try:
            return self._tools.read()
        except RuntimeConfigError:
            return None

    def _dump(self, runtime: Runtime) -> Mapping[str, Any] | None:
        return self._tools.dump(runtime) if runtime.kind is Kind.CONTAINERD else None

    def _sources(self, runtime: Runtime) -> tuple[Source, Source | None]:
        template = template_path(runtime.config)
        sources = [
            Source(path=path, content=self._tools.host.read(path)) for path in (runtime.config, template) if path
        ]
        return sources[0], next((each for each in sources[1:] if each.content is not None), None)

    def _is_written(self, plan: Plan) -> bool:
        return all(self._tools.host.read(each.path) == each.after for each in plan.edits)

    def _record(self, runtime: Runtime, plan: Plan, installed: str | None) -> Change:
        host = self._tools.host
        folders = dict.fromkeys(folder for each in plan.edits for folder in host.missing_folders(each.path))
        change = Change(
            describe=plan.describe,
            socket=runtime.socket,
            identity=runtime.identity,
            files=list(_changed_files(host, plan)),
            folders=list(folders),
            installed=installed,
        )
        self._tools.journal.write(Record(change=change))
        return change

    def _refuse(self, key: str, why: str) -> Assessment:
        self._tools.journal.write(Record(refusal=Refusal(key=key, why=why)))
        return Assessment(reason=Reason.REFUSED, message=why)


def _changed_files(host: Host, plan: Plan) -> Iterator[ChangedFile]:
    for each in plan.edits:
        tables = [ChangedTable(path=path, values=dict(values)) for path, values in each.tables.items()]
        yield ChangedFile(path=each.path, before=host.read(each.path), after=each.after, tables=tables)


def _fingerprint(runtime: Runtime, *sources: Source | None) -> str:
    parts = (runtime.version, *((each.path, each.content) for each in sources if each is not None))
    return hashlib.sha256(repr(parts).encode()).hexdigest()


def _restart_needed(runtime: Runtime) -> Assessment:
    message = f"The files of {runtime.title} switch CDI on, but it runs with older ones. Restart it."
    return Assessment(reason=Reason.RESTART_NEEDED, message=message)


def _not_possible(runtime: Runtime, problems: list[str]) -> str:
    why = "; ".join(problems) or "its config imports no folder for changes"
    if is_generated(runtime.config):
        where = f"{runtime.config} is written by k3s or RKE2 at each start"
        return f"{where}, and {why}. Upgrade to a version with containerd 2, which has CDI on."
    return f"CDI cannot be switched on in {runtime.config}: {why}. Nothing was changed."
