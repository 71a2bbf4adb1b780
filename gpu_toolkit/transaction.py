"""Makes one change of the runtime's config.

The order makes every step safe: record, write, check with the runtime's own `config dump`, restart, check the runtime and its containers,
complete the record. A change that fails is undone. A process that dies leaves the record, and the next process undoes the change.
"""

from collections.abc import Iterator, Mapping
from contextlib import suppress
from typing import Any

import msgspec
import structlog

from gpu_toolkit.dump import find_difference
from gpu_toolkit.edits import NOTE, Plan
from gpu_toolkit.host import Host, ReadOnlyHostError
from gpu_toolkit.journal import Change, ChangedFile, ChangedTable, Record
from gpu_toolkit.model import Assessment, Kind, Reason, Runtime
from gpu_toolkit.restore import restore_files
from gpu_toolkit.tools import Tools
from node_core.errors import RuntimeConfigError

log = structlog.get_logger(__name__)

BLIND = "containerd config dump does not show what the runtime runs with, so a drop-in cannot be checked"
"""containerd 2.0.4 shows the defaults of version 3 in place of the values of a config of version 2."""


class Transaction:
    """Every method raises RuntimeConfigError."""

    def __init__(self, tools: Tools) -> None:
        self._tools = tools

    def attempt(self, runtime: Runtime, plan: Plan) -> Assessment | str:
        """Returns the result, or why the config would not be the wanted one: then nothing is restarted, and the files are restored."""
        tools = self._tools
        if (path := self._find_foreign(plan)) is not None:
            return f"{path} exists already, and gpu-toolkit did not write it"
        before = self._dump(runtime)
        if plan.can_hide and before is not None and find_difference(before, before, plan.wanted) is None:
            return BLIND
        change = self._record(runtime, plan)
        try:
            self._write(change, plan)
            problem = None if before is None else find_difference(before, tools.dump(runtime), plan.wanted)
        except ReadOnlyHostError:
            self.undo(change)
            raise
        except RuntimeConfigError as error:
            problem = error.message
        if problem is not None:
            self.undo(change)
            return problem
        return self._activate(runtime, change)

    def _find_foreign(self, plan: Plan) -> str | None:
        """Returns a file that the plan would create, and that others have written."""
        for edit in plan.edits:
            content = None if edit.before is not None else self._tools.host.read(edit.path)
            if content and not content.startswith(NOTE.encode()):
                return edit.path
        return None

    def _write(self, change: Change, plan: Plan) -> None:
        host = self._tools.host
        if change.installed is not None:
            self._tools.install(change.installed)
        for folder in change.folders:
            host.make_folder(folder)
        for edit in plan.edits:
            host.write(edit.path, edit.after)

    def _activate(self, runtime: Runtime, change: Change) -> Assessment:
        log.info("toolkit_config_changed", change=change.describe, runtime=runtime.title)
        if not self._tools.restart.is_possible:
            self._tools.journal.write(Record(change=change, is_complete=True))
            return restart_needed(runtime)
        problem = self._tools.restart.run(runtime, self._check)
        if problem is None:
            self._tools.journal.write(Record(change=change, is_complete=True))
            return _changed(runtime, change)
        log.error("toolkit_runtime_unhealthy", why=problem, effect="the old config is put back")
        self.undo(change)
        message = f"After a restart with CDI, {problem}. The old config is back, and the runtime was restarted again."
        return Assessment(reason=Reason.REFUSED, message=message)

    def _check(self, runtime: Runtime) -> str | None:
        state = self._tools.assess(runtime)
        return None if state.is_fine else f"the runtime still reports: {state.message}"

    def undo(self, change: Change, *, is_restarted: bool = False) -> None:
        """Restores the files. Restarts the runtime if it may run with the new ones. is_restarted: restart also if that is not known."""
        tools = self._tools
        restore_files(tools.host, change)
        runtime = self._try_read()
        identity = None if runtime is None else runtime.identity
        if tools.restart.is_possible and (
            _may_be_outdated(change, identity) or (is_restarted and not change.undone_under)
        ):
            self._note_undone(change, identity)
            problem = tools.restart.run(runtime, lambda _: None)
            if problem is not None:
                raise RuntimeConfigError(f"the old files are back, but after a restart {problem}")
        self._uninstall(change)
        tools.journal.write(Record(interruptions=tools.journal.read().interruptions))

    def _note_undone(self, change: Change, identity: str | None) -> None:
        """Without this note, a restart that ends also this process would be repeated by every next process."""
        noted = msgspec.structs.replace(change, undone_under=identity)
        interruptions = self._tools.journal.read().interruptions
        with suppress(RuntimeConfigError):  # a full disk must not prevent the restart
            self._tools.journal.write(Record(change=noted, interruptions=interruptions))

    def forget(self, change: Change) -> None:
        """Restores the files without a restart: the runtime does not run with them."""
        restore_files(self._tools.host, change)
        self._uninstall(change)
        self._tools.journal.write(Record())

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

    def _record(self, runtime: Runtime, plan: Plan) -> Change:
        host = self._tools.host
        folders = dict.fromkeys(folder for each in plan.edits for folder in host.missing_folders(each.path))
        change = Change(
            describe=plan.describe,
            socket=runtime.socket,
            identity=runtime.identity,
            files=list(_changed_files(host, plan)),
            folders=list(folders),
            installed=None if () in plan.wanted else self._tools.nvidia,
        )
        self._tools.journal.write(Record(change=change, interruptions=self._tools.journal.read().interruptions))
        return change


def _may_be_outdated(change: Change, identity: str | None) -> bool:
    """Whether the runtime may run with the files of the change. identity: of its process now; None if it is not known."""
    if identity is None:
        return True
    return identity == change.undone_under if change.undone_under else identity != change.identity


def _changed_files(host: Host, plan: Plan) -> Iterator[ChangedFile]:
    for each in plan.edits:
        tables = [ChangedTable(path=path, values=dict(values)) for path, values in each.tables.items()]
        yield ChangedFile(path=each.path, before=host.read(each.path), after=each.after, tables=tables)


def _changed(runtime: Runtime, change: Change) -> Assessment:
    reason = Reason.READY if change.installed is None else Reason.LEGACY
    message = f"{runtime.title} gives GPUs to pods now: gpu-toolkit {change.describe}, and restarted the runtime once."
    return Assessment(reason=reason, message=message, is_changed=True)


def restart_needed(runtime: Runtime) -> Assessment:
    message = f"The files of {runtime.title} switch CDI on, but it runs with older ones. Restart it."
    return Assessment(reason=Reason.RESTART_NEEDED, message=message)
