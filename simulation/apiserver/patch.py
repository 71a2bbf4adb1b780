"""JSON merge patch (RFC 7386), and JSON patch (RFC 6902) without move and copy. PURE: arguments are not changed."""

import copy
from typing import Any

MOST_OPERATIONS = 10_000
"""The maximum of operations in one JSON patch, as in kube-apiserver."""


class MalformedPatchError(ValueError):
    """The patch is malformed."""


class PatchFailedError(ValueError):
    """The patch does not match the document, or a test operation failed."""


def merge_patch(target: Any, patch: Any) -> Any:
    """Applies a merge patch: maps merge, null removes, all other values replace."""
    if not isinstance(patch, dict):
        return copy.deepcopy(patch)
    result = dict(target) if isinstance(target, dict) else {}
    for name, value in patch.items():
        if value is None:
            result.pop(name, None)
        else:
            result[name] = merge_patch(result.get(name), value)
    return result


def json_patch(document: Any, operations: Any) -> Any:
    """Applies a JSON patch. Raises MalformedPatchError or PatchFailedError."""
    if not isinstance(operations, list):
        raise MalformedPatchError("a JSON patch is a list of operations")
    if len(operations) > MOST_OPERATIONS:
        raise MalformedPatchError(f"a JSON patch has at most {MOST_OPERATIONS} operations")
    result = copy.deepcopy(document)
    for operation in operations:
        result = _run_operation(result, operation)
    return result


def _run_operation(document: Any, operation: Any) -> Any:
    if not isinstance(operation, dict) or not isinstance(operation.get("path"), str):
        raise MalformedPatchError("an operation is a map with op and path")
    name, path = operation.get("op"), _pointer(operation["path"])
    if name == "remove":
        return _remove(document, path)
    if name not in ("add", "replace", "test"):
        raise MalformedPatchError(f"the operation {name!r} is not supported. Use add, remove, replace or test.")
    return _apply_operation(document, name, path, copy.deepcopy(operation.get("value")))


def _apply_operation(document: Any, name: str, path: list[str], value: Any) -> Any:
    if name == "test":
        if not _equal(_get(document, path, missing=None), value):
            raise PatchFailedError(f"testing value /{'/'.join(path)} failed")
        return document
    if name == "replace":
        _get(document, path)
        document = _remove(document, path) if path else document
    return _add(document, path, value)


def _pointer(text: str) -> list[str]:
    if text and not text.startswith("/"):
        raise MalformedPatchError(f"{text!r} is not a JSON pointer")
    return [part.replace("~1", "/").replace("~0", "~") for part in text.split("/")[1:]]


_REQUIRED = object()


def _get(document: Any, path: list[str], missing: Any = _REQUIRED) -> Any:
    try:
        for part in path:
            document = document[_index(document, part)] if isinstance(document, list) else _member(document, part)
    except PatchFailedError:
        if missing is _REQUIRED:
            raise
        return missing
    return document


def _member(document: Any, name: str) -> Any:
    if not isinstance(document, dict) or name not in document:
        raise PatchFailedError(f"doc is missing key: {name}")
    return document[name]


def _index(items: list[Any], part: str, *, end: int = 0) -> int:
    if (
        not part.isascii()
        or not part.isdecimal()
        or (len(part) > 1 and part[0] == "0")
        or int(part) >= len(items) + end
    ):
        raise PatchFailedError(f"the list has no item {part}")
    return int(part)


def _add(document: Any, path: list[str], value: Any) -> Any:
    if not path:
        return value
    parent, last = _get(document, path[:-1]), path[-1]
    if isinstance(parent, list):
        parent.insert(len(parent) if last == "-" else _index(parent, last, end=1), value)
    elif isinstance(parent, dict):
        parent[last] = value
    else:
        raise PatchFailedError(f"/{'/'.join(path[:-1])} is not a map or a list")
    return document


def _remove(document: Any, path: list[str]) -> Any:
    if not path:
        return None
    _get(document, path)
    parent = _get(document, path[:-1])
    del parent[_index(parent, path[-1]) if isinstance(parent, list) else path[-1]]
    return document


def _equal(left: Any, right: Any) -> bool:
    """Compares JSON values: true is not equal to 1, and 1 is equal to 1.0."""
    if isinstance(left, bool) or isinstance(right, bool):
        return left is right
    if isinstance(left, dict) and isinstance(right, dict):
        return left.keys() == right.keys() and all(_equal(left[key], right[key]) for key in left)
    if isinstance(left, list) and isinstance(right, list):
        return len(left) == len(right) and all(map(_equal, left, right))
    return bool(left == right)
