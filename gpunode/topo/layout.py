"""Computes the geometry of the picture: boxes of NUMA nodes and GPUs, NVLinks at their right, and PCIe paths at their left. PURE.

All numbers are pixels; y grows downwards. NVLinks from GPU to GPU are half ellipses: no two have the same ends, so none hides another.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from gpu_core.domain.inventory import Gpu, GpuUuid, PciPath
from gpunode.topo.columns import assign_columns
from gpunode.topo.links import Pair, Topology

MARGIN = 16.0
HEADER = 30.0
"""The height of the title of a NUMA node."""
GAP = 10.0
BOX_WIDTH = 330.0
BOX_HEIGHT = 64.0
GROUP_WIDTH = BOX_WIDTH + 2 * GAP
PORT_X = GAP + BOX_WIDTH
CHIP_WIDTH, CHIP_HEIGHT, CHIPS_IN_ROW = 86.0, 20.0, 3
BEND = 0.4
"""The width of a half ellipse, in parts of its height."""
LABEL = 34.0
"""The width of `NV18`, and the space before it."""
COLUMN = 18.0
"""The distance between two columns of lines."""
SWITCH_WIDTH = 30.0
NEAR = (PciPath.BOARD, PciPath.SWITCH, PciPath.SWITCHES, PciPath.HOST_BRIDGE)
"""Paths that are drawn. The box of a NUMA node shows the path NODE."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Rect:
    x: float
    y: float
    width: float
    height: float

    @property
    def right(self) -> float:
        return self.x + self.width

    @property
    def bottom(self) -> float:
        return self.y + self.height

    @property
    def middle(self) -> float:
        return self.y + self.height / 2


