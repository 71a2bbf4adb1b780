"""Renders the live use as lines of a terminal. PURE."""

from collections.abc import Iterable, Iterator, Sequence

from gpunode.output.paragraph import render_paragraph
from gpunode.output.table import Column, TableWriter
from gpunode.output.terminal import Cell, Styled, Terminal
from gpunode.top.use import DeviceUse

BAR = 10
"""The width of a bar, in characters."""
FULL, EMPTY = "#", "."
HIGH, HOT = 90.0, 85.0
"""Percent, and degrees Celsius."""
PODS = "PODS"
COLUMNS = (
    Column(header="DEVICE"),
    Column(header="MODEL", priority=6),
    Column(header="UTIL"),
    Column(header="LOAD", priority=3),
    Column(header="MEMORY", priority=1),
    Column(header="POWER", priority=5),
    Column(header="TEMP", priority=4),
    Column(header=PODS, priority=2),
)
NODE = Column(header="NODE")


def render_uses(uses: Sequence[DeviceUse], terminal: Terminal, *, is_wide: bool = False) -> list[str]:
    """Returns the lines of the table. The column NODE appears if the devices are of other nodes.

    If the terminal is too narrow for the column PODS, the pods are below the table.
    """
    has_nodes = any(use.node for use in uses)
    columns = (NODE, *COLUMNS) if has_nodes else COLUMNS
    rows = [((use.node, *_cells(use)) if has_nodes else tuple(_cells(use))) for use in uses]
    lines = TableWriter(terminal, columns, is_wide=is_wide).render(rows)
    problems = [Styled(f"{_place(use, 'this node')}: {use.problem}", "red") for use in uses if use.problem]
    pods = [] if PODS in next(iter(lines), PODS) else list(_list_pods(uses))
    return [*lines, *wrap_lines(terminal, [*pods, *problems])]


def wrap_lines(terminal: Terminal, texts: Iterable[Cell]) -> list[str]:
    """Returns the lines of some sentences."""
    return [line for text in texts for line in render_paragraph(terminal, text)]


def _list_pods(uses: Iterable[DeviceUse]) -> Iterator[str]:
    """Yields each pod with its devices."""
    devices: dict[str, list[str]] = {}
    for use in uses:
        for pod in use.pods:
            devices.setdefault(pod, []).append(_place(use))
    yield from (f"{pod}: {', '.join(places)}" for pod, places in devices.items())


def _place(use: DeviceUse, this_node: str = "") -> str:
    return ": ".join(filter(None, (use.node or this_node, use.device)))


def render_summary(uses: Iterable[DeviceUse]) -> str:
    """Returns for example `8 GPUs, 2 GPU instances: mean utilization 40 %, memory 120.0 of 640.0 GiB, power 3.2 kW`."""
    listed = tuple(uses)
    gpus = [use for use in listed if " GI " not in use.device]
    parts = [_count(len(gpus), "GPU")]
    if instances := len(listed) - len(gpus):
        parts.append(_count(instances, "GPU instance"))
    return f"{', '.join(parts)}: {', '.join(_totals(gpus))}".rstrip(": ")


def _totals(gpus: Sequence[DeviceUse]) -> Iterator[str]:
    if utilizations := [use.utilization for use in gpus if use.utilization is not None]:
        yield f"mean utilization {sum(utilizations) / len(utilizations):.0f} %"
    if memories := [use for use in gpus if use.memory_total_mib is not None and use.memory_used_mib is not None]:
        used, total = (sum(each) for each in zip(*((_mib(use)) for use in memories), strict=True))
        yield f"memory {_gib(used)} of {_gib(total)} GiB"
    if powers := [use.power for use in gpus if use.power is not None]:
        yield f"power {sum(powers) / 1000:.1f} kW"


def _mib(use: DeviceUse) -> tuple[int, int]:
    return use.memory_used_mib or 0, use.memory_total_mib or 0


def _cells(use: DeviceUse) -> Iterator[Cell]:
    yield use.device
    yield use.profile or use.model
    yield _styled("" if use.utilization is None else f"{use.utilization:.0f} %", use.utilization, HIGH, "yellow")
    yield "" if use.utilization is None else _bar(use.utilization)
    yield _memory(use)
    yield "" if use.power is None else f"{use.power:.0f} W"
    yield _styled("" if use.temperature is None else f"{use.temperature:.0f} C", use.temperature, HOT, "red")
    yield ", ".join(use.pods)


def _styled(text: str, value: float | None, limit: float, style: str) -> Cell:
    return Styled(text, style) if value is not None and value >= limit else text


def _bar(percent: float) -> str:
    full = round(max(0.0, min(100.0, percent)) / 100 * BAR)
    return FULL * full + EMPTY * (BAR - full)


def _memory(use: DeviceUse) -> str:
    if use.memory_used_mib is None:
        return ""
    total = "" if use.memory_total_mib is None else f"/{_gib(use.memory_total_mib)}"
    return f"{_gib(use.memory_used_mib)}{total} GiB"


def _gib(mib: int) -> str:
    return f"{mib / 1024:.1f}"


def _count(number: int, noun: str) -> str:
    return f"{number} {noun}{'' if number == 1 else 's'}"
