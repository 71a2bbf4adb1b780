"""`gpunode nodes --watch`: in place in a terminal, and as rows in a pipe."""

import itertools
import re
import signal
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec
import pytest

from gpunode.cluster.feed import DevicePod, Problem, Snapshot
from gpunode.cluster.fleet import Holder
from gpunode.nodes.criteria import Criteria
from gpunode.nodes.watch import FleetWatch, print_changes
from gpunode.output.screen import ENTER, LEAVE
from gpunode.output.terminal import Terminal
from node_core.errors import KubeError
from node_core.scheduling.objects import Metadata, Node, Pod, PodSpec
from node_core.values import replace
from simulation.apiserver import ApiServer
from tests.gpunode.nodes.conftest import Run
from tests.gpunode.recorded import load_cluster
from tests.gpunode.terminals import TerminalProcess

GPU = "nvidia.com/gpu"
NOW = 1_000_000.0
VERSIONS = itertools.count(1)
REFUSED = Problem(error=KubeError("GET /api/v1/nodes: the API server does not respond"), since=NOW - 35)


def node(name: str, gpus: int = 8, **spec: Any) -> Node:
    content = {
        "metadata": {"name": name, "labels": {f"{GPU}.product": "H100"}},
        "spec": spec,
        "status": {"capacity": {GPU: str(gpus)}, "allocatable": {GPU: str(gpus)}},
    }
    return msgspec.convert(content, Node)


def state(*nodes: Node, **held: int) -> Snapshot:
    """held: Node -> the GPUs of its Pod."""
    pods = {
        f"n/{name}": DevicePod(
            pod=Pod(metadata=Metadata(name="p", namespace="n"), spec=PodSpec(node_name=name)),
            described=Holder(namespace="n", name="p", resources={GPU: count}),
        )
        for name, count in held.items()
    }
    return Snapshot(version=next(VERSIONS), nodes={each.name: each for each in nodes}, pods=pods, is_complete=True)


class Watched:
    """A watch whose state and time the test sets."""

    def __init__(self, first: Snapshot, **criteria: Any) -> None:
        self.state, self.now = first, NOW
        self.watch = FleetWatch(lambda: self.state, Criteria(**criteria), clock=lambda: self.now)

    def draw(self, *, width: int = 200, has_colors: bool = False) -> list[str]:
        return self.watch.draw(Terminal(width=width, has_colors=has_colors), is_wide=False)

    def changes(self) -> list[str]:
        """Returns the described changes without their times."""
        matches = (re.fullmatch(r"\d\d:\d\d:\d\d (\S+: .*)", line) for line in self.draw())
        return [match[1] for match in matches if match]


def test_the_screen_has_totals_and_table() -> None:
    lines = Watched(state(node("a"), node("b"), a=3)).draw()
    assert lines[0] == "2 nodes. Free: 13 of 16 nvidia.com/gpu."
    assert [line.split()[0] for line in lines[2:]] == ["NAME", "a", "b"]


def test_changes_are_described_with_the_newest_first() -> None:
    watched = Watched(state(node("a"), a=1))
    assert watched.changes() == []
    watched.state = state(node("a"), node("b"), a=3)
    assert watched.changes() == ["b: is new", "a: ALLOCATED 1 -> 3, FREE 7 -> 5"]
    watched.state = state(node("b", unschedulable=True))
    assert watched.changes()[:2] == ["a: is no longer shown", "b: PROBLEMS - -> the Node is cordoned"]


def test_a_changed_value_is_highlighted_for_five_seconds() -> None:
    watched = Watched(state(node("a")))
    watched.draw()
    watched.state = state(node("a"), a=8)
    highlighted = "\x1b[33m0\x1b[0m"
    assert highlighted in watched.draw(has_colors=True)[-1]
    watched.now += 4
    assert highlighted in watched.draw(has_colors=True)[-1]
    watched.now += 1
    assert highlighted not in watched.draw(has_colors=True)[-1]


def test_after_a_failure_the_last_table_remains_with_the_problem_and_its_duration() -> None:
    watched = Watched(state(node("a")))
    before = watched.draw()
    watched.state = replace(watched.state, problems={"nodes": REFUSED})
    after = watched.draw()
    assert re.fullmatch(
        r"Not current since \d\d:\d\d:\d\d \(35 s\): GET /api/v1/nodes: the API server does not respond", after[1]
    )
    assert after[-2:] == before[-2:]
    assert "respond" in "".join(watched.draw(width=40))


