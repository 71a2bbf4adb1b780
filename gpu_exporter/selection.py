"""Selects the exported series: the defaults, or those of a file of counters. PURE."""

from collections.abc import Iterable, Iterator
from itertools import groupby

import msgspec

from gpu_exporter.counters_file import CounterField, CountersFile, FieldType
from gpu_exporter.families import DRIVER_VERSION, SELECTABLE, Family
from gpu_exporter.fields import FIELDS, Field

OWN_PREFIX = "gpunode_"
KNOWN = frozenset(
    (*(each.name for each in FIELDS if not each.name.startswith(OWN_PREFIX)), *(each.name for each in SELECTABLE))
)
"""The names that a file of counters can select."""


class Exported(msgspec.Struct, frozen=True, kw_only=True):
    """fields: the rows of one name; empty for a family that the exporter computes."""

    name: str
    kind: FieldType
    help: str
    fields: tuple[Field, ...] = ()


class Selection(msgspec.Struct, frozen=True, kw_only=True):
    """series: in the order of the output. labels: whose values are labels of all series of the device. problems: of the file."""

    series: tuple[Exported, ...]
    labels: tuple[Exported, ...] = ()
    problems: tuple[str, ...] = ()

    @property
    def fields(self) -> tuple[Field, ...]:
        """The fields to read."""
        return tuple(field for each in (*self.series, *self.labels) for field in each.fields)


def select_series(file: CountersFile | None = None) -> Selection:
    """Returns the selection of a file; without a file, the defaults. Series of this project are always exported."""
    selected = _defaults() if file is None else tuple(map(_of_file, file.fields))
    is_text = [each.name == DRIVER_VERSION.name and each.kind is not FieldType.LABEL for each in selected]
    usable = [each for each, is_refused in zip(selected, is_text, strict=True) if not is_refused]
    problems = [f"{DRIVER_VERSION.name} is a text. Set its type to label."] if any(is_text) else []
    return Selection(
        series=(*(each for each in usable if each.kind is not FieldType.LABEL), *_own()),
        labels=tuple(each for each in usable if each.kind is FieldType.LABEL),
        problems=(*(file.problems if file else ()), *problems),
    )


def _defaults() -> tuple[Exported, ...]:
    of_dcgm = (each for each in FIELDS if each.is_default and not each.name.startswith(OWN_PREFIX))
    return (*_group(of_dcgm), *map(_of_family, SELECTABLE))


def _own() -> Iterator[Exported]:
    return _group(each for each in FIELDS if each.name.startswith(OWN_PREFIX))


def _group(fields: Iterable[Field]) -> Iterator[Exported]:
    """Rows of one name are next to each other."""
    for name, rows in groupby(fields, key=lambda field: field.name):
        of_name = tuple(rows)
        yield Exported(name=name, kind=of_name[0].kind, help=of_name[0].help, fields=of_name)


def _of_family(family: Family) -> Exported:
    return Exported(name=family.name, kind=family.kind, help=family.help)


def _of_file(line: CounterField) -> Exported:
    fields = tuple(field for field in FIELDS if field.name == line.name)
    families = [family for family in SELECTABLE if family.name == line.name]
    own_help = fields[0].help if fields else families[0].help
    return Exported(name=line.name, kind=line.type, help=line.help or own_help, fields=fields)
