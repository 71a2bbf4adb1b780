"""Strategic merge patch: maps merge, lists with a merge key merge by it, everything else replaces. PURE.

Source: Kubernetes documentation and API conventions, strategic merge patch. The directives $patch, $deleteFromPrimitiveList and $retainKeys
work; $setElementOrder is passed over, so patched items keep their place and new ones come last.
"""

import copy
from typing import Any

from node_core.simulate.apiserver.schema import Keyed, Names, SetOf, shape_of

_RETAIN = "$retainKeys"
_REMOVE = "$deleteFromPrimitiveList/"


def strategic_patch(target: dict[str, Any], patch: dict[str, Any], kind: str) -> dict[str, Any]:
    """Raises ValueError for a patch that names a list item without its merge key."""
    return _merge_map(target, patch, kind, ())


def _merge_map(target: dict[str, Any], patch: dict[str, Any], kind: str, names: Names) -> dict[str, Any]:
    if patch.get("$patch") == "delete":
        return {}
    fresh = patch.get("$patch") == "replace"
    result = {} if fresh else {name: value for name, value in target.items() if name in patch.get(_RETAIN, target)}
    for name, value in patch.items():
        if name.startswith(_REMOVE):
            _remove_scalars(result, name.removeprefix(_REMOVE), value)
        elif name.startswith("$"):
            continue
        elif value is None:
            result.pop(name, None)
        else:
            result[name] = _merge(result.get(name), value, kind, (*names, name))
    return result


def _merge(target: Any, patch: Any, kind: str, names: Names) -> Any:
    if isinstance(patch, dict):
        return _merge_map(target if isinstance(target, dict) else {}, patch, kind, names)
    if not isinstance(patch, list):
        return patch
    shape, items = shape_of(kind, names, patch), target if isinstance(target, list) else []
    if isinstance(shape, Keyed):
        return _merge_items(items, patch, shape.strategic(), kind, names)
    if isinstance(shape, SetOf):
        return items + [item for item in patch if item not in items]
    return copy.deepcopy(patch)


def _merge_items(items: list[Any], patch: list[Any], shape: Keyed, kind: str, names: Names) -> list[Any]:
    if {"$patch": "replace"} in patch:
        return [copy.deepcopy(item) for item in patch if item != {"$patch": "replace"}]
    result = list(items)
    for item in patch:
        key = shape.key_of(item)
        if key is None:
            raise ValueError(f"map: {item} does not contain declared merge key: {shape.keys[0]}")
        place = next((index for index, old in enumerate(result) if shape.key_of(old) == key), None)
        if item.get("$patch") == "delete":
            result = [old for old in result if shape.key_of(old) != key]
        elif place is None:
            result.append(_merge_map({}, item, kind, names))
        else:
            result[place] = _merge_map(result[place], item, kind, names)
    return result


def _remove_scalars(result: dict[str, Any], name: str, gone: Any) -> None:
    if isinstance(result.get(name), list) and isinstance(gone, list):
        result[name] = [item for item in result[name] if item not in gone]
