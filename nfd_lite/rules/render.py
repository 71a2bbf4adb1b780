"""Renders traces of rules as aligned text, for `nfd-lite rules test`. PURE. Click removes the colour codes if the output is a file."""

from collections.abc import Iterable, Iterator, Mapping

import click
import msgspec

from nfd_lite.rules.explain import GroupTrace, RuleTrace, TermTrace
from node_core.domain.text import to_printable

_RESULTS = {True: ("yes", "green"), False: ("no", "red"), None: ("error", "yellow")}
_TITLES = {True: ("matched", "green"), False: ("not matched", "red"), None: ("failed", "yellow")}
_WIDEST = 60


class Row(msgspec.Struct, frozen=True, kw_only=True):
    """result: None for an error."""

    left: str
    result: bool | None
    right: str = ""


def render_traces(traces: Iterable[RuleTrace]) -> str:
    """Renders one paragraph for each rule."""
    return "\n".join(map(render_trace, traces))


def render_trace(trace: RuleTrace) -> str:
    title, colour = _TITLES[trace.matched]
    name, rule = to_printable(trace.set_name), click.style(to_printable(trace.rule), bold=True)
    head = f"{name} / {rule}: {click.style(title, fg=colour)}"
    return "".join(f"{line}\n" for line in (head, *_conditions(trace), *_outputs(trace), *_problems(trace)))


def _conditions(trace: RuleTrace) -> Iterator[str]:
    rows = tuple(_rows(trace))
    width = min(max((len(row.left) for row in rows), default=0), _WIDEST)
    for row in rows:
        word, colour = _RESULTS[row.result]
        result = click.style(f"{word:<5}" if row.right else word, fg=colour)
        yield f"  {to_printable(row.left):<{width}}  {result}  {to_printable(row.right)}".rstrip()


def _rows(trace: RuleTrace) -> Iterator[Row]:
    if trace.match_features is not None:
        yield from _group("matchFeatures", trace.match_features)
    for number, group in enumerate(trace.match_any):
        yield from _group(f"matchAny[{number}]", group)


def _group(name: str, group: GroupTrace) -> Iterator[Row]:
    yield Row(left=name, result=group.matched)
    for term in group.terms:
        yield from _term(term)


def _term(term: TermTrace) -> Iterator[Row]:
    yield Row(left=f"  {term.feature}", result=term.matched, right=term.why)
    width = max((len(each.name or "matchName") for each in term.expressions), default=0)
    for each in term.expressions:
        left = f"    {each.name or 'matchName':<{width}}  {each.condition}"
        yield Row(left=left, result=each.matched, right=each.observed)


def _outputs(trace: RuleTrace) -> Iterator[str]:
    outputs = trace.outputs
    yield from _pairs("labels", outputs.labels)
    yield from _pairs("annotations", outputs.annotations)
    yield from _list("taints", map(str, outputs.taints))
    yield from _pairs("extended resources", outputs.extended_resources)
    yield from _pairs("variables", outputs.vars)


def _pairs(title: str, values: Mapping[str, str]) -> Iterator[str]:
    return _list(title, (f"{key}={value}" for key, value in values.items()))


def _problems(trace: RuleTrace) -> Iterator[str]:
    yield from _list("problems", (problem.why for problem in trace.problems if problem.is_failure))
    yield from _list("refused outputs", (f"{problem.key}: {problem.why}" for problem in trace.problems if problem.key))
    yield from _list("warnings", (problem.why for problem in trace.problems if problem.is_warning))


def _list(title: str, lines: Iterable[str]) -> Iterator[str]:
    shown = [f"    {to_printable(line)}" for line in lines]
    return iter([f"  {title}", *shown] if shown else [])
