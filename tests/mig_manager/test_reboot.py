"""Reboots of the node: when the agent plans, runs, cancels and refuses one."""

import errno
from dataclasses import dataclass, field
from pathlib import Path
from typing import NoReturn

import pytest

from mig_manager.__main__ import command
from mig_manager.outcome import Applied, Failed, Outcome, Rebooting
from mig_manager.reboot import REBOOT_SECONDS, RebootPolicy, refuse_simulated
from mig_manager.settings import MigSettings, mig_settings
from node_core.errors import HostCommandError, MigError, SettingsError
from node_core.runtime.command import parse_command
from tests.mig_manager.places import Place

CONFIG, OTHER = "all-1g.10gb", "all-3g.40gb"
IN_USE = MigError("GPU 0 is in use by another client")


@dataclass
class Node:
    """A node with GPUs of the Ampere generation whose reset fails. Each attempt is a new process. reboots: the commands that ran."""

    folder: Path
    boot: str = "boot-1"
    now: float = 100.0
    reboots: int = 0
    error: BaseException | None = None
    place: Place = field(init=False)

    def __post_init__(self) -> None:
        self.place = Place(self.folder / "mig.json", compute="8.0", mode="disabled", reset_error=IN_USE)

    @property
    def policy(self) -> RebootPolicy:
        return RebootPolicy(path=self.folder / "reboot.json", boot_id=self.boot, run=self._run, clock=lambda: self.now)

    def attempt(self, config: str | None = CONFIG) -> Outcome:
        self.place.reboot = self.policy
        return self.place.apply(config)

    def boot_again(self, *, is_effective: bool = True) -> None:
        self.boot, self.now = f"{self.boot}+", 10.0
        if is_effective:
            self.place.reset_all()

    @property
    def modes(self) -> list[tuple[bool, bool]]:
        return [(gpu.is_enabled, gpu.is_pending) for gpu in self.place.read()]

    def _run(self) -> None:
        self.reboots += 1
        if self.error is not None:
            raise self.error


@pytest.fixture
def node(tmp_path: Path) -> Node:
    return Node(tmp_path)


def failure(outcome: Outcome) -> str:
    assert isinstance(outcome, Failed)
    return outcome.message


def test_a_reset_that_fails_leads_to_one_reboot_and_the_change_is_completed_after_it(node: Node) -> None:
    outcome = node.attempt()
    assert isinstance(outcome, Rebooting)
    assert outcome.message == f"The node is rebooted for the MIG config {CONFIG}: {IN_USE}."
    assert (node.reboots, node.modes) == (0, [(False, True)] * 2)
    assert node.attempt() == outcome
    assert node.reboots == 1
    node.boot_again()
    assert isinstance(node.attempt(), Applied)
    assert len(node.place.uuids) == 14
    assert node.attempt() == Applied()
    assert node.reboots == 1


def test_a_reset_that_succeeds_leads_to_no_reboot(node: Node) -> None:
    node.place.reset_error = None
    assert isinstance(node.attempt(), Applied)
    assert not node.policy.path.exists()


def test_during_the_shutdown_nothing_is_changed_and_the_command_runs_once(node: Node) -> None:
    node.attempt()
    node.attempt()
    node.place.calls.clear()
    for config in (CONFIG, OTHER, None):
        assert isinstance(node.attempt(config), Rebooting)
    assert (node.reboots, node.place.calls) == (1, [])


def test_devices_that_must_go_stay_withheld_until_the_reboot(node: Node) -> None:
    node.place.reboot = node.policy
    assert isinstance(node.place.apply(CONFIG, is_overdue=True), Rebooting)
    assert node.place.leaving[-1] == {str(gpu.uuid) for gpu in node.place.read()}


def test_a_reboot_that_does_not_happen_is_a_failure_and_is_not_repeated(node: Node) -> None:
    node.attempt()
    node.attempt()
    node.now += REBOOT_SECONDS
    for config in (CONFIG, OTHER):
        assert "already tried to reboot it in this boot" in failure(node.attempt(config))
    assert (node.reboots, node.modes) == (1, [(False, False)] * 2)


