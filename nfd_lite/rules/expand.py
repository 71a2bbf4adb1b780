"""Expands the templates of a rule, which write `key=value` lines."""

from collections.abc import Callable, Sequence
from functools import lru_cache
from typing import TYPE_CHECKING, Any

from gotemplate.errors import TemplateError
from nfd_lite.rules.expression import RuleError
from nfd_lite.rules.match import Match

if TYPE_CHECKING:
    from gotemplate.template import Template


def expand(
    template: str, matches: Sequence[Match], *, field: str, spend: Callable[[int], None] = lambda _: None
) -> dict[str, str]:
    """Runs a template once for each match and returns the pairs; a later pair wins. Raises RuleError.

    field: the name of the template's field, for messages. spend: called with the number of steps of each run; may raise RuleError.
    """
    if not template:
        return {}
    lines: list[str] = []
    try:
        for matched in matches:
            # The steps to build the data, and to parse the template again if the cache has dropped it.
            spend(len(template) + sum(map(len, matched.values())))
            lines += compile_template(template).render(template_data(matched), report_steps=spend).split("\n")
    except TemplateError as error:
        raise RuleError(f"{field}: {error}") from error
    return dict(_pair(line, field) for line in map(str.strip, lines) if line)


@lru_cache(maxsize=512)
def compile_template(template: str) -> "Template":
    """Parses a template. Raises TemplateError."""
    from gotemplate.template import parse_template  # noqa: PLC0415 - saves memory on nodes without templates

    return parse_template(template)


def _pair(line: str, field: str) -> tuple[str, str]:
    key, equals, value = line.partition("=")
    if not equals:
        raise RuleError(f"{field}: the template wrote {line[:80]!r}, which is not key=value")
    return key, value


def template_data(matched: Match) -> dict[str, Any]:
    """Returns the data of a template: the feature `pci.device`, in the spelling of the rule, is `.pci.device`."""
    data: dict[str, Any] = {}
    for feature, elements in matched.items():
        domain, _, name = feature.partition(".")
        data.setdefault(domain, {})[name] = list(elements)
    return data
