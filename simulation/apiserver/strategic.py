"""Strategic merge patch: maps merge, lists with a merge key merge by the key, all other values are replaced. PURE.

Source: Kubernetes documentation and API conventions, strategic merge patch. `$patch: delete` is supported. $setElementOrder is ignored:
patched items remain in their position and new items are appended. Other directives are an error.
"""

import copy
from typing import Any

from simulation.apiserver.schema import Keyed, Names, shape_of


def strategic_patch(target: dict[str, Any], patch: dict[str, Any], kind: str) -> dict[str, Any]:
    """Returns the patched object. Raises ValueError for a list item without its merge key and for an unsupported directive."""
    return _merge_map(target, patch, kind, ())


def _merge_map(target: dict[str, Any], patch: dict[str, Any], kind: str, names: Names) -> dict[str, Any]:
    if patch.get("$patch") == "delete":
        return {}
    result = dict(target)
    for name, value in patch.items():
        if name.startswith("$"):
            if not name.startswith("$setElementOrder/"):
                raise ValueError(f"the directive {name} is not supported by this simulated API server")
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
    return copy.deepcopy(patch)


def _merge_items(items: list[Any], patch: list[Any], shape: Keyed, kind: str, names: Names) -> list[Any]:
    result = list(items)
    for item in patch:
        key = shape.item_key(item)
        if key is None:
            raise ValueError(f"map: {item} does not contain declared merge key: {shape.keys[0]}")
        position = next((index for index, old in enumerate(result) if shape.item_key(old) == key), None)
        if item.get("$patch") == "delete":
            result = [old for old in result if shape.item_key(old) != key]
        elif position is None:
            result.append(_merge_map({}, item, kind, names))
        else:
            result[position] = _merge_map(result[position], item, kind, names)
    return result
