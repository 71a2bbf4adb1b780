"""Computes the geometry of the picture: boxes of NUMA nodes and GPUs, NVLinks at their right, and PCIe paths at their left. PURE.

All numbers are pixels; y grows downwards. Each link has its own ports at the boxes and its own lane, so that no two lines share a segment.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from gpu_core.domain.inventory import Gpu, GpuUuid, PciPath
from gpunode.topo.lanes import assign_lanes
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
PORT = 13.0
"""The distance between two ports of a box."""
LANE = 18.0
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
    """The NVLinks of a pair: from the box at `x` to the lane at `lane`, and back. ys: of both ends."""

    pair: Pair
    x: float
    lane: float
    ys: tuple[float, float]


@dataclass(frozen=True, slots=True, kw_only=True)
class Switch:
    """NVSwitches, and the NVLinks of each GPU to them: GPU -> y of a horizontal line from `x`."""

    rect: Rect
    x: float
    taps: tuple[tuple[Gpu, float], ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Bracket:
    """GPUs with a common PCI ancestor: a vertical line at `lane`, and a horizontal line to `x` at each of `ys`."""

    path: PciPath
    gpus: tuple[Gpu, ...]
    lane: float
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
    direct, cliques = [each for each in topology.pairs if each.direct], _cliques(topology)
    ports = _Ports(boxes, direct, cliques)
    links = _place_links(direct, ports)
    switches = _place_switches(cliques, ports, boxes, max((link.lane for link in links), default=GROUP_WIDTH))
    brackets = tuple(_place_brackets(near_groups(topology), boxes))
    left = min((bracket.lane for bracket in brackets), default=0.0) - MARGIN
    right = max([GROUP_WIDTH, *(link.lane for link in links), *(each.rect.right for each in switches)]) + MARGIN
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
    ports = _count_ports(topology)
    nodes: dict[int | None, list[Gpu]] = {}
    for gpu in sorted(topology.gpus, key=lambda each: (each.numa_node is None, each.numa_node or 0, each.index)):
        nodes.setdefault(gpu.numa_node, []).append(gpu)
    groups: list[Group] = []
    y = MARGIN
    for numa, gpus in nodes.items():
        boxes = tuple(_place_boxes(gpus, ports, y + HEADER))
        rect = Rect(x=0.0, y=y, width=GROUP_WIDTH, height=boxes[-1].rect.bottom + GAP - y)
        groups.append(Group(numa=numa, rect=rect, boxes=boxes))
        y = rect.bottom + MARGIN
    return tuple(groups)


def _place_boxes(gpus: Sequence[Gpu], ports: Mapping[GpuUuid, int], y: float) -> Iterator[Box]:
    for gpu in gpus:
        rows = -(-len(gpu.mig_devices) // CHIPS_IN_ROW)
        height = max(BOX_HEIGHT + rows * (CHIP_HEIGHT + 4), PORT * (ports[gpu.uuid] + 1))
        rect = Rect(x=GAP, y=y, width=BOX_WIDTH, height=height)
        yield Box(gpu=gpu, rect=rect, chips=tuple(_place_chips(len(gpu.mig_devices), rect)))
        y = rect.bottom + GAP


def _place_chips(count: int, box: Rect) -> Iterator[Rect]:
    for number in range(count):
        row, column = divmod(number, CHIPS_IN_ROW)
        x, y = box.x + 10 + column * (CHIP_WIDTH + 4), box.y + BOX_HEIGHT - 4 + row * (CHIP_HEIGHT + 4)
        yield Rect(x=x, y=y, width=CHIP_WIDTH, height=CHIP_HEIGHT)


def _count_ports(topology: Topology) -> dict[GpuUuid, int]:
    return {
        gpu.uuid: sum(pair.direct > 0 for _, pair in topology.pairs_of(gpu)) + (gpu.switch_links > 0)
        for gpu in topology.gpus
    }


class _Ports:
    """The y of each link at the right edge of each box, ordered by the position of the other end, so that few lines cross."""

    def __init__(
        self, boxes: Mapping[GpuUuid, Box], direct: Sequence[Pair], cliques: Sequence[tuple[Gpu, ...]]
    ) -> None:
        self._ys: dict[tuple[GpuUuid, object], float] = {}
        for uuid, box in boxes.items():
            others = [pair.other if pair.one.uuid == uuid else pair.one for pair in direct if uuid in _ends(pair)]
            keys: list[object] = [other.uuid for other in sorted(others, key=lambda gpu: boxes[gpu.uuid].rect.y)]
            keys += [None for clique in cliques if box.gpu in clique]
            step = box.rect.height / (len(keys) + 1)
            self._ys |= {(uuid, key): box.rect.y + step * (number + 1) for number, key in enumerate(keys)}

    def to_gpu(self, gpu: Gpu, other: Gpu) -> float:
        return self._ys[gpu.uuid, other.uuid]

    def to_switch(self, gpu: Gpu) -> float:
        return self._ys[gpu.uuid, None]


def _ends(pair: Pair) -> tuple[GpuUuid, GpuUuid]:
    return pair.one.uuid, pair.other.uuid


def _place_links(direct: Sequence[Pair], ports: _Ports) -> tuple[Link, ...]:
    ends = [(ports.to_gpu(pair.one, pair.other), ports.to_gpu(pair.other, pair.one)) for pair in direct]
    lanes = assign_lanes([(min(each), max(each)) for each in ends], gap=PORT)
    return tuple(
        Link(pair=pair, x=PORT_X, lane=GROUP_WIDTH + LANE * (lane + 1), ys=ys)
        for pair, lane, ys in zip(direct, lanes, ends, strict=True)
    )


def _place_switches(
    cliques: Sequence[tuple[Gpu, ...]], ports: _Ports, boxes: Mapping[GpuUuid, Box], right: float
) -> tuple[Switch, ...]:
    rects = [[boxes[gpu.uuid].rect for gpu in clique] for clique in cliques]
    spans = [(min(rect.y for rect in each), max(rect.bottom for rect in each)) for each in rects]
    return tuple(
        Switch(
            rect=Rect(x=right + 2 * LANE + lane * (SWITCH_WIDTH + LANE), y=top, width=SWITCH_WIDTH, height=end - top),
            x=PORT_X,
            taps=tuple((gpu, ports.to_switch(gpu)) for gpu in clique),
        )
        for clique, lane, (top, end) in zip(cliques, assign_lanes(spans, gap=GAP), spans, strict=True)
    )


def _place_brackets(near: Sequence[tuple[PciPath, tuple[Gpu, ...]]], boxes: Mapping[GpuUuid, Box]) -> Iterator[Bracket]:
    """The nearest path is next to the boxes."""
    rects = [[boxes[gpu.uuid].rect for gpu in gpus] for _, gpus in near]
    lanes = assign_lanes(
        [(min(each.y for each in group), max(each.bottom for each in group)) for group in rects], gap=0
    )
    for (path, gpus), group, lane in zip(near, rects, lanes, strict=True):
        part = (lane + 1) / (max(lanes) + 2)
        ys = tuple(sorted(rect.y + rect.height * part for rect in group))
        yield Bracket(path=path, gpus=gpus, lane=-LANE * (lane + 1), x=GAP, ys=ys)
