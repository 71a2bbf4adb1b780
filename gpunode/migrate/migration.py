"""The result of a migration: our values, and what has no counterpart. PURE."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from gpunode.migrate.convert_source import convert_source
from gpunode.migrate.draft import Draft, Found
from gpunode.migrate.rules import apply_rules
from gpunode.migrate.source import Source
from node_core.errors import SettingsError


@dataclass(frozen=True, slots=True, kw_only=True)
class Note:
    """What a person does instead of one or more values, or why no replacement is needed."""

    values: tuple[str, ...]
    why: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Migration:
    """shown: what the values are from. values: by the path of our value. problems: of config files, which must be corrected."""

    shown: tuple[str, ...]
    values: Mapping[str, Found]
    actions: tuple[Note, ...]
    unnecessary: tuple[Note, ...]
    problems: tuple[str, ...]

    def nested(self) -> dict[str, Any]:
        """Returns the values as Helm reads them."""
        return nest({path: found.value for path, found in self.values.items()})


def nest(values: Mapping[str, Any]) -> dict[str, Any]:
    """Returns sections within sections. values: by path, for example `nfd.config`."""
    nested: dict[str, Any] = {}
    for path, value in values.items():
        *sections, last = path.split(".")
        section = nested
        for each in sections:
            section = section.setdefault(each, {})
        section[last] = value
    return nested


def migrate(sources: Sequence[Source]) -> Migration:
    """Returns our values for those of other charts. Raises SettingsError with all values of a wrong type."""
    draft = Draft()
    for source in sources:
        convert_source(source, draft)
    if draft.refusals:
        raise SettingsError(draft.refusals)
    apply_rules(sources, draft)
    return Migration(
        shown=tuple(each.shown for each in sources),
        values=draft.values,
        actions=_notes(draft.actions),
        unnecessary=_notes(draft.unnecessary),
        problems=tuple(draft.problems),
    )


def _notes(found: Mapping[str, Sequence[str]]) -> tuple[Note, ...]:
    return tuple(Note(values=tuple(paths), why=why) for why, paths in found.items())
