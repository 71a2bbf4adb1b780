"""Renders the topology as an SVG picture for light and dark pages. PURE.

Source: SVG 2; WAI-ARIA Graphics: an image has a title and a description. All texts are escaped, and control characters are replaced.
"""

import math
import textwrap
from collections.abc import Collection, Iterator, Sequence

from device_plugin.devices import Device
from gpunode.topo.allocation import Allocation
from gpunode.topo.layout import GAP, MARGIN, PORT_X, Box, Bracket, Group, Link, Picture, Rect, Switch, plan_picture
from gpunode.topo.links import TERMS, Topology, list_numbers
from gpunode.topo.shapes import draw_rect, draw_rotated, draw_text, escape, shorten

LINE = 18.0
LETTER = 6.0
"""The width of a letter of the legend."""
COLORS = """
.gpunode-page{fill:#ffffff} .gpunode-group{fill:#f6f8fa;stroke:#d1d9e0} .gpunode-box{fill:#ffffff;stroke:#818b98}
.gpunode-chip{fill:#eef2f6;stroke:#818b98} .gpunode-chosen{stroke:#0969da;stroke-width:3}
.gpunode-text{fill:#1f2328} .gpunode-small{fill:#59636e} .gpunode-link{stroke:#3f7d00} .gpunode-switch{fill:#e6f2d9;stroke:#3f7d00}
.gpunode-pci{stroke:#8250df} .gpunode-pci-text{fill:#8250df;stroke:#ffffff} .gpunode-link-text{fill:#3f7d00;stroke:#ffffff}
@media (prefers-color-scheme: dark) {
.gpunode-page{fill:#0d1117} .gpunode-group{fill:#151b23;stroke:#3d444d} .gpunode-box{fill:#0d1117;stroke:#7d8590}
.gpunode-chip{fill:#212830;stroke:#7d8590} .gpunode-chosen{stroke:#4493f8}
.gpunode-text{fill:#f0f6fc} .gpunode-small{fill:#9198a1} .gpunode-link{stroke:#85c53f} .gpunode-switch{fill:#1d2b10;stroke:#85c53f}
.gpunode-pci{stroke:#ab7df8} .gpunode-pci-text{fill:#ab7df8;stroke:#0d1117} .gpunode-link-text{fill:#85c53f;stroke:#0d1117}
}
"""
SHAPES = """
.gpunode-picture text{font-family:system-ui,-apple-system,"Segoe UI","Liberation Sans",sans-serif;font-size:13px}
.gpunode-picture :is(.gpunode-small,.gpunode-pci-text,.gpunode-link-text){font-size:11px} .gpunode-bold{font-weight:600}
.gpunode-link,.gpunode-pci{fill:none;stroke-linejoin:round} .gpunode-pci{stroke-width:1.5;stroke-dasharray:4 3}
.gpunode-pci-text,.gpunode-link-text{stroke-width:4;paint-order:stroke}
"""


def render_svg(topology: Topology, allocation: Allocation | None = None) -> str:
    """allocation: its devices are marked."""
    picture = plan_picture(topology)
    chosen = {*map(_uuid, allocation.devices)} if allocation else set()
    letters = int((picture.width - 2 * MARGIN) / LETTER)
    legend = [line for text in _legend(topology, picture, allocation) for line in textwrap.wrap(text, letters)]
    page = Rect(x=picture.x, y=0, width=picture.width, height=picture.height + LINE * len(legend) + MARGIN)
    lines = [
        _open(page),
        f'<title id="gpunode-title">{escape(_title(topology))}</title>',
        f'<desc id="gpunode-description">{escape(" ".join(_describe(topology, allocation)))}</desc>',
        f"<style>{SHAPES}{COLORS}</style>",
        draw_rect(page, "gpunode-page"),
        *(line for group in picture.groups for line in _render_group(group, topology, chosen)),
        *(line for bracket in picture.brackets for line in _render_bracket(bracket)),
        *(line for link in picture.links for line in _render_link(link)),
        *map(_label_link, picture.links),
        *(line for switch in picture.switches for line in _render_switch(switch)),
        *_render_legend(legend, page.x + MARGIN, picture.height),
        "</svg>",
    ]
    return "\n".join(lines) + "\n"


def _open(page: Rect) -> str:
    size = f'viewBox="{page.x:g} 0 {page.width:g} {page.height:g}" width="{page.width:g}" height="{page.height:g}"'
    text = 'role="img" aria-labelledby="gpunode-title gpunode-description"'
    return f'<svg xmlns="http://www.w3.org/2000/svg" class="gpunode-picture" {size} {text}>'


def _render_legend(legend: Sequence[str], x: float, y: float) -> Iterator[str]:
    for number, line in enumerate(legend):
        yield draw_text(x, y + LINE * (number + 1) - 6, line, "gpunode-small")


def _title(topology: Topology) -> str:
    count = len(topology.gpus)
    nodes = len({gpu.numa_node for gpu in topology.gpus} - {None})
    where = f" on {nodes} NUMA node{'s' if nodes > 1 else ''}" if nodes else ""
    return f"{count} GPU{'s' if count != 1 else ''}{where}"


def _describe(topology: Topology, allocation: Allocation | None) -> Iterator[str]:
    """Yields sentences for persons who do not see the picture."""
    for gpu in topology.gpus:
        where = "an unknown NUMA node" if gpu.numa_node is None else f"NUMA node {gpu.numa_node}"
        groups: dict[str, list[str]] = {}
        for other, pair in topology.pairs_of(gpu):
            groups.setdefault(pair.term, []).append(str(other.index))
        links = "".join(f", {term} to GPU {', '.join(numbers)}" for term, numbers in groups.items())
        yield f"GPU {gpu.index}, {gpu.model}, on {where}{links}."
    if allocation is not None:
        yield f"{_selection(allocation)}."


