"""Stops services of the host for the time of a change. A record on the disk precedes the stop, so a later process can start them again."""

from collections.abc import Sequence
from pathlib import Path

import msgspec
import structlog

from mig_manager.systemd import Systemd
from node_core.decode import describe_os_error
from node_core.errors import HostCommandError, HostReadError
from node_core.host.atomic_write import write_atomically

log = structlog.get_logger(__name__)

LIMIT = 1 << 16


class _Record(msgspec.Struct, frozen=True, kw_only=True):
    stopped: list[str]


class StoppedUnits(msgspec.Struct, frozen=True, kw_only=True):
    """path: the record."""

    path: Path
    systemd: Systemd

    def stop(self, patterns: Sequence[str]) -> None:
        """Stops the services that are active and match a pattern of systemctl.

        Raises HostCommandError. Raises HostReadError without a stop if the record cannot be written.
        """
        active = self.systemd.list_active(patterns)
        if not active:
            return
        self._write(sorted({*self._read(), *active}))
        self.systemd.stop(active)
        log.info("host_services_stopped", services=list(active))

    def start(self) -> None:
        """Starts the recorded services, also those of an earlier process. Without a record, does nothing.

        Raises HostCommandError if a service does not start. Its record remains for the next call, unless the service was removed or masked.
        """
        recorded, started, failed, errors = self._read(), [], [], []
        for unit in recorded:
            try:
                self.systemd.start(unit)
                started.append(unit)
            except HostCommandError as error:
                if self._is_gone(unit):
                    log.warning("host_service_gone", service=unit, why=str(error))
                else:
                    failed.append(unit)
                    errors.append(error)
        if recorded:
            log.info("host_services_started", services=started)
            self._write(failed)
        if errors:
            raise errors[0]

    def _is_gone(self, unit: str) -> bool:
        try:
            return not self.systemd.can_start(unit)
        except HostCommandError:
            return False

    def _read(self) -> tuple[str, ...]:
        """Raises HostReadError if the record is not readable. A damaged record is logged, and contains no services."""
        try:
            with self.path.open("rb") as file:
                return tuple(msgspec.json.decode(file.read(LIMIT), type=_Record).stopped)
        except (FileNotFoundError, NotADirectoryError):
            return ()
        except OSError as error:
            raise HostReadError(f"the record {self.path} {describe_os_error(error)}") from error
        except (msgspec.DecodeError, UnicodeDecodeError) as error:
            log.warning("host_services_record_unreadable", path=str(self.path), why=str(error))
            return ()

    def _write(self, stopped: Sequence[str]) -> None:
        try:
            if stopped:
                self.path.parent.mkdir(parents=True, exist_ok=True)
                write_atomically(self.path, msgspec.json.encode(_Record(stopped=list(stopped))).decode())
            else:
                self.path.unlink(missing_ok=True)
        except OSError as error:
            raise HostReadError(f"the record {self.path} {describe_os_error(error)}") from error
