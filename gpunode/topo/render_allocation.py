"""Renders which devices a request gets, and why. PURE."""

from collections import Counter
from collections.abc import Iterator, Sequence

from device_plugin.devices import Device
from device_plugin.plan.link_weights import NVLINK_WEIGHT, PATH_WEIGHTS
from gpunode.output.paragraph import render_paragraph
from gpunode.output.table import Column, TableWriter
from gpunode.output.terminal import Cell, Terminal
from gpunode.topo.allocation import Allocation
from gpunode.topo.links import TERMS, Pair, Topology

DEVICES = (Column(header="DEVICE"), Column(header="NUMA"), Column(header="ID", priority=1))
LINKS = (Column(header="PAIRS"), Column(header="LINK"), Column(header="SCORE"))
UNAVAILABLE = (Column(header="NOT AVAILABLE"), Column(header="WHY"))
WHERE = {"packed": "with the most", "distributed": "with the fewest"}
SPREAD = {
    "pack": "as few GPUs as possible (policy `packed`)",
    "spread": "as many GPUs as possible (policy `distributed`)",
}
WEIGHTS = (
    f"Each NVLink of a pair adds {NVLINK_WEIGHT} to the score. The PCIe path adds"
    f" {', '.join(f'{PATH_WEIGHTS[path]} ({term})' for path, (term, _) in reversed(TERMS.items()))}."
)


def render_allocation(allocation: Allocation, topology: Topology, terminal: Terminal) -> list[str]:
    rows = [_row(device) for device in allocation.devices]
    lines = [f"A request for {allocation.size} {allocation.resource} gets:", ""]
    lines += TableWriter(terminal, DEVICES).render(rows)
    lines += ["", *(line for sentence in explain(allocation) for line in render_paragraph(terminal, sentence))]
    if groups := count_links(allocation, topology):
        lines += ["", *TableWriter(terminal, LINKS).render([_link_row(pair, count) for pair, count in groups])]
        lines += ["", *render_paragraph(terminal, WEIGHTS)]
    if allocation.unavailable:
        missing = [(short_name(device), why) for device, why in allocation.unavailable]
        lines += ["", *TableWriter(terminal, UNAVAILABLE).render(missing)]
    return lines


def explain(allocation: Allocation) -> Iterator[str]:
    """Yields sentences."""
    count, size = len(allocation.available), allocation.size
    if count == size:
        yield f"These are all {count} available devices."
    elif allocation.method == "replicas":
        yield f"These replicas are of the devices {WHERE[allocation.policy]} replicas in use (policy `{allocation.policy}`)."
    elif allocation.method in SPREAD:
        yield f"These MIG devices are of {SPREAD[allocation.method]}."
    else:
        yield f"The link score of these devices is {allocation.score}. The plugin found no set of {size} with a higher link score."
        if count - size > 1:
            yield f"For equal sets, the score between the other {count - size} available devices decides: {allocation.left_score}."


def count_links(allocation: Allocation, topology: Topology) -> list[tuple[Pair, int]]:
    """Returns one pair for each kind of link between the selected GPUs, and the number of pairs of this kind."""
    if allocation.method != "links":
        return []
    gpus = {device.gpu for device in allocation.devices}
    inside = [pair for pair in topology.pairs if {pair.one.uuid, pair.other.uuid} <= gpus]
    kinds = {(pair.term, pair.path): pair for pair in reversed(inside)}
    counts = Counter((pair.term, pair.path) for pair in inside)
    return sorted(((kinds[kind], count) for kind, count in counts.items()), key=lambda each: -each[0].weight)


def short_name(device: Device) -> str:
    """Returns `GPU 3`, `GPU 3, replica 1` or `MIG device 3:0 (1g.10gb)`."""
    profile = f" ({device.profile})" if device.profile else ""
    replica = "" if device.replica is None else f", replica {device.replica}"
    return f"{'GPU' if device.gpu_instance is None else 'MIG device'} {device.index}{profile}{replica}"


def _row(device: Device) -> Sequence[Cell]:
    return short_name(device), "" if device.numa_node is None else str(device.numa_node), device.id


def _link_row(pair: Pair, count: int) -> Sequence[Cell]:
    path = TERMS[pair.path][0]
    link = f"{pair.term} + {path}" if pair.nvlinks else path
    score = str(pair.weight) if count == 1 else f"{count} x {pair.weight} = {count * pair.weight}"
    return str(count), link, score
