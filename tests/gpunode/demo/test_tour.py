"""The live feed: commands, scenario files and changes."""

import threading
from collections.abc import Callable, Iterator, Mapping
from io import StringIO
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console

from gpu_core.domain.inventory import Inventory
from gpunode.demo import pod
from gpunode.demo import tour as module
from gpunode.demo.changes import NodeState
from gpunode.demo.control import SOCKET
from gpunode.demo.gpu_names import GpuNames
from gpunode.demo.tour import Tour, TourError
from node_core.errors import SettingsError
from simulation.apiserver import ApiServer
from simulation.apiserver.status import ApiError

INVALID = "wrong.yaml: gpus: must be a list"


class FakeStage:
    """A stage without agents. problem: why the scenario file is not valid."""

    def __init__(self, directory: Path) -> None:
        self.directory, self.scenario, self.node_name = directory, "fleet.yaml", "n1"
        self.server = ApiServer()
        self.inventory = Inventory(driver=None)
        self.file_changed = threading.Event()
        self.problem = ""
        self.faults: list[Mapping[str, object]] = []
        self.scenarios: list[str | None] = []
        self.resources = frozenset[str]()

    def gpu_names(self) -> GpuNames:
        return GpuNames(self.inventory, None)

    def node(self) -> NodeState:
        return NodeState()

    def problems(self) -> Iterator[str]:
        yield "gfd/gpus: the driver is gone"

    def add_fault(self, fault: Mapping[str, object]) -> None:
        self.faults.append(fault)

    def change_scenario(self, scenario: str | None = None) -> str:
        if self.problem:
            raise SettingsError([self.problem])
        self.scenarios.append(scenario)
        return "8 GPUs"


class Feed:
    """Runs the live feed until all steps have run, each in one pass of its loop. Then the user presses Ctrl-C."""

    def __init__(self, directory: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        self.stage = FakeStage(directory)
        self.console = Console(file=StringIO(), width=120)
        self.tour: Any = Tour(self.stage, self.console)  # type: ignore[arg-type] # only what the feed uses
        self.typed: list[list[str]] = []
        self._steps: list[Callable[[], object]] = []
        monkeypatch.setattr(module, "Terminal", lambda: self)
        monkeypatch.setattr(module, "POLL_SECONDS", 0.0)

    def lines(self) -> Iterator[list[str]]:
        while self.typed:
            yield self.typed.pop(0)
        self._step()

    def run(self, *steps: Callable[[], object]) -> str:
        self._steps = list(steps)
        self._steps.append(lambda: None)  # one more pass
        with self.console.capture() as captured:
            self.tour.watch()
        return captured.get()

    def _step(self) -> None:
        if not self._steps:
            raise KeyboardInterrupt
        self._steps.pop(0)()


@pytest.fixture
def feed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Feed:
    monkeypatch.chdir(tmp_path)
    return Feed(Path(), monkeypatch)  # a relative path, because a unix socket's path is short


def test_typed_commands_change_the_stage(feed: Feed) -> None:
    feed.typed = [["fault", "lost", "gpu=3"], ["scenario"], ["scenario", "t4x1"]]
    shown = feed.run()
    assert feed.stage.faults == [{"kind": "lost", "gpu": 3}]
    assert feed.stage.scenarios == [None, "t4x1"]
    assert "fault  added: lost gpu=3" in shown
    assert "scenario  8 GPUs" in shown
    assert "Stopping." in shown
    assert (feed.stage.directory / SOCKET).exists()


@pytest.mark.parametrize("words", [["falt"], ["fault"], ["fault", "lost", "3"], ["scenario", "a", "b"]])
def test_a_wrong_typed_command_is_explained(feed: Feed, words: list[str]) -> None:
    feed.typed = [words]
    assert "Type help for a list of commands." in feed.run()
    assert not feed.stage.faults
    assert not feed.stage.scenarios


def test_help_lists_commands(feed: Feed) -> None:
    feed.typed = [["help"]]
    assert "fault lost gpu=3 for=30" in feed.run()


def test_a_changed_file_starts_the_scenario_again(feed: Feed) -> None:
    shown = feed.run(feed.stage.file_changed.set)
    assert feed.stage.scenarios == [None]
    assert "scenario  8 GPUs" in shown


def test_an_invalid_file_is_explained_once_and_the_feed_continues(feed: Feed) -> None:
    feed.stage.problem = INVALID
    shown = feed.run(feed.stage.file_changed.set, lambda: feed.stage.server.add_node("n1"))
    assert shown.count(INVALID) == 1
    assert "The file is not applied." in shown
    assert "Node n1  + created" in shown


def test_more_changes_than_the_history_contains_do_not_end_the_feed(feed: Feed) -> None:
    def forget() -> None:
        feed.stage.server.add_node("n1")
        feed.stage.server.store.compact()

    shown = feed.run(forget, lambda: None, lambda: feed.stage.server.add_node("n2"))
    assert "n1" not in shown
    assert "Node n2  + created" in shown


def test_a_step_that_takes_too_long_names_the_failed_checks(feed: Feed, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "TIMEOUT_SECONDS", 0.0)
    with pytest.raises(TourError, match=r"gfd was not ready within 0 s\. gfd/gpus: the driver is gone"):
        feed.tour._until(lambda _: None, "gfd")


def test_a_sample_pod_that_another_client_deletes_does_not_end_the_tour(
    feed: Feed, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: object) -> None:
        raise ApiError(404, "NotFound", 'pods "gpu-sample" not found')

    monkeypatch.setattr(pod, "submit", fail)
    with feed.console.capture() as captured:
        feed.tour._show_pod({"nvidia.com/gpu": ("1", "1")})
    assert 'pods "gpu-sample" not found' in captured.get()


def test_all_planned_resources_are_shown_together(feed: Feed) -> None:
    gpu, mig = {"nvidia.com/gpu": ("6", "6")}, {"nvidia.com/mig-1g.10gb": ("2", "2")}
    states = iter([NodeState(), NodeState(resources=gpu), NodeState(resources=gpu | mig)])

    def node() -> NodeState:
        state = next(states)
        feed.stage.server.store.mutate("nodes", "n1", lambda node: {**node, "spec": {"podCIDR": repr(state)}})
        return state

    feed.stage.server.add_node("n1")
    feed.stage.node, feed.stage.resources = node, frozenset(gpu | mig)  # type: ignore[method-assign]
    with feed.console.capture() as captured:
        assert feed.tour._show_resources() == gpu | mig
    assert "nvidia.com/gpu 6, nvidia.com/mig-1g.10gb 2" in captured.get()


def test_without_allocatable_gpus_no_pod_is_created(feed: Feed) -> None:
    with feed.console.capture() as captured:
        feed.tour._show_pod({"nvidia.com/gpu": ("1", "0")})
    assert "no GPU is allocatable" in captured.get()
