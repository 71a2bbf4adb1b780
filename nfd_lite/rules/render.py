"""What `nfd-lite rules` prints: traces of rules as aligned text. Pure; colours are terminal codes that click takes out of files."""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass

import click

from nfd_lite.rules.explain import GroupTrace, RuleTrace, TermTrace
from node_core.domain.text import plain

_VERDICTS = {True: ("yes", "green"), False: ("no", "red"), None: ("error", "yellow")}
_TITLES = {True: ("matched", "green"), False: ("not matched", "red"), None: ("failed", "yellow")}
_WIDEST = 60


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """verdict: None for an error."""

    left: str
    verdict: bool | None
    right: str = ""


def render_traces(traces: Iterable[RuleTrace]) -> str:
    """One paragraph for each rule."""
    return "\n".join(map(render_trace, traces))


def render_trace(trace: RuleTrace) -> str:
    title, colour = _TITLES[trace.matched]
    name, rule = plain(trace.set_name), click.style(plain(trace.rule), bold=True)
    head = f"{name} / {rule}: {click.style(title, fg=colour)}"
    return "".join(f"{line}\n" for line in (head, *_conditions(trace), *_outputs(trace), *_problems(trace)))


def _conditions(trace: RuleTrace) -> Iterator[str]:
    rows = tuple(_rows(trace))
    width = min(max((len(row.left) for row in rows), default=0), _WIDEST)
    for row in rows:
        word, colour = _VERDICTS[row.verdict]
        verdict = click.style(f"{word:<5}" if row.right else word, fg=colour)
        yield f"  {plain(row.left):<{width}}  {verdict}  {plain(row.right)}".rstrip()


def _rows(trace: RuleTrace) -> Iterator[Row]:
    if trace.match_features is not None:
        yield from _group("matchFeatures", trace.match_features)
    for number, group in enumerate(trace.match_any):
        yield from _group(f"matchAny[{number}]", group)


def _group(name: str, group: GroupTrace) -> Iterator[Row]:
    yield Row(left=name, verdict=group.matched)
    for term in group.terms:
        yield from _term(term)


def _term(term: TermTrace) -> Iterator[Row]:
    yield Row(left=f"  {term.feature}", verdict=term.matched, right=term.why)
    width = max((len(each.name or "matchName") for each in term.expressions), default=0)
    for each in term.expressions:
        left = f"    {each.name or 'matchName':<{width}}  {each.asks}"
        yield Row(left=left, verdict=each.holds, right=each.seen)


def _outputs(trace: RuleTrace) -> Iterator[str]:
    made = trace.made
    yield from _pairs("labels", made.labels)
    yield from _pairs("annotations", made.annotations)
    yield from _list("taints", map(str, made.taints))
    yield from _pairs("extended resources", made.extended_resources)
    yield from _pairs("variables", made.vars)


def _pairs(title: str, values: Mapping[str, str]) -> Iterator[str]:
    return _list(title, (f"{key}={value}" for key, value in values.items()))


def _problems(trace: RuleTrace) -> Iterator[str]:
    yield from _list("problems", (problem.why for problem in trace.problems if problem.key is None))
    yield from _list("left out", (f"{problem.key}: {problem.why}" for problem in trace.problems if problem.key))


def _list(title: str, lines: Iterable[str]) -> Iterator[str]:
    shown = [f"    {plain(line)}" for line in lines]
    return iter([f"  {title}", *shown] if shown else [])
