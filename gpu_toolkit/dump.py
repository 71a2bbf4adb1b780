"""Compares the config of containerd before and after a change, as `containerd config dump` shows it. PURE."""

from collections.abc import Iterator, Mapping
from typing import Any

from gpu_toolkit.edits import TABLES
from gpu_toolkit.model import Values
from gpu_toolkit.toml_edit import as_value

MAX_SHOWN = 5
_Path = tuple[str, ...]


def find_difference(before: Mapping[str, Any], after: Mapping[str, Any], wanted: Values) -> str | None:
    """Returns what is wrong with the config after the change, as a clause; None if it differs only in the wanted values."""
    allowed = {(*table, key): value for table in TABLES.values() for key, value in wanted.items()}
    old, new = dict(_leaves(before)), dict(_leaves(after))
    changed = {path for path in old.keys() | new.keys() if old.get(path) != new.get(path) and path != ("imports",)}
    others = sorted(".".join(path) for path in changed if path not in allowed)
    if others:
        return f"the change would also alter {', '.join(others[:MAX_SHOWN])}{' and more' * (len(others) > MAX_SHOWN)}"
    set_ = {path[-1] for path, value in allowed.items() if as_value(new.get(path)) == value}
    missing = [key for key in wanted if key not in set_]
    return f"the change does not set {' and '.join(missing)}" if missing else None


def _leaves(value: Any, path: _Path = ()) -> Iterator[tuple[_Path, Any]]:
    """Yields each value that is not a table, with its path."""
    if isinstance(value, Mapping):
        for key, each in value.items():
            yield from _leaves(each, (*path, str(key)))
    else:
        yield path, value
