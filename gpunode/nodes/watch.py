"""`gpunode nodes --watch`: a table in place in a terminal, and rows that change in a pipe."""

import socket
import sys
import time
from collections.abc import Callable, Iterator, Mapping

import click

from gpunode.cluster.claim_devices import ClaimDevice, DeviceIndex
from gpunode.cluster.claimed_node import add_known_claims
from gpunode.cluster.feed import ClusterFeed, Problem, Snapshot
from gpunode.cluster.fleet import GpuNode, NodePod, describe_node
from gpunode.nodes.changes import ChangeLog
from gpunode.nodes.columns import COLUMNS, row_of, sort_nodes
from gpunode.nodes.criteria import Criteria, Seen, explain_nothing
from gpunode.nodes.totals import Totals
from gpunode.output.paragraph import render_paragraph
from gpunode.output.screen import Screen, wake_on_resize
from gpunode.output.table import TableWriter
from gpunode.output.terminal import Styled, Terminal, open_terminal, show_progress
from node_core.scheduling.objects import Node

SECONDS = 1.0
"""The interval in which changes are shown."""
Facts = tuple[Node, tuple[NodePod, ...], tuple[ClaimDevice, ...], str]
"""A Node, its Pods, its devices in ResourceSlices, and why these are unknown."""
Described = tuple[Facts, GpuNode]
HINT = "select nodes with --free, --product or -l"


class FleetWatch:
    """The nodes that are shown, and what changed. snapshot: returns the current snapshot. clock: Unix seconds. Used by one thread."""

    def __init__(
        self,
        snapshot: Callable[[], Snapshot],
        criteria: Criteria,
        *,
        sort: str = "name",
        selector: str = "",
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._snapshot, self._criteria, self._sort, self._selector, self._clock = (
            snapshot,
            criteria,
            sort,
            selector,
            clock,
        )
        self._log = ChangeLog()
        self._devices = DeviceIndex()
        self._described: dict[str, Described] = {}
        self._selected: tuple[int, dict[str, GpuNode]] | None = None

    def draw(self, terminal: Terminal, *, is_wide: bool) -> list[str]:
        """Returns the lines of the screen: totals, problem, changes and table. After a failure, the last table remains."""
        snapshot = self._snapshot()
        nodes = self._select(snapshot)
        self._log.update(nodes, self._clock())
        return [*self._head(terminal, snapshot, nodes), "", *self._table(terminal, nodes, is_wide=is_wide)]

    def changed_rows(self) -> tuple[list[GpuNode], Problem | None]:
        """Returns the nodes that changed since the last call, all at the first. A deleted Node has a problem that states this."""
        snapshot = self._snapshot()
        nodes = self._select(snapshot)
        names = self._log.update(nodes, self._clock())
        return [self._last(name) for name in names], snapshot.first_problem

    def _select(self, snapshot: Snapshot) -> dict[str, GpuNode]:
        """Selects the nodes again only if an object changed."""
        if self._selected is None or self._selected[0] != snapshot.version:
            self._selected = snapshot.version, self._select_again(snapshot)
        return self._selected[1]

    def _select_again(self, snapshot: Snapshot) -> dict[str, GpuNode]:
        pods = snapshot.pods_by_node()
        devices = self._devices.update(snapshot.slices.values(), snapshot.claims.values())
        self._described = {
            name: self._describe((node, tuple(pods.get(name, ())), devices.get(name, ()), snapshot.claim_problem))
            for name, node in snapshot.nodes.items()
        }
        narrowed = (self._criteria.narrow(node) for *_, node in self._described.values())
        shown = sort_nodes((node for node in narrowed if self._criteria.matches(node)), self._sort)
        return {node.name: node for node in shown}

    def _describe(self, facts: Facts) -> Described:
        """Describes a Node again only if its facts changed."""
        node, pods, devices, problem = facts
        known = self._described.get(node.name)
        if known is not None and known[0] == facts:
            return known
        return facts, add_known_claims(describe_node(node, pods), devices, problem)

    def _last(self, name: str) -> GpuNode:
        known = self._described.get(name)
        return (
            self._criteria.narrow(known[1])
            if known is not None
            else GpuNode(name=name, problems=("the Node was deleted",))
        )

    def _head(self, terminal: Terminal, snapshot: Snapshot, nodes: Mapping[str, GpuNode]) -> Iterator[str]:
        totals, seen = Totals(), Seen()
        for node in nodes.values():
            totals.add(node)
        for *_, node in self._described.values():
            seen.add(node)
        title = totals.render() if nodes else explain_nothing(seen, self._criteria, self._selector)
        yield from render_paragraph(terminal, Styled(title, "bold"))
        if snapshot.first_problem is not None:
            yield from render_paragraph(
                terminal, Styled(describe_problem(snapshot.first_problem, self._clock()), "red")
            )
        for change in self._log.recent:
            yield terminal.render(Styled(f"{_time(change.at)} {change.name}: {change.text}", "bright_black"))

    def _table(self, terminal: Terminal, nodes: Mapping[str, GpuNode], *, is_wide: bool) -> list[str]:
        return TableWriter(terminal, COLUMNS, is_wide=is_wide).render(self._log.rows(list(nodes)))


def describe_problem(problem: Problem, now: float) -> str:
    return f"Not current since {_time(problem.since)} ({max(0.0, now - problem.since):.0f} s): {problem.error}"


def _time(at: float) -> str:
    return time.strftime("%H:%M:%S", time.localtime(at))


def watch_fleet(feed: ClusterFeed, watch: FleetWatch, *, is_wide: bool, has_headers: bool) -> None:
    """Runs until q or Ctrl-C. Raises KubeError if the first lists fail."""
    feed.start()
    try:
        with show_progress("Reading the nodes and pods"):
            feed.wait_for_lists()
        if sys.stdout.isatty():
            watch_in_place(watch, is_wide=is_wide)
        else:
            print_changes(watch, is_wide=is_wide, has_headers=has_headers)
    finally:
        feed.stop()


def watch_in_place(watch: FleetWatch, *, is_wide: bool) -> None:
    """Draws until the person presses q. Afterwards the last table remains in the terminal."""
    near, far = socket.socketpair()
    with near, far:
        near.setblocking(False)
        try:
            with wake_on_resize(near):
                Screen(lambda: watch.draw(open_terminal(), is_wide=is_wide), HINT).run(SECONDS, far)
        finally:
            click.echo("\n".join(watch.draw(open_terminal(), is_wide=is_wide)), color=True)


def print_changes(
    watch: FleetWatch, *, is_wide: bool, has_headers: bool, pause: Callable[[float], None] = time.sleep
) -> None:
    """Prints all nodes, and then each node that changes. Problems are on standard error."""
    writer = TableWriter(Terminal(), COLUMNS, is_wide=is_wide, has_header=has_headers)
    was_current = True
    while True:
        nodes, problem = watch.changed_rows()
        writer.write([row_of(node) for node in nodes])
        if was_current and problem is not None:
            click.echo(describe_problem(problem, problem.since), err=True)
        elif not was_current and problem is None:
            click.echo("Current again.", err=True)
        was_current = problem is None
        pause(SECONDS)
