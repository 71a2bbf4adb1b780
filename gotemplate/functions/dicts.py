"""Sprig's functions for maps. The keys are sorted; in Go their order is random.

Source: masterminds.github.io/sprig/dicts.html.
"""

from typing import Any

from gotemplate.errors import TemplateError
from gotemplate.function import function_table
from gotemplate.printf import format_value
from gotemplate.run import Run
from gotemplate.values import MAXIMUM_DEPTH, copy_value, type_name

Map = dict[str, Any]


def dict_(run: Run, *pairs: Any) -> Map:
    """Makes a map of keys and values in turn. The value of a last key without a value is ""."""
    values = [*pairs, ""]
    return {format_value(run, values[at]): values[at + 1] for at in range(0, len(pairs), 2)}


def get(map_: Map, key: str) -> Any:
    return map_.get(key, "")


def set_(map_: Map, key: str, value: Any) -> Map:
    map_[key] = value
    return map_


def unset(map_: Map, key: str) -> Map:
    map_.pop(key, None)
    return map_


def has_key(map_: Map, key: str) -> bool:
    return key in map_


def pluck(key: str, *maps: Map) -> list[Any]:
    return [map_[key] for map_ in maps if key in map_]


def keys(run: Run, *maps: Map) -> list[str]:
    run.reserve(sum(map(len, maps)))
    return [key for map_ in maps for key in sorted(map_)]


def values(map_: Map) -> list[Any]:
    return [map_[key] for key in sorted(map_)]


def pick(map_: Map, *wanted: str) -> Map:
    return {key: map_[key] for key in wanted if key in map_}


def omit(map_: Map, *unwanted: str) -> Map:
    refused = set(unwanted)
    return {key: value for key, value in map_.items() if key not in refused}


def merge(run: Run, into: Map, *sources: Map) -> Map:
    """Copies values of the sources into the first map, for keys that are missing or empty there."""
    for source in sources:
        _merge(run, into, source, MAXIMUM_DEPTH, overwrites=False)
    return into


def merge_overwrite(run: Run, into: Map, *sources: Map) -> Map:
    for source in sources:
        _merge(run, into, source, MAXIMUM_DEPTH, overwrites=True)
    return into


def _merge(run: Run, into: Map, source: Map, depth: int, *, overwrites: bool) -> None:
    if depth == 0:
        raise TemplateError("a value is nested too deep to merge")
    for key, value in list(source.items()):
        run.spend()
        known = into.get(key)
        if isinstance(known, dict) and isinstance(value, dict):
            _merge(run, known, value, depth - 1, overwrites=overwrites)
        elif overwrites or not known:
            into[key] = value


def dig(*path: Any) -> Any:
    """Returns the value at a.b for `dig "a" "b" default map`, or the default if a key is missing."""
    if len(path) < 3:
        raise TemplateError("dig needs at least three arguments")
    *path_keys, default, value = path
    for key in path_keys:
        if not isinstance(value, dict) or not isinstance(key, str):
            raise TemplateError(
                f"dig needs a map and a string key, but got the types {type_name(value)} and {type_name(key)}"
            )
        if key not in value:
            return default
        value = value[key]
    return value


def deep_copy(run: Run, value: Any) -> Any:
    if value is None:
        raise TemplateError("cannot copy nil")
    return copy_value(run, value)


FUNCTIONS = function_table({
    "dict": dict_, "get": get, "set": set_, "unset": unset, "hasKey": has_key, "pluck": pluck, "keys": keys,
    "values": values, "pick": pick, "omit": omit, "merge mustMerge": merge,
    "mergeOverwrite mustMergeOverwrite": merge_overwrite, "dig": dig, "deepCopy mustDeepCopy": deep_copy,
})  # fmt: skip
