"""Reboots the node if a MIG mode is pending and a reset is not possible, at most once for each boot and for each config.

A record on the disk precedes the reboot. So neither a restart of the agent nor a mode that stays pending causes a second reboot.
"""

import time
from collections.abc import Callable
from pathlib import Path
from typing import NoReturn

import msgspec
import structlog

from mig_manager.outcome import Rebooting
from node_core.decode import describe_os_error
from node_core.errors import MigError, NodeError
from node_core.host.atomic_write import write_atomically
from node_core.host.host_command import run_on_host

log = structlog.get_logger(__name__)

FILE = "mig-reboot.json"
LIMIT = 1 << 16
REBOOT_SECONDS = 600.0
"""How long after the command a reboot is expected: systemd ends the pods first, within their grace periods."""
UNREADABLE = "unreadable"


class _Record(msgspec.Struct, frozen=True, kw_only=True):
    """expected_until: seconds of the monotonic clock of this boot. None: the command has not run yet. 0: the command has failed."""

    boot_id: str
    config: str
    why: str
    expected_until: float | None = None


class RebootPolicy(msgspec.Struct, frozen=True, kw_only=True):
    """path: the record. boot_id: of the present boot; empty if it is not known. run: reboots the node; raises NodeError."""

    path: Path
    boot_id: str
    run: Callable[[], None]
    clock: Callable[[], float] = time.monotonic

    def plan(self, config: str, why: str) -> Rebooting:
        """Records that the node needs a reboot. `resume` of the next attempt runs the command, so that the Node shows the state before.

        why: the error of the reset. Raises MigError if the node must not be rebooted.
        """
        if (objection := self._objection(config)) is not None:
            raise MigError(f"{why}; {objection}")
        try:
            self._write(_Record(boot_id=self.boot_id, config=config, why=why))
        except MigError as error:
            raise MigError(f"{why}; {error}") from error
        return _rebooting(config, why)

    def resume(self, config: str | None) -> Rebooting | None:
        """Runs the command of a planned reboot. Returns None if no reboot is planned or expected in this boot.

        A reboot that was planned for another config is cancelled. Raises MigError if the command fails.
        """
        record = self._read()
        if record is None or record.boot_id != self.boot_id:
            return None
        if record.expected_until is None:
            if record.config != config:
                self._clear()
                return None
            self._reboot(record)
        elif self.clock() >= record.expected_until:
            return None
        return _rebooting(record.config, record.why)

    def complete(self, config: str) -> None:
        """Removes the record of another config: this config is applied. The record of this config prevents a second reboot for it."""
        record = self._read()
        if record is not None and record.config != config:
            self._clear()

    def _reboot(self, record: _Record) -> None:
        self._write(msgspec.structs.replace(record, expected_until=self.clock() + REBOOT_SECONDS))
        log.warning("mig_node_reboots", config=record.config, why=record.why)
        try:
            self.run()
        except NodeError as error:
            self._write(msgspec.structs.replace(record, expected_until=0.0))
            raise MigError(f"{record.why}; the node cannot be rebooted: {error}", hint="reboot the node") from error

    def _objection(self, config: str) -> str | None:
        """Returns why the node must not be rebooted for this config; None if nothing prevents the reboot."""
        record = self._read()
        if not self.boot_id:
            return "the node is not rebooted, because the kernel does not report its boot id"
        if record is None:
            return None
        if record.why == UNREADABLE:
            return f"the node is not rebooted, because the record {self.path} is not readable; remove this file"
        if record.boot_id == self.boot_id:
            return "the node is not rebooted, because the agent has already tried to reboot it in this boot"
        if record.config == config:
            return f"the MIG mode is still pending after a reboot of the node for the config {config}"
        return None

    def _read(self) -> _Record | None:
        """A damaged file prevents a reboot, and is removed when a config is applied."""
        try:
            with self.path.open("rb") as file:
                return msgspec.json.decode(file.read(LIMIT), type=_Record)
        except FileNotFoundError:
            return None
        except (OSError, msgspec.DecodeError, UnicodeDecodeError) as error:
            log.warning("mig_reboot_record_unreadable", path=str(self.path), why=str(error))
            return _Record(boot_id="", config="", why=UNREADABLE, expected_until=0.0)

    def _write(self, record: _Record) -> None:
        try:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            write_atomically(self.path, msgspec.json.encode(record).decode())
        except OSError as error:
            why = f"the node is not rebooted, because its record {self.path} {describe_os_error(error)}"
            raise MigError(why, hint="make --state-dir writable") from error

    def _clear(self) -> None:
        try:
            self.path.unlink(missing_ok=True)
        except OSError as error:
            log.warning("mig_reboot_record_not_removed", path=str(self.path), why=error.strerror)


def reboot_host() -> None:
    """Asks systemd of the host to reboot. Raises HostCommandError."""
    run_on_host(("systemctl", "reboot"))


def refuse_simulated() -> NoReturn:
    """Satisfies RebootPolicy.run on a node with simulated GPUs. Raises MigError."""
    raise MigError("the GPUs are simulated")


def _rebooting(config: str, why: str) -> Rebooting:
    return Rebooting(message=f"The node is rebooted for the MIG config {config}: {why}.")
