"""The text for people: the verdict, then the evidence, then what to do. PURE."""

from collections.abc import Iterator, Sequence

from gpunode.output.paragraph import render_paragraph
from gpunode.output.terminal import Styled, Terminal
from gpunode.why.amounts import count, render_names
from gpunode.why.explanation import Explanation, NodeGroup, Solution, Step

MOST_GROUPS = 8
MOST_NAMES = 5
ALL = "-o json states why"


def render_text(explanations: Sequence[Explanation], terminal: Terminal) -> str:
    return "\n".join("".join(f"{line}\n" for line in _lines(each, terminal)) for each in explanations)


def _lines(explanation: Explanation, terminal: Terminal) -> Iterator[str]:
    yield from render_paragraph(terminal, Styled(explanation.summary, "green" if explanation.can_run else "red"))
    if explanation.requests:
        requests = ", ".join(f"{amount} {name}" for name, amount in explanation.requests.items())
        yield from render_paragraph(terminal, f"It requests {requests}.")
    yield from _paragraphs(terminal, "", explanation.findings)
    yield from _paragraphs(terminal, "", explanation.notes)
    yield from _node_lines(explanation, terminal)
    yield from _event_lines(explanation, terminal)
    yield from _todo_lines(explanation, terminal)


def _paragraphs(terminal: Terminal, title: str, texts: Sequence[str]) -> Iterator[str]:
    if texts:
        yield ""
        yield from [terminal.render(Styled(title, "bold"))] if title else []
    for text in texts:
        yield from render_paragraph(terminal, text, indent=2 if title else 0)


def _node_lines(explanation: Explanation, terminal: Terminal) -> Iterator[str]:
    if not (explanation.groups or explanation.nodes):
        return
    yield from _title(terminal, "Nodes")
    if explanation.nodes:
        yield from render_paragraph(terminal, f"{_names(explanation.nodes)}", indent=2)
        yield from render_paragraph(terminal, Styled("can run it", "green"), first="    -", indent=6)
    shown = () if explanation.nodes else explanation.groups[:MOST_GROUPS]
    for group in shown:
        yield from _group_lines(group, terminal)
    if others := explanation.groups[len(shown) :]:
        number = count(sum(len(each.nodes) for each in others), "other node")
        yield from render_paragraph(terminal, f"{number} cannot run it ({ALL})", indent=2)


def _group_lines(group: NodeGroup, terminal: Terminal) -> Iterator[str]:
    yield from render_paragraph(terminal, _names(group.nodes), indent=2)
    for reason in group.reasons:
        yield from render_paragraph(terminal, reason.message, first="    -", indent=6)
        for detail in reason.details:
            yield from render_paragraph(terminal, Styled(detail, "bright_black"), indent=8)


def _names(nodes: Sequence[str]) -> str:
    return nodes[0] if len(nodes) == 1 else f"{len(nodes)} nodes: {render_names(nodes, MOST_NAMES)}"


def _event_lines(explanation: Explanation, terminal: Terminal) -> Iterator[str]:
    if explanation.scheduler_message:
        yield from _paragraphs(terminal, "Scheduler", [explanation.scheduler_message])
    shown_above = "\n".join((explanation.scheduler_message, *explanation.findings))
    shown = [each for each in explanation.events if each.message not in shown_above]
    if shown:
        yield from _title(terminal, "Events")
    for each in shown:
        times = f" ({each.times} times, last {each.last_seen})" if each.times > 1 else f" ({each.last_seen})"
        yield from render_paragraph(terminal, f"{each.reason}: {each.message}{times}", indent=2)


def _todo_lines(explanation: Explanation, terminal: Terminal) -> Iterator[str]:
    if not (explanation.solutions or explanation.advice):
        return
    yield from _title(terminal, "What to do")
    common = _common_steps(explanation.solutions)
    for step in common:
        yield from _step_lines(step, terminal)
    for position, solution in enumerate(explanation.solutions):
        if position or common:
            yield "    or" if position else "    and"
        yield from _solution_lines(solution, terminal, omitted=common)
    yield from (line for each in explanation.advice for line in render_paragraph(terminal, each, indent=2))


def _common_steps(solutions: Sequence[Solution]) -> tuple[Step, ...]:
    """Returns the steps that all alternatives have, so that they are written once."""
    if len(solutions) < 2:
        return ()
    first, *others = solutions
    return tuple(step for step in first.steps if all(step in each.steps for each in others))


def _solution_lines(solution: Solution, terminal: Terminal, omitted: Sequence[Step]) -> Iterator[str]:
    for step in solution.steps:
        yield from [] if step in omitted else _step_lines(step, terminal)
    number = len(solution.nodes)
    subject = solution.nodes[0] if number == 1 else f"{number} nodes"
    names = "" if number == 1 else f": {render_names(solution.nodes, MOST_NAMES)}"
    yield from render_paragraph(terminal, f"Then {subject} can run it{names}.", indent=4)


def _step_lines(step: Step, terminal: Terminal) -> Iterator[str]:
    yield from render_paragraph(terminal, Styled(step.text, "bold"), first="  -", indent=4)
    for line in step.yaml.splitlines():
        yield terminal.render(f"      {line}")


def _title(terminal: Terminal, title: str) -> Iterator[str]:
    yield ""
    yield terminal.render(Styled(title, "bold"))