def test_a_fleet_without_matching_nodes_is_explained() -> None:
    assert Watched(state(node("a")), free=9).draw()[0].endswith("gets pods and has 9 free devices of one resource.")


def test_only_nodes_that_match_are_shown_and_a_node_that_matches_later_is_new() -> None:
    watched = Watched(state(node("a"), node("b"), b=8), free=1)
    assert [line.split()[0] for line in watched.draw()[2:]] == ["NAME", "a"]
    watched.state = state(node("a"), node("b"), a=8)
    assert watched.changes() == ["a: is no longer shown", "b: is new"]


def test_a_pipe_gets_all_nodes_and_then_those_that_change(capsys: pytest.CaptureFixture[str]) -> None:
    watched = Watched(state(node("a"), node("b")), free=1)
    failed = state(node("b"), node("c"), b=8)
    states = iter(
        [
            state(node("a"), node("b")),
            state(node("a"), node("b")),
            replace(failed, problems={"nodes": REFUSED}),
            replace(failed, problems={"nodes": REFUSED}),
            failed,
        ]
    )

    def pause(_: float) -> None:
        watched.state = next(states)

    with pytest.raises(StopIteration):
        print_changes(watched.watch, is_wide=False, has_headers=True, pause=pause)
    printed = capsys.readouterr()
    rows = [line.split() for line in printed.out.splitlines()]
    free = rows[0].index("FREE")
    assert [(row[0], row[free]) for row in rows[1:]] == [("a", "8"), ("b", "8"), ("c", "8"), ("a", "0"), ("b", "0")]
    assert rows[4][-4:] == ["the", "Node", "was", "deleted"]
    assert [line.split()[0] for line in printed.err.splitlines()] == ["Not", "Current"]


def test_other_formats_are_refused(run: Run) -> None:
    result = run("nodes", "--watch", "-o", "json")
    assert result.exit_code == 2
    assert "--watch prints a table. Remove -o json." in result.stderr


def test_without_rights_the_watch_does_not_begin(server: ApiServer, run: Run) -> None:
    server.fail_next(2, 403)
    result = run("nodes", "--watch")
    assert result.exit_code == 1
    assert "you are not permitted to list" in result.stderr


@pytest.fixture
def process(server: ApiServer, kubeconfig: Path) -> Iterator[TerminalProcess]:
    load_cluster(server, "mixed")
    started = TerminalProcess(30, 100, "nodes", "--watch", "--kubeconfig", str(kubeconfig))
    started.until_written(ENTER)
    started.until_written("gpu-t4-2")
    yield started
    started.close()


def test_a_change_appears_and_an_api_server_that_goes_away_leaves_the_table(
    process: TerminalProcess, server: ApiServer
) -> None:
    server.store.mutate("nodes", "gpu-h100-3", lambda node: {**node, "spec": {}})
    process.until_written("PROBLEMS the Node is cordoned -> -")
    server.stop()
    process.until_written("Not current since")
    process.until_written("gpu-t4-2")
    process.press("q")
    assert process.end() == 0
    _, _, last = process.written.partition(LEAVE)
    assert "Not current since" in last
    assert "gpu-t4-2" in last


def test_devices_of_claims_are_followed(server: ApiServer, kubeconfig: Path) -> None:
    load_cluster(server, "dra")
    started = TerminalProcess(30, 160, "nodes", "--watch", "--kubeconfig", str(kubeconfig))
    try:
        started.until_written("the device gpu-4")
        server.store.delete("resourceclaims.resource.k8s.io", "two-gpus", namespace="team")
        started.until_written("dra-1: ALLOCATED 4 -> 2, FREE 1 -> 3")
    finally:
        started.close()


def test_a_node_whose_claims_cannot_be_read_states_this() -> None:
    lacking = msgspec.convert({"metadata": {"name": "a", "labels": {f"{GPU}.present": "true"}}}, Node)
    watched = Watched(replace(state(lacking, node("b")), claim_problem="ResourceSlices were not read"))
    assert [line.count("were not read") for line in watched.draw()[3:]] == [1, 0]


def test_ctrl_c_ends_the_watch(process: TerminalProcess) -> None:
    process.process.send_signal(signal.SIGINT)
    assert process.end() == 130
    assert LEAVE in process.written