def test_a_mode_that_is_pending_after_the_reboot_is_a_failure_and_is_not_rebooted_again(node: Node) -> None:
    node.attempt()
    node.attempt()
    node.boot_again(is_effective=False)
    for _ in range(2):
        message = failure(node.attempt())
        assert f"the MIG mode is still pending after a reboot of the node for the config {CONFIG}" in message
        assert str(IN_USE) in message
        node.boot_again(is_effective=False)
    assert (node.reboots, node.modes) == (1, [(False, False)] * 2)


def test_a_config_is_rebooted_for_again_after_another_config_is_applied(node: Node) -> None:
    node.attempt()
    node.attempt()
    node.boot_again()
    node.attempt()
    node.place.reset_error = None
    assert isinstance(node.attempt("all-disabled"), Applied)
    node.place.reset_error = IN_USE
    assert isinstance(node.attempt(), Rebooting)


def test_a_config_that_drifts_after_its_reboot_is_not_rebooted_for_again(node: Node) -> None:
    node.attempt()
    node.attempt()
    node.boot_again()
    node.attempt()
    node.place.reboot, node.place.reset_error = None, None
    assert isinstance(node.place.apply("all-disabled"), Applied)  # by another program
    node.place.reset_error = IN_USE
    assert "still pending after a reboot" in failure(node.attempt())


@pytest.mark.parametrize("config", ["all-disabled", None])
def test_a_label_that_changes_before_the_command_cancels_the_reboot(node: Node, config: str | None) -> None:
    node.attempt()
    outcome = node.attempt(config)
    assert not isinstance(outcome, Rebooting)
    assert (node.reboots, node.policy.path.exists()) == (0, False)
    assert node.modes == [(False, False)] * 2


def test_a_command_that_fails_is_reported_and_not_repeated(node: Node) -> None:
    node.error = HostCommandError("systemctl reboot on the host, status 1")
    node.attempt()
    assert "the node cannot be rebooted: systemctl reboot on the host, status 1" in failure(node.attempt())
    assert "already tried to reboot it in this boot" in failure(node.attempt())
    assert (node.reboots, node.modes) == (1, [(False, False)] * 2)


def test_a_process_that_is_killed_at_the_command_does_not_repeat_the_command(node: Node) -> None:
    node.error = KeyboardInterrupt()
    node.attempt()
    with pytest.raises(KeyboardInterrupt):
        node.attempt()
    assert isinstance(node.attempt(), Rebooting)
    assert node.reboots == 1


def test_without_a_boot_id_the_node_is_not_rebooted(node: Node) -> None:
    node.boot = ""
    assert "does not report its boot id" in failure(node.attempt())
    assert not node.policy.path.exists()


@pytest.mark.parametrize("content", [b"", b"{}", b"\xff\x00", b'{"boot_id": 1}', b"x" * 100_000])
def test_a_damaged_record_prevents_the_reboot_until_a_config_is_applied(node: Node, content: bytes) -> None:
    node.policy.path.write_bytes(content)
    assert "remove this file" in failure(node.attempt())
    assert isinstance(node.attempt("all-disabled"), Applied)
    assert isinstance(node.attempt(), Rebooting)


def raise_full(*_: object) -> NoReturn:
    raise OSError(errno.ENOSPC, "No space left on device")


def test_a_record_that_cannot_be_written_prevents_the_reboot(node: Node) -> None:
    folder = node.folder / "state"
    folder.mkdir()
    node.place.reboot = RebootPolicy(path=folder / "reboot.json", boot_id="b", run=refuse_simulated)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("mig_manager.reboot.write_atomically", raise_full)
        message = failure(node.place.apply(CONFIG))
    assert message.startswith(
        f"{IN_USE}; the node is not rebooted, because its record {folder / 'reboot.json'} no space left"
    )
    assert node.modes == [(False, False)] * 2


def read(*arguments: str) -> MigSettings:
    values = parse_command(command, arguments, "mig-manager")
    assert values is not None
    return mig_settings(values)


def test_the_policy_needs_a_folder_for_the_record() -> None:
    assert read("--mig-with-reboot").with_reboot
    assert not read().with_reboot
    with pytest.raises(SettingsError) as caught:
        read("--mig-with-reboot", "--state-dir=")
    assert caught.value.problems == ("--mig-with-reboot: needs --state-dir, where the agent records the reboot",)
