"""Renders labels and explanations as text. A terminal that is too narrow for the table shows labels below their source. PURE."""

import textwrap
from collections.abc import Iterable, Iterator, Sequence

from gpunode.labels.explain import Explanation
from gpunode.labels.published import Label, describe_meaning, plain
from gpunode.labels.reason import Reason
from gpunode.output.table import Column, TableWriter
from gpunode.output.terminal import Styled, Terminal
from node_core.domain.text import to_printable

COLUMNS = (Column(header="LABEL"), Column(header="VALUE"), Column(header="AGENT"), Column(header="SOURCE"))
WIDE = (*COLUMNS, Column(header="MEANING", is_wide=True))
_FACT = 8
"""Width of the names of facts."""


def row_of(label: Label) -> tuple[str, ...]:
    return label.key, label.value, label.agent, label.source, label.meaning


def render_labels(labels: Sequence[Label], terminal: Terminal, *, is_wide: bool = False) -> list[str]:
    """Returns the lines of a table, or of groups if the table is wider than the terminal."""
    columns = WIDE if is_wide else COLUMNS
    rows = [row_of(each)[: len(columns)] for each in labels]
    widths = (max(len(to_printable(row[index])) + 3 for row in rows) for index in range(len(columns)) if rows)
    if is_wide or sum(widths) - 3 <= terminal.width:
        return TableWriter(terminal, columns, is_wide=is_wide).render(rows)
    return list(_render_groups(labels, terminal))


def _render_groups(labels: Iterable[Label], terminal: Terminal) -> Iterator[str]:
    groups: dict[tuple[str, str], list[Label]] = {}
    for label in labels:
        groups.setdefault((label.agent, label.source), []).append(label)
    for (agent, source), group in sorted(groups.items(), key=lambda each: each[0][0] != "nfd-lite"):
        yield from _style(_wrap(f"{agent}: {source}", terminal.width), "bright_black", terminal)
        yield from fold_labels([(to_printable(each.key), to_printable(each.value)) for each in group], terminal.width)


def fold_labels(pairs: Sequence[tuple[str, str]], width: int) -> list[str]:
    """Returns a line `key=value` for each label. If one does not fit, the prefixes of the keys have lines of their own."""
    lines = [f"  {key}={value}" for key, value in pairs]
    if all(len(line) <= width for line in lines):
        return lines
    folded: list[str] = []
    last = None
    for key, value in pairs:
        prefix, slash, name = key.rpartition("/")
        if prefix != last:
            folded += _break(f"  {prefix}{slash}", width)
        folded += _fold_pair(f"    {name}=", value, width)
        last = prefix
    return folded


def _fold_pair(start: str, value: str, width: int) -> list[str]:
    """Returns one line, or the value on a line of its own. A start that is longer than the width is broken."""
    if len(start) + len(value) <= width or len(start) > width:
        return _break(f"{start}{value}", width)
    return [start, *_break(f"      {value}", width)]


def _break(line: str, width: int) -> list[str]:
    """Breaks a line without spaces at the width. Further lines have the same indent."""
    indent = line[: len(line) - len(line.lstrip())]
    text, room = line.strip(), max(width - len(indent), 10)
    return [f"{indent}{text[at : at + room]}" for at in range(0, len(text), room)] or [""]


def render_explanation(explanation: Explanation, terminal: Terminal) -> list[str]:
    return list(
        _render_published(explanation, terminal) if explanation.labels else _render_missing(explanation, terminal)
    )


def _render_published(explanation: Explanation, terminal: Terminal) -> Iterator[str]:
    for label in explanation.labels:
        yield from _heading(label.key, f"={label.value}", terminal)
        yield from _fact("agent", label.agent, terminal)
        yield from _fact("source", label.source, terminal)
        yield from _fact("meaning", label.meaning, terminal)
        for each in label.overridden:
            yield from _fact("hides", f"{each.value} from {each.source}", terminal)


def _render_missing(explanation: Explanation, terminal: Terminal) -> Iterator[str]:
    yield from _heading(explanation.key, " would not be published", terminal)
    for reason in explanation.reasons:
        yield from _render_reason(reason, terminal)
    if explanation.declared is not None:
        yield from _fact("source", plain(explanation.declared.source), terminal)
        yield from _fact("meaning", describe_meaning(explanation.declared), terminal)
    for number, key in enumerate(explanation.nearest):
        yield from _fact("similar" if number == 0 else "", key, terminal)


def _render_reason(reason: Reason, terminal: Terminal) -> Iterator[str]:
    yield from _fact("why", f"{reason.agent}: {reason.why}", terminal)
    for each in reason.evidence:
        yield from _fact("", each, terminal)


def _heading(key: str, rest: str, terminal: Terminal) -> Iterator[str]:
    prefix, slash, name = key.rpartition("/")
    lines = [f"{key}{rest}"] if len(key) + len(rest) <= terminal.width else [f"{prefix}{slash}", f"  {name}{rest}"]
    yield from _style((part for line in lines for part in _wrap(line, terminal.width)), "bold", terminal)


def _fact(name: str, text: str, terminal: Terminal) -> Iterator[str]:
    """Yields `name  text`, folded below the text; nothing for an empty text."""
    indent = " " * (_FACT + 2)
    lines = _wrap(text, terminal.width - len(indent)) if text else []
    for number, line in enumerate(lines):
        label = terminal.render(Styled(f"{name:<{_FACT}}", "bright_black")) if name and number == 0 else " " * _FACT
        yield f"  {label}{line}".rstrip()


def _wrap(text: str, width: int) -> list[str]:
    """Folds a text at spaces, and a longer word anywhere. The first line retains its indent."""
    text = to_printable(text)
    return textwrap.wrap(text, max(width, 10), break_on_hyphens=False, drop_whitespace=True) or [text]


def _style(lines: Iterable[str], style: str, terminal: Terminal) -> Iterator[str]:
    return (terminal.render(Styled(line, style)) for line in lines)
