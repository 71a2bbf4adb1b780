"""The report of doctor as text and as JSON: the verdict, then the evidence, then what to do. PURE."""

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from gpu_core.nvml.driver_version import DriverVersions
from gpunode.cluster.fleet import GpuNode
from gpunode.doctor.check import Check
from gpunode.output.paragraph import render_paragraph
from gpunode.output.terminal import Styled, Terminal

STYLES = {"problem": "red", "note": "yellow", "ok": "green"}
"""The colour of each status, in the order of the evidence."""
INDENT = 9


@dataclass(frozen=True, slots=True, kw_only=True)
class Report:
    """gpus: see gpus.list_gpus. has_gpus: False if the node has no GPU, and should have none. simulated: the name of the scenario.

    node, software: of the Node, if doctor runs elsewhere. Then the other facts are not known.
    """

    checks: Sequence[Check]
    gpus: Sequence[Mapping[str, Any]] = ()
    has_gpus: bool = True
    simulated: str | None = None
    versions: DriverVersions | None = None
    node: GpuNode | None = None
    software: str = ""

    @property
    def problems(self) -> tuple[Check, ...]:
        return tuple(each for each in self.checks if each.status == "problem")

    @property
    def summary(self) -> str:
        place = "this node" if self.node is None else f"the Node {self.node.name}"
        if self.problems:
            count = f"{len(self.problems)} problem{'s' if len(self.problems) > 1 else ''}"
            return f"{count} found: pods cannot get all GPUs of {place}, or something needs an action."
        if not self.has_gpus:
            return f"{place[0].upper()}{place[1:]} has no GPU, and none is expected."
        if self.simulated is not None:
            return f"The GPUs are simulated: pods get no real GPU on {place}."
        return f"Pods can get the GPUs of {place}."


def render_text(report: Report, terminal: Terminal) -> str:
    """Returns the verdict, then the evidence, then what to do."""
    return "".join(f"{line}\n" for line in _lines(report, terminal))


def render_json(report: Report) -> str:
    reasons = [each.reason for each in report.problems or report.checks if each.reason is not None]
    content = {
        "ready": not report.problems,
        "reason": next(iter(reasons), None),
        "summary": report.summary,
        **(_facts_here(report) if report.node is None else _facts_outside(report.node, report.software)),
        "checks": [render_check(each) for each in report.checks],
    }
    return json.dumps(content, indent=2) + "\n"


def render_check(check: Check) -> dict[str, str | None]:
    return {
        "name": check.name,
        "status": check.status,
        "reason": check.reason,
        "sentence": check.sentence,
        "todo": check.todo,
    }


def _facts_here(report: Report) -> dict[str, Any]:
    """Returns what only this machine knows."""
    module, library = (report.versions.module, report.versions.library) if report.versions else (None, None)
    driver = {"module": module, "library": library}
    return {"simulated": report.simulated, "driver": driver, "gpus": list(report.gpus)}


def _facts_outside(node: GpuNode, software: str) -> dict[str, Any]:
    """Returns what the Node object states."""
    resources = {each.name: {"capacity": each.capacity, "allocatable": each.allocatable} for each in node.resources}
    return {
        "node": node.name,
        "models": list(node.models),
        "driver": node.driver or None,
        "cuda": node.cuda or None,
        "resources": resources,
        "software": software,
    }


def _lines(report: Report, terminal: Terminal) -> Iterator[str]:
    yield from render_paragraph(terminal, Styled(report.summary, "red" if report.problems else "green"))
    if facts := ", ".join(filter(None, (*_describe_gpus(report.node), report.software))):
        yield from render_paragraph(terminal, facts)
    yield ""
    yield from render_checks(report.checks, terminal)
    for gpu in report.gpus:
        yield from render_paragraph(terminal, _describe(gpu), first=f"GPU {gpu['index']}", indent=INDENT)
    yield from render_todos(((each.name, each.todo) for each in report.problems), terminal)


def _describe_gpus(node: GpuNode | None) -> Iterator[str]:
    """Yields the models, driver and CUDA of a Node, by its labels."""
    if node is not None:
        count = f"{node.gpus} " if node.gpus is not None else ""
        yield f"{count}{', '.join(node.models)}" if node.models else ""
        yield f"driver {node.driver}" if node.driver else ""
        yield f"CUDA {node.cuda}" if node.cuda else ""


def render_checks(checks: Iterable[Check], terminal: Terminal) -> Iterator[str]:
    """Returns a sentence for each check: problems first, then notes."""
    for each in sorted(checks, key=lambda check: tuple(STYLES).index(check.status)):
        reason = f"{each.reason}: " if each.reason and each.reason not in each.sentence else ""
        status = Styled(each.status, STYLES[each.status])
        yield from render_paragraph(terminal, f"{each.name}: {reason}{each.sentence}", first=status, indent=INDENT)


def render_todos(todos: Iterable[tuple[str, str | None]], terminal: Terminal) -> Iterator[str]:
    """Returns what to do. todos: the name of a problem, and what to do. Each is listed once."""
    listed = [(name, todo) for name, todo in dict.fromkeys(todos) if todo is not None]
    if listed:
        yield ""
        yield terminal.render(Styled("What to do:", "bold"))
    for name, todo in listed:
        yield from render_paragraph(terminal, f"{name}: {todo}", first="  -", indent=4)


def _describe(gpu: Mapping[str, Any]) -> str:
    facts = (gpu.get("model"), gpu["uuid"], gpu.get("pci"), gpu.get("phase", "unhealthy"))
    mig = f", {len(gpu['migDevices'])} MIG devices" if gpu.get("migEnabled") else ""
    return f"{', '.join(str(each) for each in facts if each)}{mig}"
