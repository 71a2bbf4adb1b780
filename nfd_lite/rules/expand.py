"""Templates of a rule on what it matched: `key=value` lines."""

from collections.abc import Callable, Sequence
from functools import lru_cache
from typing import Any

from nfd_lite.rules.expression import RuleError
from nfd_lite.rules.match import Matched
from nfd_lite.rules.template import Template, TemplateError, parse_template


def expand(
    template: str, matches: Sequence[Matched], *, field: str, spend: Callable[[int], None] = lambda _: None
) -> dict[str, str]:
    """The pairs that a template writes, once for each group that matched; later ones win. field: `labelsTemplate`. Raises RuleError.

    spend: is told how many steps each of its runs took, and may raise RuleError.
    """
    if not template:
        return {}
    lines: list[str] = []
    try:
        for matched in matches:
            spend(_data_steps(template, matched))
            lines += compiled(template).render(template_data(matched), spent=spend).split("\n")
    except TemplateError as error:
        raise RuleError(f"{field}: {error}") from error
    return dict(_pair(line, field) for line in map(str.strip, lines) if line)


def _data_steps(template: str, matched: Matched) -> int:
    """Of making a template's data, and of parsing it, where it was forgotten meanwhile."""
    return len(template) + sum(map(len, matched.values()))


@lru_cache(maxsize=512)
def compiled(template: str) -> Template:
    """Raises TemplateError."""
    return parse_template(template)


def _pair(line: str, field: str) -> tuple[str, str]:
    key, equals, value = line.partition("=")
    if not equals:
        raise RuleError(f"{field}: it wrote {line[:80]!r}, which is not key=value")
    return key, value


def template_data(matched: Matched) -> dict[str, Any]:
    """`pci.device` -> elements, as templates name it: `.pci.device`. Names are split at their first dot, as the rule spells them."""
    data: dict[str, Any] = {}
    for feature, elements in matched.items():
        domain, _, name = feature.partition(".")
        data.setdefault(domain, {})[name] = list(elements)
    return data
