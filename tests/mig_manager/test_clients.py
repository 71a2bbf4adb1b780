"""GPU clients of others: when they stop, and that they always start again."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import NoReturn

import pytest

from mig_manager.__main__ import command
from mig_manager.build import read_services
from mig_manager.clients import CLIENT_SECONDS, OtherClients
from mig_manager.outcome import Applied, Busy, Failed, Outcome, Rebooting, Request, Stopping
from mig_manager.policy import Holder
from mig_manager.reboot import RebootPolicy
from mig_manager.settings import MigSettings, mig_settings
from node_core.errors import KubeError, MigError, SettingsError
from node_core.runtime.command import parse_command
from node_core.scheduling.objects import Metadata, Pod
from tests.mig_manager.places import POD, Killed, Place

CONFIG = "all-1g.10gb"
DCGM = Holder(namespace="gpu", pod="dcgm-1")


def pod(name: str) -> Pod:
    return Pod(metadata=Metadata(namespace="gpu", name=name))


@dataclass
class Node:
    """A node whose clients survive the agent. has_paused, stopped: its state. ending: pods that have not ended. dies_at: a call."""

    folder: Path
    compute: str = "8.0"
    has_paused: bool = False
    stopped: tuple[str, ...] = ()
    ending: list[Pod] = field(default_factory=list)
    calls: list[str] = field(default_factory=list)
    refused: str = ""
    dies_at: str = ""
    now: float = 0.0
    components: tuple[str, ...] = ("dcgm",)
    patterns: tuple[str, ...] = ("dcgm.service",)
    place: Place = field(init=False)

    def __post_init__(self) -> None:
        self.place = Place(self.folder / "mig.json", compute=self.compute, mode="disabled")
        self.new_process()

    def new_process(self) -> None:
        clients = OtherClients(
            daemon_sets=self,
            services=Services(self),
            components=self.components,
            read_services=lambda: self.patterns,
            clock=lambda: self.now,
        )
        self.place.clients = clients
        self.changer = self.place.changer()

    def attempt(self, config: str | None = CONFIG) -> Outcome:
        return self.changer.run(Request(config=config, has_paused=self.has_paused))

    def begin(self, components: Iterable[str]) -> None:
        self.has_paused = True
        self.called(f"pause {' '.join(components)}")

    def find_leaving(self) -> tuple[Pod, ...]:
        return tuple(self.ending) if self.has_paused else ()

    def find_selected(self, components: Iterable[str]) -> tuple[Pod, ...]:
        return () if self.has_paused or not components else (pod("dcgm-1"),)

    def end(self) -> bool:
        if self.refused == "resume":
            raise KubeError("the API server does not respond")
        before, self.has_paused = self.has_paused, False
        self.called("resume")
        return before

    def called(self, name: str) -> None:
        self.calls.append(name)
        if name.partition(" ")[0] == self.dies_at:
            self.dies_at = ""
            raise Killed

    @property
    def is_running(self) -> bool:
        return not self.has_paused and not self.stopped


@dataclass
class Services:
    node: Node

    def stop(self, patterns: Sequence[str]) -> None:
        if patterns:
            self.node.stopped = tuple(patterns)
            self.node.called(f"stop {' '.join(patterns)}")

    def start(self) -> None:
        if self.node.stopped:
            self.node.stopped = ()
            self.node.called("start")


@pytest.fixture
def node(tmp_path: Path) -> Node:
    return Node(tmp_path)


def test_clients_stop_before_a_reset_and_start_after_it(node: Node) -> None:
    assert isinstance(node.attempt(), Applied)
    assert node.calls == ["pause dcgm", "stop dcgm.service", "start", "resume"]
    assert [name for name in node.place.calls if name.startswith("reset")] == ["reset 0, 1"]
    assert node.is_running


def test_a_change_without_a_reset_stops_no_clients(node: Node) -> None:
    node.attempt()
    node.calls.clear()
    assert isinstance(node.attempt("all-3g.40gb"), Applied)
    assert node.calls == []


def test_a_gpu_whose_mode_changes_without_a_reset_stops_no_clients(tmp_path: Path) -> None:
    node = Node(tmp_path, compute="9.0")
    assert isinstance(node.attempt(), Applied)
    assert node.calls == []


def test_without_the_settings_nothing_stops(tmp_path: Path) -> None:
    node = Node(tmp_path, components=(), patterns=())
    assert isinstance(node.attempt(), Applied)
    assert node.calls == []


def test_the_agent_waits_for_the_pods_of_paused_daemon_sets(node: Node) -> None:
    node.ending = [pod("dcgm-1")]
    for _ in range(2):
        outcome = node.attempt()
        assert outcome == Stopping(message="pods of paused DaemonSets have not ended: gpu/dcgm-1")
        assert node.place.calls == []
        assert node.place.leaving[-1]
    node.ending = []
    assert isinstance(node.attempt(), Applied)
    assert node.is_running
    assert node.calls.count("resume") == 1


def test_pods_that_do_not_end_are_a_failure_and_the_next_attempt_waits_anew(node: Node) -> None:
    node.ending = [pod("dcgm-1")]
    for _ in range(2):
        assert isinstance(node.attempt(), Stopping)
        node.now += CLIENT_SECONDS
        outcome = node.attempt()
        assert isinstance(outcome, Failed)
        assert "have not ended after 300 s: gpu/dcgm-1" in outcome.message
        assert node.is_running
    assert node.place.calls == []


def test_a_device_that_only_a_paused_pod_uses_is_not_busy(node: Node) -> None:
    node.place.users = {node.place.read()[0].uuid: (DCGM,)}
    node.ending = [pod("dcgm-1")]
    assert isinstance(node.attempt(), Stopping)
    assert isinstance(node.attempt(), Stopping)
    node.ending, node.place.users = [], {}
    assert isinstance(node.attempt(), Applied)


def test_while_other_pods_use_a_gpu_nothing_stops(node: Node) -> None:
    node.place.users = {node.place.read()[0].uuid: (DCGM, POD)}
    outcome = node.attempt()
    assert isinstance(outcome, Busy)
    assert "dcgm-1" not in outcome.message
    assert node.calls == []


def test_a_label_that_changes_during_the_wait_starts_the_clients_again(node: Node) -> None:
    node.ending = [pod("dcgm-1")]
    node.attempt()
    assert isinstance(node.attempt("all-disabled"), Applied)
    assert node.is_running


def test_a_reset_that_fails_starts_the_clients_again(node: Node) -> None:
    node.place.reset_error = MigError("GPU 0 is in use by another client")
    assert isinstance(node.attempt(), Failed)
    assert node.is_running


def test_clients_that_do_not_start_are_a_failure_that_is_tried_again(node: Node) -> None:
    node.refused = "resume"
    outcome = node.attempt()
    assert isinstance(outcome, Failed)
    assert outcome.message == "GPU clients of others are still stopped: the API server does not respond"
    assert (node.stopped, node.has_paused) == ((), True)
    node.refused = ""
    assert isinstance(node.attempt(), Applied)
    assert node.is_running


def test_clients_that_do_not_start_do_not_hide_another_failure(node: Node) -> None:
    node.refused, node.place.reset_error = "resume", MigError("in use by another client")
    outcome = node.attempt()
    assert isinstance(outcome, Failed)
    assert outcome.message.startswith("in use by another client")
    assert "still stopped" in outcome.message


@pytest.mark.parametrize("dies_at", ["pause", "stop", "start", "resume", "1", "2", "5"])
@pytest.mark.parametrize("config", [CONFIG, None])
@pytest.mark.parametrize("is_on", [True, False])
def test_a_later_process_starts_what_a_killed_process_has_stopped(
    node: Node, dies_at: str, config: str | None, is_on: bool
) -> None:
    """Also if the label was removed, or the settings are off by then."""
    if dies_at.isdigit():
        node.place.breaks_at = int(dies_at)
    else:
        node.dies_at = dies_at
    with pytest.raises(Killed):
        node.attempt()
    node.place.breaks_at = 0
    if not is_on:
        node.components = node.patterns = ()
    node.new_process()
    node.attempt(config)
    assert node.is_running


def test_a_later_process_starts_the_clients_before_anything_else(node: Node) -> None:
    node.dies_at = "stop"
    with pytest.raises(Killed):
        node.attempt()
    states: list[bool] = []

    def hang() -> NoReturn:
        states.append(node.is_running)
        raise Killed

    node.place.open_nvml = hang  # type: ignore[method-assign]
    node.new_process()
    with pytest.raises(Killed):
        node.attempt()
    assert states == [True]


def test_an_agent_that_ends_starts_the_clients_again(node: Node) -> None:
    node.ending = [pod("dcgm-1")]
    node.attempt()
    node.changer.resume_clients()
    assert node.is_running


def test_clients_stay_stopped_until_a_planned_reboot(node: Node) -> None:
    node.place.reset_error = MigError("in use by another client")
    node.place.reboot = RebootPolicy(path=node.folder / "reboot.json", boot_id="b", run=lambda: None)
    node.new_process()
    assert isinstance(node.attempt(), Rebooting)
    assert not node.is_running
    assert not isinstance(node.attempt("all-disabled"), Rebooting)
    assert node.is_running


def settings(*arguments: str) -> MigSettings:
    values = parse_command(command, arguments, "mig-manager")
    assert values is not None
    return mig_settings(values)


def test_without_flags_no_services_stop() -> None:
    assert settings().pause_components == ()
    assert read_services(settings()) == ()


def test_the_default_services_are_those_of_nvidias_file() -> None:
    assert "nvidia-dcgm.service" in read_services(settings("--mig-stop-host-services"))


def test_a_file_names_the_services(tmp_path: Path) -> None:
    path = tmp_path / "clients.yaml"
    path.write_text("version: v1\nsystemd-services: [a.service, b]\n")
    flags = ("--mig-stop-host-services", f"--mig-gpu-clients-file={path}")
    assert read_services(settings(*flags)) == ("a.service", "b")


@pytest.mark.parametrize(
    ("flags", "problem"),
    [
        (("--mig-stop-host-services", "--state-dir="), "needs --state-dir"),
        (("--mig-pause-components=dcgm,no/name",), "'no/name' is not a component"),
        (("--mig-pause-components=driver",), "'driver' would end the driver"),
        (("--mig-pause-components=dcgm,operands",), "'operands' would end the driver"),
    ],
)
def test_settings_that_are_not_possible_are_errors(flags: tuple[str, ...], problem: str) -> None:
    with pytest.raises(SettingsError, match=problem):
        settings(*flags)
