"""Reads files with values: recognises their chart, and merges the files of each chart as Helm does."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import reduce
from typing import Any

from gpunode.migrate.charts import Chart
from gpunode.migrate.correspondence import Correspondence
from gpunode.migrate.draft import merge
from node_core.decode import Document, parse_yaml, read_input, value_at
from node_core.errors import SettingsError
from node_core.schema import found, similar

POLICY, SPEC = "ClusterPolicy", "spec"
HEADINGS = frozenset({"USER-SUPPLIED VALUES", "COMPUTED VALUES"})
"""The first line of `helm get values` without `-o yaml`."""
VALUES_OF = {"HelmRelease": "spec.values", "Application": "spec.source.helm.valuesObject"}
"""Kind of an object of other programs -> the field with values of a chart."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Source:
    """The values of one chart. prefix: of all paths, `spec.` for a ClusterPolicy. shown: what the values are from."""

    chart: Chart
    values: Mapping[str, Any]
    prefix: str = ""

    @property
    def shown(self) -> str:
        return "a ClusterPolicy" if self.prefix else self.chart.shown

    def path(self, path: str) -> str:
        return f"{self.prefix}{path}"

    def at(self, path: str) -> Any:
        return value_at(self.values, path)


def read_sources(files: Sequence[str], chart: Chart | None = None) -> tuple[Source, ...]:
    """Returns the values of each chart. Later files take precedence. chart: None to recognise the chart. Raises SettingsError."""
    parsed = _parse_all([*dict.fromkeys(files)])
    charts = _assign({file: _charts(values, chart) for file, (values, is_policy) in parsed.items() if not is_policy})
    groups: dict[tuple[Chart, str], list[Mapping[str, Any]]] = {}
    for file, (values, is_policy) in parsed.items():
        key = (Chart.GPU_OPERATOR, f"{SPEC}.") if is_policy else (charts[file], "")
        groups.setdefault(key, []).append(values)
    return tuple(
        Source(chart=of, values=reduce(merge, values), prefix=prefix) for (of, prefix), values in groups.items()
    )


def unknown_paths(values: Mapping[str, Any], rows: Sequence[Correspondence]) -> Iterator[str]:
    """Yields the paths of values that a chart does not have."""
    paths = {row.path for row in rows}
    sections = {path[:end] for path in paths for end, letter in enumerate(path) if letter == "."}

    def walk(section: Mapping[str, Any], prefix: str) -> Iterator[str]:
        for key, value in section.items():
            path = f"{prefix}{key}"
            if path in paths:
                continue
            if path not in sections:
                yield path
            elif isinstance(value, Mapping):
                yield from walk(value, f"{path}.")

    return walk(values, "")


def with_nearest(path: str, rows: Sequence[Correspondence]) -> str:
    """Adds the nearest name that the chart has in the same section, if one is similar."""
    section, dot, name = path.rpartition(".")
    prefix = f"{section}{dot}"
    names = {each.path.removeprefix(prefix).partition(".")[0] for each in rows if each.path.startswith(prefix)}
    near = similar(name, sorted(names))
    return path if near is None else f"{path} (did you mean {prefix}{near}?)"


def _parse_all(files: Sequence[str]) -> dict[str, tuple[Mapping[str, Any], bool]]:
    """Returns the values in each file, and whether they are the spec of a ClusterPolicy. Raises SettingsError."""
    parsed: dict[str, tuple[Mapping[str, Any], bool]] = {}
    problems: list[str] = []
    for file in files:
        try:
            parsed[file] = _parse(read_input(file))
        except SettingsError as error:
            problems += error.problems
    if problems:
        raise SettingsError(problems)
    return parsed


def _parse(document: Document) -> tuple[Mapping[str, Any], bool]:
    data, source = parse_yaml(document), document.source
    if not isinstance(data, Mapping):
        raise SettingsError([f"{source}: expected a mapping of values, found {found(data)}"])
    if not isinstance(data.get("kind"), str) or not isinstance(data.get("apiVersion"), str):
        return {key: value for key, value in data.items() if key not in HEADINGS}, False
    return _policy(data, source), True


def _policy(data: Mapping[str, Any], source: str) -> Mapping[str, Any]:
    """Returns the spec of the only ClusterPolicy in an object. Raises SettingsError."""
    items = data.get("items")
    objects = [data] if not isinstance(items, list) else [each for each in items if isinstance(each, Mapping)]
    policies = [each for each in objects if each.get("kind") == POLICY]
    if not policies:
        kind = str(data["kind"])
        where = f" Write its {VALUES_OF[kind]} to a file." if kind in VALUES_OF else ""
        raise SettingsError([f"{source}: contains {kind}, but no {POLICY} and no values of a chart.{where}"])
    if len(policies) > 1:
        names = ", ".join(str(value_at(each, "metadata.name")) for each in policies)
        raise SettingsError(
            [f"{source}: contains {len(policies)} {POLICY} objects ({names}). Write one of them to a file"]
        )
    spec = policies[0].get(SPEC)
    if not isinstance(spec, Mapping):
        raise SettingsError([f"{source}: {SPEC}: must be a mapping, found {found(spec)}"])
    return spec


def _charts(values: Mapping[str, Any], chart: Chart | None) -> list[Chart]:
    """Returns the charts that know most of the values: one, or several if the values are in each of them, or none."""
    if chart is not None:
        return [chart]
    unknown = {each: len([*unknown_paths(values, each.rows)]) for each in Chart}
    known = {each for each in Chart if _has_section(values, each)}
    least = min((unknown[each] for each in known), default=0)
    return [each for each in Chart if each in known and unknown[each] == least]


def _has_section(values: Mapping[str, Any], chart: Chart) -> bool:
    tops = {row.path.partition(".")[0] for row in chart.rows}
    return any(key in tops for key in values)


def _assign(candidates: Mapping[str, Sequence[Chart]]) -> dict[str, Chart]:
    """Returns the chart of each file. A file with values that several charts have belongs to the chart of the other files."""
    certain = {each[0] for each in candidates.values() if len(each) == 1}
    charts: dict[str, Chart] = {}
    problems: list[str] = []
    for file, charts_of_file in candidates.items():
        likely = [each for each in charts_of_file if each in certain] or charts_of_file
        if len(likely) == 1:
            charts[file] = likely[0]
        elif not likely:
            known = ", ".join(each.shown for each in Chart)
            problems.append(
                f"{file}: has no values that a known chart has ({known}). Use `helm get values --all`, or --from"
            )
        else:
            problems.append(
                f"{file}: the charts {' and '.join(likely)} have these values. Use --from {' or --from '.join(likely)}"
            )
    if problems:
        raise SettingsError(problems)
    return charts
