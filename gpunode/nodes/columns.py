"""The columns of `gpunode nodes`. PURE."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass

from gpunode.cluster.fleet import GPU_DOMAIN, GpuNode
from gpunode.output.table import Column, Row
from gpunode.output.terminal import Cell, Styled, text_of
from node_core.domain.dotted_version import leading_numbers


@dataclass(frozen=True, slots=True, kw_only=True)
class Field:
    """number: the value by which nodes are sorted, the largest first. None: nodes are sorted by the text, and versions by their numbers."""

    column: Column
    cell: Callable[[GpuNode], Cell]
    number: Callable[[GpuNode], float | None] | None = None


def describe_model(node: GpuNode) -> str:
    models = ", ".join(node.models)
    return f"{models} (simulated)".lstrip() if node.is_simulated else models


def describe_sharing(node: GpuNode) -> str:
    return f"{node.sharing} x{node.replicas}" if node.sharing and node.replicas else node.sharing


def describe_mig(node: GpuNode) -> str:
    """Returns for example `2 x 1g.10gb, 1 x 3g.40gb`."""
    return ", ".join(f"{count} x {profile}" for profile, count in node.mig_layout.items())


def describe_resources(node: GpuNode) -> str:
    """Returns for example `mig-1g.10gb 1/2`: free and allocatable devices."""
    return ", ".join(f"{each.name.removeprefix(GPU_DOMAIN)} {each.free}/{each.allocatable}" for each in node.resources)


def _free(node: GpuNode) -> Cell:
    """Devices are free for pods only on a Node that gets pods."""
    return Styled(str(node.free), "green" if node.free and node.is_schedulable else "bright_black")


def _unhealthy(node: GpuNode) -> Cell:
    return Styled(str(node.unhealthy), "red" if node.unhealthy else "bright_black")


def _number(number: int | None) -> str:
    return "" if number is None else str(number)


def _field(
    header: str,
    priority: int,
    cell: Callable[[GpuNode], Cell],
    number: Callable[[GpuNode], float | None] | None = None,
    *,
    is_wide: bool = False,
) -> Field:
    return Field(column=Column(header=header, priority=priority, is_wide=is_wide), cell=cell, number=number)


FIELDS = (
    _field("NAME", 0, lambda node: Styled(node.name, "bold")),
    _field("MODEL", 2, describe_model),
    _field("GPUS", 6, lambda node: _number(node.gpus), lambda node: node.gpus),
    _field("MIG", 7, describe_mig),
    _field("SHARING", 8, describe_sharing),
    _field("ALLOCATABLE", 4, lambda node: str(node.allocatable), lambda node: node.allocatable),
    _field("ALLOCATED", 5, lambda node: str(node.allocated), lambda node: node.allocated),
    _field("FREE", 0, _free, lambda node: node.free),
    _field("UNHEALTHY", 1, _unhealthy, lambda node: node.unhealthy),
    _field("DRIVER", 11, lambda node: node.driver),
    _field("CUDA", 10, lambda node: node.cuda),
    _field("MEMORY", 0, lambda node: _number(node.memory_mib), lambda node: node.memory_mib, is_wide=True),
    _field("RESOURCES", 0, describe_resources, is_wide=True),
    _field("TAINTS", 9, lambda node: ", ".join(node.taints)),
    Field(
        column=Column(header="PROBLEMS", priority=3, min_width=20),
        cell=lambda node: Styled("; ".join(node.problems), "red"),
    ),
)
"""In the order of the table. The memory is in MiB."""

COLUMNS = tuple(each.column for each in FIELDS)
BY_NAME = {each.column.header.lower(): each for each in FIELDS}
"""The columns by the value of --sort."""


def row_of(node: GpuNode) -> Row:
    return tuple(each.cell(node) for each in FIELDS)


def sort_nodes(nodes: Iterable[GpuNode], column: str) -> list[GpuNode]:
    """Returns the nodes in the order of a column. Unknown values are last. Nodes with equal values are in the order of their names."""
    by_name = sorted(nodes, key=lambda node: node.name)
    number, cell = BY_NAME[column].number, BY_NAME[column].cell
    if number is None:
        return sorted(by_name, key=lambda node: _text_key(text_of(cell(node))))
    return sorted(by_name, key=lambda node: -1 if (value := number(node)) is None else value, reverse=True)


def _text_key(text: str) -> tuple[bool, tuple[int, ...], str]:
    return not text, tuple(map(int, leading_numbers(text))), text