@dataclass(frozen=True, slots=True, kw_only=True)
class Box:
    """A GPU. chips: its MIG devices, in order."""

    gpu: Gpu
    rect: Rect
    chips: tuple[Rect, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Group:
    """A NUMA node; None if the kernel does not report the node."""

    numa: int | None
    rect: Rect
    boxes: tuple[Box, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Link:
    """The NVLinks of a pair. rect: of the half ellipse, whose ends are at the left corners."""

    pair: Pair
    rect: Rect


@dataclass(frozen=True, slots=True, kw_only=True)
class Switch:
    """NVSwitches, and the NVLinks of each GPU to them: horizontal lines from PORT_X at `y`."""

    rect: Rect
    taps: tuple[tuple[Gpu, float], ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Bracket:
    """GPUs with a common PCI ancestor: a vertical line at `x`, and a horizontal line to the box of each GPU at `ys`."""

    path: PciPath
    gpus: tuple[Gpu, ...]
    x: float
    ys: tuple[float, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Picture:
    """x: of the left edge. The boxes of the NUMA nodes begin at 0."""

    x: float
    width: float
    height: float
    groups: tuple[Group, ...]
    links: tuple[Link, ...]
    switches: tuple[Switch, ...]
    brackets: tuple[Bracket, ...]

    @property
    def boxes(self) -> tuple[Box, ...]:
        return tuple(box for group in self.groups for box in group.boxes)


def plan_picture(topology: Topology) -> Picture:
    groups = _place_groups(topology)
    boxes = {box.gpu.uuid: box for group in groups for box in group.boxes}
    links = tuple(_place_link(pair, boxes) for pair in topology.pairs if pair.direct)
    reach = max([GROUP_WIDTH, *(link.rect.right + LABEL for link in links)])
    switches = _place_switches(_cliques(topology), boxes, reach + COLUMN)
    brackets = tuple(_place_brackets(near_groups(topology), boxes))
    left = min((bracket.x for bracket in brackets), default=0.0) - MARGIN
    right = max([reach, *(each.rect.right for each in switches)]) + MARGIN
    return Picture(
        x=left,
        width=right - left,
        height=max((group.rect.bottom for group in groups), default=0.0) + MARGIN,
        groups=groups,
        links=links,
        switches=switches,
        brackets=brackets,
    )


def near_groups(topology: Topology) -> list[tuple[PciPath, tuple[Gpu, ...]]]:
    """Returns the groups of GPUs below each common ancestor, the nearest first. A group equal to a nearer one is omitted."""
    found: list[tuple[PciPath, tuple[Gpu, ...]]] = []
    for level, path in enumerate(NEAR):
        pairs = [pair for pair in topology.pairs if pair.path in NEAR[: level + 1]]
        for group in _connected(topology.gpus, pairs):
            if len(group) > 1 and all(group != earlier for _, earlier in found):
                found.append((path, group))
    return found


def _connected(gpus: Sequence[Gpu], pairs: Sequence[Pair]) -> Iterator[tuple[Gpu, ...]]:
    """Yields the groups of connected GPUs, in NVML's order."""
    group_of: dict[GpuUuid, frozenset[GpuUuid]] = {gpu.uuid: frozenset({gpu.uuid}) for gpu in gpus}
    for pair in pairs:
        joined = group_of[pair.one.uuid] | group_of[pair.other.uuid]
        group_of |= dict.fromkeys(joined, joined)
    for members in dict.fromkeys(group_of.values()):
        yield tuple(gpu for gpu in gpus if gpu.uuid in members)


def _cliques(topology: Topology) -> list[tuple[Gpu, ...]]:
    """Returns the GPUs of each set of NVSwitches."""
    cliques: dict[object, list[Gpu]] = {}
    for gpu in topology.gpus:
        if gpu.switch_links:
            cliques.setdefault(gpu.fabric, []).append(gpu)
    return [tuple(each) for each in cliques.values()]


def _place_groups(topology: Topology) -> tuple[Group, ...]:
    nodes: dict[int | None, list[Gpu]] = {}
    for gpu in sorted(topology.gpus, key=lambda each: (each.numa_node is None, each.numa_node or 0, each.index)):
        nodes.setdefault(gpu.numa_node, []).append(gpu)
    groups: list[Group] = []
    y = MARGIN
    for numa, gpus in nodes.items():
        boxes = tuple(_place_boxes(gpus, y + HEADER))
        rect = Rect(x=0.0, y=y, width=GROUP_WIDTH, height=boxes[-1].rect.bottom + GAP - y)
        groups.append(Group(numa=numa, rect=rect, boxes=boxes))
        y = rect.bottom + MARGIN
    return tuple(groups)


def _place_boxes(gpus: Sequence[Gpu], y: float) -> Iterator[Box]:
    for gpu in gpus:
        rows = -(-len(gpu.mig_devices) // CHIPS_IN_ROW)
        rect = Rect(x=GAP, y=y, width=BOX_WIDTH, height=BOX_HEIGHT + rows * (CHIP_HEIGHT + 4))
        yield Box(gpu=gpu, rect=rect, chips=tuple(_place_chips(len(gpu.mig_devices), rect)))
        y = rect.bottom + GAP


def _place_chips(count: int, box: Rect) -> Iterator[Rect]:
    for number in range(count):
        row, column = divmod(number, CHIPS_IN_ROW)
        x, y = box.x + 10 + column * (CHIP_WIDTH + 4), box.y + BOX_HEIGHT - 4 + row * (CHIP_HEIGHT + 4)
        yield Rect(x=x, y=y, width=CHIP_WIDTH, height=CHIP_HEIGHT)


def _place_link(pair: Pair, boxes: Mapping[GpuUuid, Box]) -> Link:
    top, bottom = sorted(boxes[gpu.uuid].rect.middle for gpu in (pair.one, pair.other))
    return Link(pair=pair, rect=Rect(x=PORT_X, y=top, width=(bottom - top) * BEND, height=bottom - top))


def _place_switches(cliques: Sequence[tuple[Gpu, ...]], boxes: Mapping[GpuUuid, Box], x: float) -> tuple[Switch, ...]:
    rects = [[boxes[gpu.uuid].rect for gpu in clique] for clique in cliques]
    spans = [(min(rect.y for rect in each), max(rect.bottom for rect in each)) for each in rects]
    return tuple(
        Switch(
            rect=Rect(x=x + column * (SWITCH_WIDTH + COLUMN), y=top, width=SWITCH_WIDTH, height=end - top),
            taps=tuple((gpu, boxes[gpu.uuid].rect.middle) for gpu in clique),
        )
        for clique, column, (top, end) in zip(cliques, assign_columns(spans, gap=GAP), spans, strict=True)
    )


def _place_brackets(near: Sequence[tuple[PciPath, tuple[Gpu, ...]]], boxes: Mapping[GpuUuid, Box]) -> Iterator[Bracket]:
    """The nearest path is next to the boxes."""
    rects = [[boxes[gpu.uuid].rect for gpu in gpus] for _, gpus in near]
    columns = assign_columns(
        [(min(each.y for each in group), max(each.bottom for each in group)) for group in rects], gap=0
    )
    for (path, gpus), group, column in zip(near, rects, columns, strict=True):
        part = (column + 1) / (max(columns) + 2)
        ys = tuple(sorted(rect.y + rect.height * part for rect in group))
        yield Bracket(path=path, gpus=gpus, x=-COLUMN * (column + 1), ys=ys)