def _selection(allocation: Allocation) -> str:
    names = ", ".join(device.index for device in allocation.devices)
    return f"Selected for a request for {allocation.size} {allocation.resource}: {names}"


def _legend(topology: Topology, picture: Picture, allocation: Allocation | None) -> Iterator[str]:
    if picture.links or picture.switches:
        yield "Solid lines: NVLinks. NV4: 4 NVLinks."
    for path in dict.fromkeys(bracket.path for bracket in picture.brackets):
        yield f"Dashed lines: {TERMS[path][0]}. {TERMS[path][1]}."
    if allocation is not None:
        yield f"{_selection(allocation)}."
    for fault in topology.faults:
        yield f"GPU {fault.index} cannot be read."


def _render_group(group: Group, topology: Topology, chosen: Collection[str]) -> Iterator[str]:
    cpus = "" if group.numa is None else topology.cpus.get(group.numa, "")
    title = "NUMA node unknown" if group.numa is None else f"NUMA node {group.numa}" + (cpus and f", CPUs {cpus}")
    yield draw_rect(group.rect, "gpunode-group", radius=8)
    yield draw_text(group.rect.x + 10, group.rect.y + 20, shorten(title), "gpunode-text gpunode-bold")
    for box in group.boxes:
        yield from _render_box(box, chosen)


def _render_box(box: Box, chosen: Collection[str]) -> Iterator[str]:
    gpu, x, y = box.gpu, box.rect.x + 10, box.rect.y
    is_chosen = gpu.uuid in chosen
    yield f"<g><title>{escape(f'{gpu.name}, {gpu.model}')}</title>"
    yield draw_rect(box.rect, _class("gpunode-box", is_chosen), radius=6)
    yield draw_text(x, y + 20, f"GPU {gpu.index}{' (selected)' if is_chosen else ''}", "gpunode-text gpunode-bold")
    yield draw_text(x, y + 37, shorten(gpu.model), "gpunode-text")
    yield draw_text(x, y + 52, shorten(f"PCI {gpu.address}" if gpu.address else "not on a PCI bus"), "gpunode-small")
    for mig, chip in zip(gpu.mig_devices, box.chips, strict=True):
        yield f"<g><title>{escape(f'MIG device {gpu.index}:{mig.slot}, {mig.uuid}')}</title>"
        yield draw_rect(chip, _class("gpunode-chip", mig.uuid in chosen), radius=4)
        yield (
            draw_text(chip.x + chip.width / 2, chip.y + 14, mig.profile or "?", "gpunode-small", anchor="middle")
            + "</g>"
        )
    yield "</g>"


def _render_link(link: Link) -> Iterator[str]:
    pair, rect = link.pair, link.rect
    yield f"<g><title>GPU {pair.one.index} and GPU {pair.other.index}: {pair.direct} NVLinks</title>"
    path = f"M{rect.x:g} {rect.y:g}A{rect.width:g} {rect.height / 2:g} 0 0 1 {rect.x:g} {rect.bottom:g}"
    yield f'<path class="gpunode-link" stroke-width="{_width(pair.direct):g}" d="{path}"/>'
    yield "</g>"


def _label_link(link: Link) -> str:
    return draw_text(link.rect.right - 8, link.rect.middle + 4, f"NV{link.pair.direct}", "gpunode-link-text")


def _render_switch(switch: Switch) -> Iterator[str]:
    rect = switch.rect
    gpus = tuple(gpu for gpu, _ in switch.taps)
    yield f"<g><title>NVSwitches of {list_numbers(gpus)}</title>"
    for gpu, y in switch.taps:
        path = f"M{PORT_X:g} {y:g}H{rect.x:g}"
        yield f'<path class="gpunode-link" stroke-width="{_width(gpu.switch_links):g}" d="{path}"/>'
        yield draw_text(PORT_X - 6, y + 4, f"NV{gpu.switch_links}", "gpunode-small", anchor="end")
    yield draw_rect(rect, "gpunode-switch", radius=6)
    yield draw_rotated(rect.x + rect.width / 2 + 4, rect.y + rect.height / 2, "NVSwitch", "gpunode-text") + "</g>"


def _render_bracket(bracket: Bracket) -> Iterator[str]:
    first, last = bracket.ys[0], bracket.ys[-1]
    term, meaning = TERMS[bracket.path]
    taps = "".join(f"M{bracket.x:g} {y:g}H{GAP:g}" for y in bracket.ys)
    yield f"<g><title>{term}, {list_numbers(bracket.gpus)}: {meaning}</title>"
    yield f'<path class="gpunode-pci" d="M{bracket.x:g} {first:g}V{last:g}{taps}"/>'
    yield draw_rotated(bracket.x - 4, (first + last) / 2, term, "gpunode-pci-text") + "</g>"


def _width(links: int) -> float:
    """Returns the width of the line for a number of NVLinks: 1.5 pixels for one, 6.4 for 18."""
    return round(1.5 * math.sqrt(links), 1)


def _uuid(device: Device) -> str:
    """Returns the UUID of the GPU or MIG device. The id of a device can have another form."""
    return device.gpu if device.gpu_instance is None else device.uuid


def _class(style: str, is_chosen: bool) -> str:
    return f"{style} gpunode-chosen" if is_chosen else style
