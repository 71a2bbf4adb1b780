"""Validates Pods: the rules of kube-apiserver that matter to users of GPUs. PURE. Source: Kubernetes API reference, Pod."""

from collections.abc import Iterator, Mapping
from fractions import Fraction
from typing import Any

from node_core.domain.quantity import parse_quantity
from node_core.scheduling.requests import is_extended
from simulation.apiserver.field_errors import invalid_value, label_causes, required
from simulation.apiserver.status import Cause, Obj

_MUTABLE_POD_SPEC = ("tolerations", "activeDeadlineSeconds", "terminationGracePeriodSeconds", "nodeName")


def pod_causes(pod: Obj) -> Iterator[Cause]:
    containers = (pod.get("spec") or {}).get("containers") or []
    if not containers:
        yield required("spec.containers")
    for index, container in enumerate(containers):
        field = f"spec.containers[{index}]"
        for name in ("name", "image"):
            if not container.get(name):
                yield required(f"{field}.{name}")
        yield from _container_resource_causes(container.get("resources") or {}, f"{field}.resources")
    for key, value in ((pod.get("spec") or {}).get("nodeSelector") or {}).items():
        yield from label_causes("spec.nodeSelector", key, value)


def _container_resource_causes(resources: Mapping[str, Any], field: str) -> Iterator[Cause]:
    limits, requests = (
        {name: parse_quantity(text) for name, text in (resources.get(part) or {}).items()}
        for part in ("limits", "requests")
    )
    for name, amount in sorted(requests.items()):
        if is_extended(name) and name not in limits:
            yield required(f"{field}.limits", "Limit must be set for non overcommitable resources")
        elif is_extended(name) and limits[name] != amount:
            yield invalid_value(
                f"{field}.requests", _plain(amount), f"must be equal to {name} limit of {_plain(limits[name])}"
            )
        elif amount > limits.get(name, amount):
            yield invalid_value(
                f"{field}.requests",
                _plain(amount),
                f"must be less than or equal to {name} limit of {_plain(limits[name])}",
            )
    for name, amount in sorted(limits.items()):
        if is_extended(name) and amount.denominator != 1:
            yield invalid_value(f"{field}.limits.{name}", _plain(amount), "must be an integer")


def pod_update_causes(new: Obj, old: Obj) -> Iterator[Cause]:
    if _fixed_spec(new) != _fixed_spec(old) or _unbound(old, new):
        yield Cause(
            reason="FieldValueForbidden",
            message="Forbidden: pod updates may not change fields other than `spec.containers[*].image`,"
            "`spec.initContainers[*].image`,`spec.activeDeadlineSeconds`,`spec.tolerations` (only additions to existing tolerations)",
            field="spec",
        )


def _fixed_spec(pod: Obj) -> Obj:
    spec = {name: value for name, value in (pod.get("spec") or {}).items() if name not in _MUTABLE_POD_SPEC}
    for part in ("containers", "initContainers"):
        if part in spec:
            spec[part] = [
                {name: value for name, value in container.items() if name != "image"} for container in spec[part]
            ]
    return spec


def _unbound(old: Obj, new: Obj) -> bool:
    bound = old["spec"].get("nodeName")
    return bool(bound) and new["spec"].get("nodeName") != bound


def _plain(amount: Fraction) -> str:
    return str(amount.numerator) if amount.denominator == 1 else str(float(amount))
