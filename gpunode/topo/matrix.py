"""Renders the links as a matrix with a legend. In a terminal that is too narrow for the matrix, renders a list. PURE."""

from collections.abc import Iterator, Sequence

from gpu_core.domain.inventory import Gpu
from gpunode.output.paragraph import render_paragraph
from gpunode.output.table import EMPTY, Column, TableWriter
from gpunode.output.terminal import Cell, Styled, Terminal, text_of
from gpunode.topo.links import NVLINK, SELF, TERMS, Topology, list_numbers

MIG_NOTE = "in MIG mode. MIG devices cannot use NVLinks."


def render_matrix(topology: Topology, terminal: Terminal) -> list[str]:
    """Returns the lines for a terminal of this width."""
    columns, rows = _columns(topology), [_row(topology, gpu) for gpu in topology.gpus]
    width = max(map(len, TableWriter(Terminal(), columns).render(rows)), default=0)
    is_narrow = width > terminal.width
    links = _list(topology, terminal) if is_narrow else TableWriter(terminal, columns).render(rows)
    return [*links, *_notes(topology, terminal), "", *_legend(topology, terminal)]


def name_of(gpu: Gpu) -> str:
    """Returns the name of a row or column, as nvidia-smi writes it."""
    return f"GPU{gpu.index}"


def _columns(topology: Topology) -> list[Column]:
    names = [" ", *map(name_of, topology.gpus), "NUMA", *(["CPUS"] if topology.cpus else [])]
    return [Column(header=name) for name in names]


def _row(topology: Topology, gpu: Gpu) -> Sequence[Cell]:
    terms = {other.uuid: pair.term for other, pair in topology.pairs_of(gpu)}
    links = [terms.get(other.uuid, SELF) for other in topology.gpus]
    return [Styled(name_of(gpu), "bold"), *links, _numa(gpu), *([_cpus(topology, gpu)] if topology.cpus else [])]


def _numa(gpu: Gpu) -> str:
    return EMPTY if gpu.numa_node is None else str(gpu.numa_node)


def _cpus(topology: Topology, gpu: Gpu) -> str:
    return EMPTY if gpu.numa_node is None else topology.cpus.get(gpu.numa_node, EMPTY)


def _list(topology: Topology, terminal: Terminal) -> Iterator[str]:
    """Yields each GPU, and below it each term with the GPUs that it leads to."""
    for gpu in topology.gpus:
        where = f"NUMA {_numa(gpu)}" + (f", CPUs {_cpus(topology, gpu)}" if topology.cpus else "")
        yield f"{terminal.render(Styled(name_of(gpu), 'bold'))} {text_of(where)}"
        groups: dict[str, list[str]] = {}
        for other, pair in topology.pairs_of(gpu):
            groups.setdefault(pair.term, []).append(name_of(other))
        for term, names in groups.items():
            yield from _render_term(term, " ".join(names), terminal)


def _notes(topology: Topology, terminal: Terminal) -> Iterator[str]:
    for fault in topology.faults:
        yield from render_paragraph(terminal, f"{fault.name} cannot be read: {fault.reason}")
    if gpus := topology.mig_gpus_with_nvlinks:
        yield from render_paragraph(terminal, f"{list_numbers(gpus)} {'are' if len(gpus) > 1 else 'is'} {MIG_NOTE}")


def _legend(topology: Topology, terminal: Terminal) -> Iterator[str]:
    """Yields each term that occurs, and what it means. The fastest links are first."""
    yield terminal.render(Styled("Legend:", "bold"))
    yield from _render_term(SELF, "the GPU itself", terminal)
    if any(pair.nvlinks for pair in topology.pairs):
        yield from _render_term(f"{NVLINK}#", "# NVLinks, from GPU to GPU or through NVSwitches", terminal)
    used = {pair.path for pair in topology.pairs if not pair.nvlinks}
    for path, (term, meaning) in TERMS.items():
        if path in used:
            yield from _render_term(term, meaning, terminal)


def _render_term(term: str, meaning: str, terminal: Terminal) -> list[str]:
    return render_paragraph(terminal, meaning, first=f"  {term}", indent=7)
