"""What kube-apiserver could not even decode: the types of the fields that we serve. PURE. Source: Kubernetes API reference."""

from collections.abc import Callable, Iterator, Mapping
from typing import Any

from node_core.domain.quantity import parse_quantity

_QUANTITY_RULE = "quantities must match the regular expression '^([+-]?[0-9.]+)([eEinumkKMGTP]*[-+]?[0-9]*)$'"
_Check = Callable[[Any], str | None]
"""From a value to why it cannot be decoded, or None."""


def decode_problem(kind: str, obj: Mapping[str, Any]) -> str | None:
    """The first field of a wrong type or with a bad quantity, or None."""
    for path, check in (_EVERY | _KINDS.get(kind, {})).items():
        for value in _values(obj, path.split(".")):
            if problem := check(value):
                return (
                    problem
                    if problem == _QUANTITY_RULE
                    else f"json: cannot unmarshal {problem} into Go struct field {path}"
                )
    return None


def _values(value: Any, parts: list[str]) -> Iterator[Any]:
    """What lies at a path; `[]` stands for every item of a list. What is not there, or null, is no problem."""
    if not parts:
        yield value
        return
    child = value.get(parts[0].removesuffix("[]")) if isinstance(value, dict) else None
    if parts[0].endswith("[]"):
        for item in child if isinstance(child, list) else ():
            yield from _values(item, parts[1:])
    elif child is not None:
        yield from _values(child, parts[1:])


def _of(expected: type) -> _Check:
    return lambda value: None if isinstance(value, expected) else _json_type(value)


def _objects(value: Any) -> str | None:
    if not isinstance(value, list):
        return _json_type(value)
    return next((_json_type(item) for item in value if not isinstance(item, dict)), None)


def _string_list(value: Any) -> str | None:
    if not isinstance(value, list):
        return _json_type(value)
    return next((_json_type(item) for item in value if not isinstance(item, str)), None)


def _string_map(value: Any) -> str | None:
    return _string_list(list(value.values())) if isinstance(value, dict) else _json_type(value)


def _quantities(value: Any) -> str | None:
    if not isinstance(value, dict):
        return _json_type(value)
    try:
        for text in value.values():
            parse_quantity(text)
    except ValueError:
        return _QUANTITY_RULE
    return None


def _json_type(value: Any) -> str:
    names = {bool: "bool", int: "number", float: "number", str: "string", list: "array", dict: "object"}
    return names.get(type(value), "null")


_OBJECT, _STRING, _BOOL = _of(dict), _of(str), _of(bool)

_EVERY: dict[str, _Check] = {
    "metadata": _OBJECT,
    **{f"metadata.{name}": _STRING for name in ("name", "namespace", "generateName", "resourceVersion", "uid")},
    "metadata.labels": _string_map,
    "metadata.annotations": _string_map,
    "metadata.finalizers": _string_list,
    "metadata.ownerReferences": _objects,
    "metadata.managedFields": _objects,
    "spec": _OBJECT,
    "status": _OBJECT,
    "status.conditions": _objects,
    "status.conditions[].type": _STRING,
}
_CONTAINER: dict[str, _Check] = {
    "name": _STRING,
    "image": _STRING,
    "env": _objects,
    "ports": _objects,
    "resources": _OBJECT,
    "resources.limits": _quantities,
    "resources.requests": _quantities,
}
_REQUIRED_AFFINITY = "spec.affinity.nodeAffinity.requiredDuringSchedulingIgnoredDuringExecution"
_KINDS: dict[str, dict[str, _Check]] = {
    "Node": {
        "spec.taints": _objects,
        **{f"spec.taints[].{name}": _STRING for name in ("key", "value", "effect")},
        "spec.unschedulable": _BOOL,
        "status.capacity": _quantities,
        "status.allocatable": _quantities,
        "status.addresses": _objects,
        "status.nodeInfo": _OBJECT,
    },
    "Pod": {
        **{f"spec.{part}": _objects for part in ("containers", "initContainers")},
        **{
            f"spec.{part}[].{name}": check
            for part in ("containers", "initContainers")
            for name, check in _CONTAINER.items()
        },
        **{f"spec.{name}": _STRING for name in ("nodeName", "schedulerName", "restartPolicy")},
        "spec.nodeSelector": _string_map,
        "spec.overhead": _quantities,
        "spec.readinessGates": _objects,
        "spec.tolerations": _objects,
        **{f"spec.tolerations[].{name}": _STRING for name in ("key", "value", "effect", "operator")},
        "spec.affinity": _OBJECT,
        "spec.affinity.nodeAffinity": _OBJECT,
        _REQUIRED_AFFINITY: _OBJECT,
        f"{_REQUIRED_AFFINITY}.nodeSelectorTerms": _objects,
        "status.phase": _STRING,
        "status.containerStatuses": _objects,
    },
    "Event": {
        "involvedObject": _OBJECT,
        "source": _OBJECT,
        **dict.fromkeys(("type", "reason", "message"), _STRING),
        "count": _of(int),
    },
    "ConfigMap": {"data": _string_map, "binaryData": _string_map},
}
