"""Services of the host: which are stopped, recorded and started."""

import contextlib
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from mig_manager.stopped_units import StoppedUnits
from mig_manager.systemd import Systemd, parse_units
from node_core.errors import HostCommandError, HostReadError

ACTIVE = """\
nvidia-dcgm.service loaded active running NVIDIA DCGM service
nvsm-core.service   loaded active running NVSM Core
"""


class Killed(BaseException):
    """The process ends at once."""


@dataclass
class Host:
    """Services, by whether they run. broken: services that do not start. dies_at: the command at which the process ends.

    load_state: of all services; empty if systemd does not answer.
    """

    path: Path
    running: dict[str, bool] = field(default_factory=lambda: {"nvidia-dcgm.service": True, "dcgm.service": False})
    broken: set[str] = field(default_factory=set)
    load_state: str = "loaded"
    dies_at: str = ""
    commands: list[str] = field(default_factory=list)

    @property
    def units(self) -> StoppedUnits:
        return StoppedUnits(path=self.path, systemd=Systemd(run=self.run))

    def run(self, arguments: Sequence[str]) -> str:
        _, verb, *rest = arguments
        names = rest[rest.index("--") + 1 :]
        self.commands.append(f"{verb} {' '.join(names)}")
        if verb == "list-units":
            return "".join(f"{name} loaded active running x\n" for name in names if self.running.get(name))
        if verb == "show":
            if not self.load_state:
                raise HostCommandError("systemctl show, status 1")
            return f"{self.load_state}\n"
        if verb == "start" and (bad := self.broken.intersection(names)):
            raise HostCommandError(f"systemctl start {bad}, status 1")
        for name in names:
            self.running[name] = verb == "start"
        if verb == self.dies_at:
            raise Killed
        return ""


@pytest.fixture
def host(tmp_path: Path) -> Host:
    return Host(tmp_path / "state" / "units.json")


def test_only_services_that_were_active_are_stopped_and_started_again(host: Host) -> None:
    before = dict(host.running)
    host.units.stop(("nvidia-dcgm.service", "dcgm.service"))
    assert host.running == {"nvidia-dcgm.service": False, "dcgm.service": False}
    host.units.start()
    assert host.running == before
    assert not host.path.exists()
    assert host.commands[1:] == ["stop nvidia-dcgm.service", "start nvidia-dcgm.service"]


@pytest.mark.parametrize("dies_at", ["list-units", "stop", "start"])
def test_a_later_process_starts_what_a_killed_process_has_stopped(host: Host, dies_at: str) -> None:
    before, host.dies_at = dict(host.running), dies_at
    try:
        host.units.stop(tuple(host.running))
        host.units.start()
    except Killed:
        host.dies_at = ""
    host.units.start()
    assert host.running == before
    assert not host.path.exists()


def test_services_of_an_earlier_process_stay_recorded(host: Host) -> None:
    host.units.stop(("nvidia-dcgm.service",))
    host.running["dcgm.service"] = True
    host.units.stop(("dcgm.service",))
    host.units.start()
    assert all(host.running.values())


def test_a_service_that_does_not_start_is_an_error_and_stays_recorded(host: Host) -> None:
    host.running["dcgm.service"] = True
    host.units.stop(tuple(host.running))
    host.broken = {"dcgm.service"}
    with pytest.raises(HostCommandError):
        host.units.start()
    assert host.running == {"nvidia-dcgm.service": True, "dcgm.service": False}
    host.broken = set()
    host.units.start()
    assert host.running["dcgm.service"]


@pytest.mark.parametrize(
    ("load_state", "is_gone"), [("not-found", True), ("masked", True), ("loaded", False), ("error", False), ("", False)]
)
def test_a_service_that_was_removed_or_masked_meanwhile_is_forgotten(
    host: Host, load_state: str, is_gone: bool
) -> None:
    host.units.stop(tuple(host.running))
    host.broken, host.load_state = {"nvidia-dcgm.service"}, load_state
    with contextlib.nullcontext() if is_gone else pytest.raises(HostCommandError):
        host.units.start()
    assert host.path.exists() is not is_gone


def test_without_patterns_and_without_a_record_no_command_runs(host: Host) -> None:
    host.units.stop(())
    host.units.start()
    assert host.commands == []


def test_a_record_that_cannot_be_written_prevents_the_stop(host: Host) -> None:
    host.path.parent.write_text("a file")
    with pytest.raises(HostReadError):
        host.units.stop(tuple(host.running))
    assert host.running["nvidia-dcgm.service"]


def test_a_record_that_cannot_be_read_prevents_the_stop_and_is_an_error(host: Host) -> None:
    host.path.mkdir(parents=True)
    with pytest.raises(HostReadError, match="the record"):
        host.units.stop(tuple(host.running))
    with pytest.raises(HostReadError, match="the record"):
        host.units.start()
    assert host.running["nvidia-dcgm.service"]


@pytest.mark.parametrize("content", [b"", b"[]", b"\xff", b'{"stopped": 3}', b"x" * 100_000])
def test_a_damaged_record_starts_nothing(host: Host, content: bytes) -> None:
    host.path.parent.mkdir()
    host.path.write_bytes(content)
    host.units.start()
    assert host.commands == []


@pytest.mark.parametrize(("output", "units"), [(ACTIVE, 2), ("", 0), ("\n \n", 0), ("0 loaded units listed.\n", 0)])
def test_the_first_column_names_the_services(output: str, units: int) -> None:
    assert len(parse_units(output)) == units
