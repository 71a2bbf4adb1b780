"""The figures of docs/reference/performance.md, docs/explanation/scale.md and README.md, from benchmarks/results.

A page has each generated part between two comments, so that the text around the part is written by hand.
"""

import json
import re
import statistics
from collections.abc import Iterable
from pathlib import Path

from benchmarks.faults.table import HEAD, load_rows, table_rows
from benchmarks.figures import SECTIONS
from benchmarks.report import Results, ratio_rows, rows_of, samples_of
from benchmarks.soak import LIMITS, measure_growth
from tests.tables import render_table

ROOT = Path(__file__).parent.parent
RESULTS = ROOT / "benchmarks" / "results"
SCALE, PAGE, README = (
    ROOT / "docs" / "explanation" / "scale.md",
    ROOT / "docs" / "reference" / "performance.md",
    ROOT / "README.md",
)
BEGIN, END = (
    "<!-- Begin of the figures. `make docs` writes them from benchmarks/results. -->\n",
    "<!-- End of the figures. -->\n",
)


def load_results(name: str) -> Results:
    """name: `bench`, `faults`, `scale` or `soak`."""
    results: Results = json.loads((RESULTS / f"{name}.json").read_text())
    return results


def replace_parts(page: str, *parts: str) -> str:
    """Replaces each text between the two comments, in order. Raises ValueError if the page does not have as many of them."""
    pattern = re.compile(f"({re.escape(BEGIN)}).*?({re.escape(END)})", re.DOTALL)
    if len(pattern.findall(page)) != len(parts):
        raise ValueError(f"a page must have {len(parts)} parts between {BEGIN.strip()} and {END.strip()}")
    rest = iter(parts)
    return pattern.sub(lambda found: f"{found[1]}{next(rest)}{found[2]}", page)


def render_origin(results: Results) -> str:
    """Returns where the results are from, and whether they lack parts. Earlier results do not have all facts of the machine."""
    machine, sentences = results.get("machine", {}), list[str]()
    programs = (("gpunode", "gpunode"), ("Python", "python"), ("Linux", "kernel"))
    versions = ", ".join(f"{title} {machine[key]}" for title, key in programs if key in machine)
    if machine:
        measured = f"Measured on {machine['cpus']} shared cores, with a load of {machine['load']} at the start"
        sentences.append(f"{measured} ({versions})." if versions else f"{measured}.")
    if results.get("quick"):
        sentences.append("A quick run, with a part of each fault.")
    if not results.get("complete", True):
        sentences.append("The run is not complete.")
    return "".join(f"\n{sentence}" for sentence in sentences) + "\n" if sentences else ""


def render_figures(results: Results) -> str:
    """Returns the tables of all numbers beside their goals."""
    parts = [render_origin(results)]
    for title, numbers in SECTIONS.items():
        head = (title, "median (minimum to maximum)", "goal", "")
        parts.append(render_table(head, rows_of(numbers, samples_of(results))))
    if ratios := list(ratio_rows(results)):
        parts.append(render_table(("compared with another implementation", "ours", "theirs", "ratio"), ratios))
    return "\n".join(parts) + "\n"


def render_soak(results: Results) -> str:
    """Returns the table of `make soak`."""
    seconds = results["seconds"][-1]
    rows = (
        (name, f"{min(values):.1f} to {max(values):.1f}", f"{measure_growth(values):+.1f}", f"≤ {LIMITS[name]:g}")
        for name, values in results.items()
        if name in LIMITS
    )
    head = (f"all agents in one process, during {seconds:.0f} s of changes", "range", "growth", "limit")
    return f"{render_origin(results)}\n{render_table(head, rows)}\n"


def render_faults(results: Results) -> str:
    """Returns the table of `make faults`, and the first line of each problem."""
    rows = load_rows(results["rows"])
    table = render_table(HEAD, table_rows(rows))
    problems = ((row.fault, problem) for row in rows for problem in row.problems)
    return f"{render_origin(results)}\n{table}\n{_render_problems(problems)}"


def _render_problems(problems: Iterable[tuple[str, str]]) -> str:
    """Returns a list with the first line of each problem. problems: (part, problem)."""
    lines = [f"- {part}: {problem.strip().splitlines()[0]}\n" for part, problem in problems]
    return "".join([*lines, "\n"]) if lines else ""


def render_sentence(results: Results) -> str | None:
    """Returns the sentence of README.md. Returns None if the results do not have its figures."""
    samples = samples_of(results)
    keys = ("pss the three", "pss gpunode run", "pss gpu-exporter")
    if not samples.keys() >= set(keys):
        return None
    three, one, exporter = (f"{statistics.median(samples[key]):.0f}" for key in keys)
    return (
        f"The three agents together need {three} MiB of memory, or {one} MiB as one process. `gpu-exporter` needs {exporter} MiB more.\n"
        "[performance.md](docs/reference/performance.md) has all figures, and `make bench` measures them on your machine.\n"
    )


def render_scale(results: Results) -> str:
    """Returns the table of the phases of `make scale`, and the checks that failed."""
    agents = (
        f"With {results['nodes']} Nodes. The agents used {results['agents']:.0f} MiB and"
        f" {results['threads']} threads, and etcd {results['etcd']:.0f} MiB at the end. An hour took {results['hour']:.0f} s.\n\n"
    )
    head = (
        "phase",
        "s",
        "requests",
        "429",
        "per second, at most",
        "p50 and p99, s",
        "MiB sent",
        "MiB of the API server, etcd",
    )
    table = render_table(head, (_render_phase(phase) for phase in results["phases"]))
    problems = ((phase["title"], problem) for phase in results["phases"] for problem in phase["problems"])
    return f"{render_origin(results)}\n{agents}{table}\n{_render_problems(problems)}"


def _render_phase(phase: Results) -> tuple[str, ...]:
    memory = phase["memory"]
    delays = phase.get("delays")
    reached = f" (a Node has the change after {delays[0]:.1f} s, p99 {delays[1]:.1f} s)" if delays else ""
    return (
        f"{phase['title']}{reached}",
        f"{phase['seconds']:.1f}",
        ", ".join(f"{count} {verb}" for verb, count in sorted(phase["by_verb"].items())),
        str(phase["refused"]),
        f"{phase['peak']:.0f}",
        ", ".join(f"{verb} ≤ {p50:g}, {p99:g}" for verb, (p50, p99) in sorted(phase["latency"].items())),
        f"{phase['received'] / 2**20:.1f}",
        f"{memory['kube-apiserver']:.0f}, {memory['etcd']:.0f}",
    )


def render_pages() -> dict[Path, str]:
    """Returns the content of the pages that have figures. Results without the figures of README.md leave this page as it is."""
    results = load_results("bench")
    sentence = render_sentence(results)
    pages = {
        SCALE: replace_parts(SCALE.read_text(), render_scale(load_results("scale"))),
        PAGE: replace_parts(
            PAGE.read_text(),
            render_figures(results) + render_soak(load_results("soak")),
            render_faults(load_results("faults")),
        ),
    }
    return pages if sentence is None else {**pages, README: replace_parts(README.read_text(), sentence)}
