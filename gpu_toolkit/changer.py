"""Decides which change the runtime needs, and makes it: the smallest one that the runtime's own dump confirms.

A change that failed, or that ended its process more than once, is not repeated until the runtime, its config or the settings change.
"""

import hashlib

import structlog

from gpu_toolkit.edits import Plan, Source, is_generated, plan_edits, template_path
from gpu_toolkit.host import ReadOnlyHostError
from gpu_toolkit.journal import Record, Refusal
from gpu_toolkit.model import Assessment, Reason, Runtime, Wanted
from gpu_toolkit.tools import Tools
from gpu_toolkit.transaction import Transaction, restart_needed

log = structlog.get_logger(__name__)

READ_ONLY = (
    "{path}, so gpu-toolkit cannot switch CDI on. Systems such as Talos and Bottlerocket have containerd 2 or their own setting for CDI:"
    " upgrade the system, or set it there."
)
NOTHING = Assessment(reason=Reason.REVERTED, message="gpu-toolkit has nothing to put back on this node.")
MAX_INTERRUPTIONS = 2
INTERRUPTED = (
    "{count} processes of gpu-toolkit ended while they made this change or put it back: a restart of the runtime may end containers on this"
    " node. The old config is in place."
)


class Changer:
    """Every method raises RuntimeConfigError, and then has changed nothing, or left a record from which the next call continues."""

    def __init__(self, tools: Tools) -> None:
        self._tools, self._transaction = tools, Transaction(tools)

    def report(self) -> Assessment:
        """Returns the state without a change."""
        return self._tools.assess(self._tools.read())

    def apply(self, *, again: bool = False) -> Assessment:
        """again: also try a change that failed before with the same config."""
        if self._tools.nvidia is not None:
            self._tools.follow(self._tools.nvidia)
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
        """Puts back what `apply` changed, and removes the record. Without a record, writes nothing."""
        if self._tools.journal.is_absent:
            return NOTHING
        with self._tools.journal.lock():
            change = self._tools.journal.read().change
            if change is not None:
                self._tools.journal.write(Record(change=change))
                self._transaction.undo(change, is_restarted=True)
            self._tools.journal.remove()
        if change is None:
            return NOTHING
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
            self._tools.journal.write(Record(change=record.change, interruptions=record.interruptions + 1))
            self._transaction.undo(record.change)

    def _change(self, runtime: Runtime, wanted: Wanted, *, again: bool) -> Assessment:
        if not self._forget_previous():
            return restart_needed(runtime)
        main, template = self._sources(runtime)
        key = _fingerprint(self._tools.settings, runtime, main, template)
        record = self._tools.journal.read()
        if record.refusal is not None and record.refusal.key == key and not again:
            return Assessment(reason=Reason.REFUSED, message=record.refusal.why)
        if record.interruptions >= MAX_INTERRUPTIONS and not again:
            return self._refuse(key, INTERRUPTED.format(count=record.interruptions))
        problems = []
        for plan in plan_edits(runtime, main, template, self._tools.drop_in, wanted):
            if self._is_written(plan):
                return restart_needed(runtime)
            outcome = self._transaction.attempt(runtime, plan)
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
        self._transaction.forget(change)
        return True

    def _sources(self, runtime: Runtime) -> tuple[Source, Source | None]:
        template = template_path(runtime.config)
        sources = [
            Source(path=path, content=self._tools.host.read(path)) for path in (runtime.config, template) if path
        ]
        return sources[0], next((each for each in sources[1:] if each.content is not None), None)

    def _is_written(self, plan: Plan) -> bool:
        return all(self._tools.host.read(each.path) == each.after for each in plan.edits)

    def _refuse(self, key: str, why: str) -> Assessment:
        self._tools.journal.write(Record(refusal=Refusal(key=key, why=why)))
        return Assessment(reason=Reason.REFUSED, message=why)


def _fingerprint(settings: str, runtime: Runtime, *sources: Source | None) -> str:
    parts = (settings, runtime.version, *((each.path, each.content) for each in sources if each is not None))
    return hashlib.sha256(repr(parts).encode()).hexdigest()


def _not_possible(runtime: Runtime, problems: list[str]) -> str:
    why = "; ".join(problems) or "its config imports no folder for changes"
    if is_generated(runtime.config):
        where = f"{runtime.config} is written by k3s or RKE2 at each start"
        return f"{where}, and {why}. Upgrade to a version with containerd 2, which has CDI on."
    return f"CDI cannot be switched on in {runtime.config}: {why}. Nothing was changed."
