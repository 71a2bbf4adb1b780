"""Sets of field paths, and their form as FieldsV1. PURE. Source: Kubernetes API, meta/v1 FieldsV1.

A path is a tuple of FieldsV1 elements: ("f:spec", "f:containers", 'k:{"name":"c"}', "f:image").
"""

import copy
import json
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from enum import Enum
from typing import Any

from simulation.apiserver.schema import Keyed, Names, shape_of

Path = tuple[str, ...]
Paths = frozenset[Path]

UNOWNED = frozenset(
    [("f:apiVersion",), ("f:kind",), ("f:metadata",)]
    + [
        ("f:metadata", f"f:{name}")
        for name in ("name", "namespace", "creationTimestamp", "selfLink", "uid", "generation", "resourceVersion")
    ]
)
"""Fields without an owner. managedFields is removed before a comparison."""


class Inner(Enum):
    """The value of a map, a list or a list item in `flatten`. A manager can own an empty map or list, and a filled one only if new."""

    FILLED = 0
    EMPTY = 1
    ITEM = 2


@dataclass(frozen=True, slots=True, kw_only=True)
class Difference:
    """changed: paths that are new or have another value. removed: paths that do not exist any more."""

    changed: Paths
    removed: Paths


def flatten(obj: Mapping[str, Any], kind: str) -> dict[Path, Any]:
    """Returns the paths of the object with their values. The value of a path with paths below is an Inner. Excludes unowned fields."""
    bare = {**obj, "metadata": {k: v for k, v in (obj.get("metadata") or {}).items() if k != "managedFields"}}
    return {path: value for path, value in _walk(bare, kind, (), ()) if path and path not in UNOWNED}


def applied_paths(config: Mapping[str, Any], kind: str) -> Paths:
    """Returns the paths that a server-side apply of this configuration owns: leaves, list items, empty maps."""
    return frozenset(path for path, value in flatten(config, kind).items() if value is not Inner.FILLED)


def difference(old: Mapping[str, Any], new: Mapping[str, Any], kind: str) -> Difference:
    before, after = flatten(old, kind), flatten(new, kind)
    changed = {path for path, value in after.items() if path not in before or not _same(before[path], value)}
    return Difference(
        changed=frozenset(path for path in changed if not (len(path) == 1 and isinstance(after[path], Inner))),
        removed=frozenset(path for path in before if path not in after),
    )


def render_fields(paths: Iterable[Path]) -> dict[str, Any]:
    """Returns FieldsV1. A path with other paths below has the member "."."""
    tree: dict[str, Any] = {}
    ordered = sorted(paths)
    for path in ordered:
        node = tree
        for element in path:
            node = node.setdefault(element, {})
    for path in ordered:
        node = tree
        for element in path:
            node = node[element]
        if node:
            node["."] = {}
    return tree


def parse_fields(tree: Mapping[str, Any], prefix: Path = ()) -> Iterator[Path]:
    for element, children in tree.items():
        if element == ".":
            yield prefix
        elif not children:
            yield (*prefix, element)
        else:
            yield from parse_fields(children, (*prefix, element))


def without_paths(obj: dict[str, Any], paths: Paths, kind: str) -> dict[str, Any]:
    """Returns a copy without the paths. Also removes maps and lists that become empty. Key fields are removed only with their item."""
    result = copy.deepcopy(obj)
    for path in sorted(paths, key=len, reverse=True):
        keys = json.loads(path[-2][2:]) if len(path) > 1 and path[-2].startswith("k:") else {}
        if path[-1][2:] not in keys:
            _drop(result, path, kind, ())
    return result


def show_path(path: Path) -> str:
    """Returns the path as kube-apiserver prints it: `.spec.containers[name="c"].image`."""
    return "".join(map(_show_element, path))


def _walk(value: Any, kind: str, path: Path, names: Names) -> Iterator[tuple[Path, Any]]:
    shape = shape_of(kind, names, value)
    if isinstance(value, dict) and shape is None:
        yield path, Inner.FILLED if value else Inner.EMPTY
        for name, child in value.items():
            yield from _walk(child, kind, (*path, f"f:{name}"), (*names, name))
    elif isinstance(value, list) and isinstance(shape, Keyed):
        yield path, Inner.FILLED if value else Inner.EMPTY
        for item in value:
            yield from _walk_item(item, shape, kind, path, names)
    else:
        yield path, value


def _walk_item(item: Any, shape: Keyed, kind: str, path: Path, names: Names) -> Iterator[tuple[Path, Any]]:
    element = _item_element(item, shape)
    yield (*path, element), Inner.ITEM
    if isinstance(item, dict):
        for name, child in item.items():
            yield from _walk(child, kind, (*path, element, f"f:{name}"), (*names, name))


def _item_element(item: Any, shape: Keyed) -> str:
    key = shape.item_key(item)
    if key is not None:
        return "k:" + json.dumps(dict(sorted(zip(shape.keys, key, strict=True))), separators=(",", ":"))
    return "v:" + json.dumps(item, separators=(",", ":"), sort_keys=True)


def _same(left: Any, right: Any) -> bool:
    if isinstance(left, Inner) and isinstance(right, Inner):
        return True
    return bool(left == right) and isinstance(left, bool) == isinstance(right, bool)


def _drop(value: Any, path: Path, kind: str, names: Names) -> None:
    head, rest = path[0], path[1:]
    if isinstance(value, list):
        _drop_item(value, head, rest, kind, names)
        return
    name = head[2:]
    if not isinstance(value, dict) or name not in value:
        return
    if rest:
        _drop(value[name], rest, kind, (*names, name))
    if not rest or (value[name] in ({}, []) and names):
        del value[name]


def _drop_item(items: list[Any], element: str, rest: Path, kind: str, names: Names) -> None:
    shape = shape_of(kind, names, items)
    if not isinstance(shape, Keyed):
        return
    for item in [item for item in items if _item_element(item, shape) == element]:
        if rest:
            _drop(item, rest, kind, names)
        else:
            items.remove(item)


def _show_element(element: str) -> str:
    form, content = element[0], element[2:]
    if form == "f":
        return f".{content}"
    if form == "v":
        return f"[={content}]"
    return "[" + ",".join(f"{key}={json.dumps(value)}" for key, value in json.loads(content).items()) + "]"
