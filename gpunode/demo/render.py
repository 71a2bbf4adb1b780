"""What the demo shows, as rich renderables. Pure: state in, something to print out."""

from collections.abc import Iterable, Mapping

from rich.console import Group, RenderableType
from rich.padding import Padding
from rich.syntax import Syntax
from rich.table import Table
from rich.text import Text

from gpunode.demo.changes import Change, show_resource

AGENT_STYLE = {"nfd-lite": "cyan", "gfd": "green", "gpu-device-plugin": "magenta", "kubernetes": "bright_black"}
FLAG_PREFIX = "feature.node.kubernetes.io/cpu-cpuid."


def render_facts(facts: Mapping[str, str]) -> RenderableType:
    """Names and what they are, in two columns."""
    table = _grid()
    for name, value in facts.items():
        table.add_row(Text(name, style="bright_black"), Text(value))
    return _indent(table)


def render_step(number: int, title: str, agent: str, note: str = "") -> RenderableType:
    """A heading of the tour."""
    return Text.assemble(
        "\n", (f"{number} ", "bold"), (title, f"bold {AGENT_STYLE[agent]}"), ("  " + note, "bright_black")
    )


def render_labels(labels: Mapping[str, str], agent: str) -> RenderableType:
    """Labels of one agent; CPU flags, which are dozens of `…=true`, in one paragraph."""
    table = _grid()
    flags = [key.removeprefix(FLAG_PREFIX) for key, value in labels.items() if _is_flag(key, value)]
    for key, value in labels.items():
        if not _is_flag(key, value):
            table.add_row(_key(key, agent), Text(value))
    name = _key(f"{FLAG_PREFIX}*", agent)
    paragraph = (
        [Text.assemble(name, f"  true for {len(flags)}:\n", (" ".join(flags), AGENT_STYLE[agent]))] if flags else []
    )
    return _indent(Group(table, *paragraph))


def render_resources(resources: Mapping[str, tuple[str, str]]) -> RenderableType:
    """Extended resources of the Node, with what the kubelet reports."""
    table = _grid()
    for name, (capacity, allocatable) in sorted(resources.items()):
        table.add_row(Text(name, style="magenta"), Text(f"capacity {capacity}, allocatable {allocatable}"))
    return _indent(table)


def render_manifest(text: str) -> RenderableType:
    """YAML, as one would apply it."""
    return Padding(Syntax(text.strip(), "yaml", theme="ansi_dark", background_color="default"), (0, 0, 0, 2))


def render_commands(commands: Iterable[str]) -> RenderableType:
    """Lines to copy: never wrapped, nothing before them but two spaces."""
    return Group(*(Text(f"  {command}", style="bold", no_wrap=True, overflow="ignore") for command in commands))


def render_change(change: Change, clock: str) -> RenderableType:
    """One line of the live feed."""
    style = AGENT_STYLE.get(change.agent, "blue")
    line = Text.assemble((f"{clock}  ", "bright_black"), (f"{change.agent:<18}", style), f"{change.key}  ")
    match change:
        case Change(before=None, after=str(after)):
            line.append(f"+ {after}", style="green")
        case Change(before=str(before), after=None):
            line.append(f"- {before}", style="red")
        case Change(before=before, after=after):
            line.append(f"{before} → {after}", style="yellow")
    return line


def render_amount(resources: Mapping[str, tuple[str, str]]) -> str:
    """`nvidia.com/gpu 8`, for headings; `none` without any."""
    return ", ".join(f"{name} {show_resource(*amount)}" for name, amount in sorted(resources.items())) or "none"


def _indent(shown: RenderableType) -> RenderableType:
    return Padding(shown, (0, 0, 0, 2), expand=False)


def _grid() -> Table:
    table = Table.grid(padding=(0, 2, 0, 0))
    table.add_column(no_wrap=True)
    table.add_column(overflow="fold")
    return table


def _key(key: str, agent: str) -> Text:
    prefix, slash, name = key.rpartition("/")
    return Text.assemble((prefix + slash, "bright_black"), (name, AGENT_STYLE[agent]))


def _is_flag(key: str, value: str) -> bool:
    return key.startswith(FLAG_PREFIX) and value == "true"
