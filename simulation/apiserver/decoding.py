"""The types of the fields of our resources: kube-apiserver refuses objects of other types. PURE. Source: Kubernetes API reference."""

from collections.abc import Mapping
from typing import Any

import msgspec

from node_core.domain.quantity import parse_quantity

Obj = dict[str, Any]


class _Quantity:
    """A quantity: a string or a number."""


Quantities = dict[str, _Quantity]


class _Struct(msgspec.Struct, rename="camel"):
    """Unknown fields are accepted. An absent field and null are the same."""


class _Metadata(_Struct):
    name: str | None = None
    namespace: str | None = None
    generate_name: str | None = None
    resource_version: str | None = None
    uid: str | None = None
    labels: dict[str, str] | None = None
    annotations: dict[str, str] | None = None
    managed_fields: list[Obj] | None = None


class _Condition(_Struct):
    type: str | None = None


class _Status(_Struct):
    conditions: list[_Condition] | None = None


class _Object(_Struct):
    metadata: _Metadata | None = None


class _CustomObject(_Object):
    spec: Obj | None = None
    status: _Status | None = None


class _Taint(_Struct):
    key: str | None = None
    value: str | None = None
    effect: str | None = None


class _NodeSpec(_Struct):
    taints: list[_Taint] | None = None
    unschedulable: bool | None = None


class _NodeStatus(_Status):
    capacity: Quantities | None = None
    allocatable: Quantities | None = None
    addresses: list[Obj] | None = None
    node_info: Obj | None = None


class _Node(_Object):
    spec: _NodeSpec | None = None
    status: _NodeStatus | None = None


class _Resources(_Struct):
    limits: Quantities | None = None
    requests: Quantities | None = None


class _Container(_Struct):
    name: str | None = None
    image: str | None = None
    env: list[Obj] | None = None
    ports: list[Obj] | None = None
    resources: _Resources | None = None


class _Toleration(_Taint):
    operator: str | None = None


class _NodeSelector(_Struct):
    node_selector_terms: list[Obj] | None = None


class _NodeAffinity(_Struct):
    required_during_scheduling_ignored_during_execution: _NodeSelector | None = None


class _Affinity(_Struct):
    node_affinity: _NodeAffinity | None = None


class _PodSpec(_Struct):
    containers: list[_Container] | None = None
    init_containers: list[_Container] | None = None
    node_name: str | None = None
    scheduler_name: str | None = None
    restart_policy: str | None = None
    node_selector: dict[str, str] | None = None
    tolerations: list[_Toleration] | None = None
    affinity: _Affinity | None = None


class _PodStatus(_Status):
    phase: str | None = None
    container_statuses: list[Obj] | None = None


class _Pod(_Object):
    spec: _PodSpec | None = None
    status: _PodStatus | None = None


class _Event(_Object):
    involved_object: Obj | None = None
    source: Obj | None = None
    type: str | None = None
    reason: str | None = None
    message: str | None = None
    count: int | None = None


class _ConfigMap(_Object):
    data: dict[str, str] | None = None
    binary_data: dict[str, str] | None = None


_KINDS: Mapping[str, type[_Object]] = {"Node": _Node, "Pod": _Pod, "Event": _Event, "ConfigMap": _ConfigMap}


def decode_problem(kind: str, obj: Mapping[str, Any]) -> str | None:
    """Returns a description of the first field with a wrong type or a quantity that is not valid, or None."""
    try:
        msgspec.convert(obj, _KINDS.get(kind, _CustomObject), dec_hook=_check_quantity)
    except msgspec.ValidationError as error:
        return str(error)
    return None


def _check_quantity(_: type, value: Any) -> _Quantity:
    parse_quantity(value)
    return _Quantity()
