"""The report about all Nodes as text and as JSON: the verdict, then the Nodes with problems by reason, then what to do. PURE."""

import json
from collections.abc import Iterator

from gpunode.doctor.fleet import FleetReport, NodeProblems, list_todos
from gpunode.doctor.report import render_check, render_checks, render_todos
from gpunode.output.paragraph import render_paragraph
from gpunode.output.terminal import Styled, Terminal

MAX_NODES = 20
"""Nodes that the text names for each reason. JSON has all."""
MAX_TODOS = 3
"""Sentences for each reason."""


def render_fleet_text(report: FleetReport, terminal: Terminal) -> str:
    return "".join(f"{line}\n" for line in _lines(report, terminal))


def render_fleet_json(report: FleetReport) -> str:
    content = {
        "ready": not report.nodes,
        "summary": report.summary,
        "healthy": report.healthy,
        "withProblems": len(report.nodes),
        "withoutGpus": report.without_gpus,
        "reasons": [
            {"reason": reason, "nodes": [each.name for each in nodes], "todos": list(list_todos(nodes))}
            for reason, nodes in report.by_reason().items()
        ],
        "nodes": [
            {"name": each.name, "reason": each.reason, "checks": [render_check(check) for check in each.problems]}
            for each in report.nodes
        ],
        "notes": [each.sentence for each in report.notes],
    }
    return json.dumps(content, indent=2) + "\n"


def _lines(report: FleetReport, terminal: Terminal) -> Iterator[str]:
    groups = report.by_reason()
    yield from render_paragraph(terminal, Styled(report.summary, "red" if report.nodes else "green"))
    for reason, nodes in groups.items():
        yield ""
        yield terminal.render(Styled(f"{reason}: {len(nodes)} Node{'' if len(nodes) == 1 else 's'}", "bold"))
        for each in nodes[:MAX_NODES]:
            yield from render_paragraph(terminal, _describe(each), first="  -", indent=4)
        if (more := len(nodes) - MAX_NODES) > 0:
            yield from render_paragraph(terminal, f"{more} more: -o json lists all", first="  -", indent=4)
    if report.notes:
        yield ""
        yield from render_checks(report.notes, terminal)
    yield from render_todos(_todos(groups), terminal)
    if report.nodes:
        yield ""
        yield from render_paragraph(terminal, f"All checks of a Node: gpunode doctor --node {report.nodes[0].name}")


def _describe(node: NodeProblems) -> str:
    others = f" Also: {', '.join(node.other_reasons)}." if node.other_reasons else ""
    return f"{node.name}: {node.problems[0].sentence}.{others}"


def _todos(groups: dict[str, tuple[NodeProblems, ...]]) -> Iterator[tuple[str, str | None]]:
    """Yields the reason and what to do. A sentence can name a pod, so each Node of a reason can have another sentence."""
    for reason, nodes in groups.items():
        todos = list_todos(nodes)
        yield from ((reason, todo) for todo in todos[:MAX_TODOS])
        if (more := len(todos) - MAX_TODOS) > 0:
            yield reason, f"the same for {more} more: -o json lists all"
