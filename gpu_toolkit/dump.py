"""Compares the config of containerd before and after a change, as `containerd config dump` shows it. PURE."""

from collections.abc import Iterator, Mapping
from typing import Any

from gpu_toolkit.edits import TABLES
from gpu_toolkit.model import Wanted
from gpu_toolkit.toml_edit import as_value

MAX_SHOWN = 5
_Path = tuple[str, ...]


def find_difference(before: Mapping[str, Any], after: Mapping[str, Any], wanted: Wanted) -> str | None:
    """Returns what is wrong with the config after the change, as a clause; None if it differs only in the wanted values.

    A new table may also have the defaults of containerd.
    """
    old, new = dict(_leaves(before)), dict(_leaves(after))
    changed = {path for path in old.keys() | new.keys() if old.get(path) != new.get(path) and path != ("imports",)}
    others = sorted(".".join(path) for path in changed if not _is_allowed(path, wanted))
    if others:
        return f"the change would also alter {', '.join(others[:MAX_SHOWN])}{' and more' * (len(others) > MAX_SHOWN)}"
    missing = [
        key for path, values in wanted.items() for key, value in values.items() if not _has(new, (*path, key), value)
    ]
    return f"the change does not set {' and '.join(missing)}" if missing else None


def _is_allowed(path: _Path, wanted: Wanted) -> bool:
    exact = {(*table, key) for table in TABLES.values() for key in wanted.get((), ())}
    new = [(*table, *below) for table in TABLES.values() for below in wanted if below]
    return path in exact or any(path[: len(table)] == table for table in new)


def _has(leaves: Mapping[_Path, Any], below: _Path, value: Any) -> bool:
    return any(as_value(leaves.get((*table, *below))) == value for table in TABLES.values())


def _leaves(value: Any, path: _Path = ()) -> Iterator[tuple[_Path, Any]]:
    """Yields each value that is not a table, with its path."""
    if isinstance(value, Mapping):
        for key, each in value.items():
            yield from _leaves(each, (*path, str(key)))
    else:
        yield path, value
