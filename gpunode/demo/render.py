"""The rich renderables of the demo. PURE."""

import textwrap
from collections.abc import Iterable, Iterator, Mapping

from rich.console import Console, ConsoleOptions, Group, RenderableType
from rich.padding import Padding
from rich.syntax import Syntax
from rich.table import Table
from rich.text import Text

from gpunode.demo.changes import render_resource
from gpunode.demo.feed import Line

AGENT_STYLE = {"nfd-lite": "cyan", "gfd": "green", "gpu-device-plugin": "magenta", "kubernetes": "bright_black"}
LINE_STYLE = {"+": "green", "-": "red", "~": "yellow", "!": "bold red"}
FLAG_PREFIX = "feature.node.kubernetes.io/cpu-cpuid."
MIN_VALUE = 24
"""The minimum width of the column of values. If the terminal is narrower, each value has its own line."""
WIDE = 80
"""The minimum width of a terminal for columns in the live feed."""


class _Rows:
    """Names and values: in two columns, or in a narrow terminal one below the other. Long texts are wrapped, never cut."""

    def __init__(self, rows: Iterable[tuple[Text, Text]]) -> None:
        self._rows = tuple(rows)

    def __rich_console__(self, _: Console, options: ConsoleOptions) -> Iterator[RenderableType]:
        names = max((name.cell_len for name, _ in self._rows), default=0)
        values = max((value.cell_len for _, value in self._rows), default=0)
        if names + 2 + min(values, MIN_VALUE) <= options.max_width:
            table = Table.grid(padding=(0, 2, 0, 0))
            table.add_column(no_wrap=True)
            table.add_column(overflow="fold")
            for row in self._rows:
                table.add_row(*row)
            yield table
            return
        for name, value in self._rows:
            yield name
            yield _indent(value)


def render_rows(rows: Mapping[str, str], style: str = "bright_black") -> RenderableType:
    """Names and values. style: of the names."""
    return _indent(_Rows((Text(name, style=style), Text(value)) for name, value in rows.items()))


def render_step(number: int, title: str, agent: str, note: str = "") -> RenderableType:
    """A heading of the tour."""
    return Text.assemble(
        "\n", (f"{number} ", "bold"), (title, f"bold {AGENT_STYLE[agent]}"), ("  " + note, "bright_black")
    )


def render_labels(labels: Mapping[str, str], agent: str) -> RenderableType:
    """The labels of one agent. CPU flags, which are dozens of `…=true`, are one paragraph."""
    flags = [key.removeprefix(FLAG_PREFIX) for key, value in labels.items() if _is_flag(key, value)]
    rows = _Rows((_key(key, agent), Text(value)) for key, value in labels.items() if not _is_flag(key, value))
    name = _key(f"{FLAG_PREFIX}*", agent)
    paragraph = (
        [Text.assemble(name, f"  {len(flags)} labels with the value true:\n", (" ".join(flags), AGENT_STYLE[agent]))]
        if flags
        else []
    )
    return _indent(Group(rows, *paragraph))


def render_resources(resources: Mapping[str, tuple[str, str]]) -> RenderableType:
    """The extended resources of the Node."""
    amounts = {
        name: f"capacity {capacity}, allocatable {usable}" for name, (capacity, usable) in sorted(resources.items())
    }
    return render_rows(amounts, style="magenta")


def render_manifest(text: str) -> Text:
    """YAML with syntax highlighting. Print it with soft_wrap, so that it can be copied."""
    yaml = Syntax("", "yaml", theme="ansi_dark", background_color="default")
    highlighted = yaml.highlight(textwrap.indent(text.strip(), "  "))
    highlighted.rstrip()
    return highlighted


def render_command(command: str) -> Text:
    """A command to copy. Print it with soft_wrap, so that the terminal wraps it and nothing is cut."""
    return Text(f"  {command}", style="bold")


def render_line(line: Line, clock: str, width: int) -> RenderableType:
    """One line of the live feed. width: of the terminal."""
    sign = f"{line.kind} " if line.kind in ("+", "-") else ""
    body = Text.assemble(
        (f"{line.source:<17} " if width >= WIDE else f"{line.source} ", AGENT_STYLE.get(line.source, "blue")),
        f"{line.subject}  ",
        (sign + line.text, LINE_STYLE.get(line.kind, "")),
    )
    table = Table.grid(padding=(0, 2, 0, 0))
    table.add_column(no_wrap=True)
    table.add_column(overflow="fold")
    table.add_row(Text(clock, style="bright_black"), body)
    return table


def render_amount(resources: Mapping[str, tuple[str, str]]) -> str:
    """`nvidia.com/gpu 8`, for headings; `none` without any."""
    return ", ".join(f"{name} {render_resource(*amount)}" for name, amount in sorted(resources.items())) or "none"


def _indent(content: RenderableType) -> RenderableType:
    return Padding(content, (0, 0, 0, 2), expand=False)


def _key(key: str, agent: str) -> Text:
    prefix, slash, name = key.rpartition("/")
    return Text.assemble((prefix + slash, "bright_black"), (name, AGENT_STYLE[agent]))


def _is_flag(key: str, value: str) -> bool:
    return key.startswith(FLAG_PREFIX) and value == "true"
