"""Validates objects: the rules of kube-apiserver that matter to users of nodes. PURE. Source: Kubernetes API reference."""

from collections.abc import Callable, Iterator
from typing import Any

from node_core.domain.labels import SUBDOMAIN, key_problem, value_problem
from node_core.domain.quantity import parse_quantity
from node_core.scheduling.requests import is_extended
from simulation.apiserver.field_errors import invalid_value, label_causes, unsupported_value
from simulation.apiserver.pod_rules import pod_causes, pod_update_causes
from simulation.apiserver.resources import Resource
from simulation.apiserver.status import Cause, Obj, bad_request, invalid

EFFECTS = ("NoSchedule", "PreferNoSchedule", "NoExecute")


def check_body(resource: Resource, body: Any, *, name: str | None, namespace: str) -> None:
    """Checks that the object has the kind, the name and the namespace of the path. Raises ApiError 400."""
    if not isinstance(body, dict) or not isinstance(body.get("metadata", {}), dict | None):
        raise bad_request("the object provided is unrecognized (must be of type " + resource.kind + ")")
    given = (body.get("apiVersion", resource.api_version), body.get("kind", resource.kind))
    if given != (resource.api_version, resource.kind):
        raise bad_request(f"the API version in the data ({given[0]}, Kind={given[1]}) does not match the expected API version "
                          f"({resource.api_version}, Kind={resource.kind})")  # fmt: skip
    metadata = body.get("metadata") or {}
    if name is not None and metadata.get("name", name) != name:
        raise bad_request(f"the name of the object ({metadata['name']}) does not match the name on the URL ({name})")
    if (metadata.get("namespace") or namespace) != namespace:
        raise bad_request("the namespace of the provided object does not match the namespace sent on the request")


def check_object(resource: Resource, new: Obj, old: Obj | None) -> None:
    """Validates an object with defaults. old: the current object; None for a new object. Raises ApiError 422 with all problems."""
    checks: tuple[Callable[[Obj], Iterator[Cause]], ...] = (_metadata_causes, *_CHECKS.get(resource.kind, ()))
    causes = [cause for check in checks for cause in check(new)]
    if resource.kind == "Pod" and old is not None:
        causes += pod_update_causes(new, old)
    if causes:
        raise invalid(resource.qualified_kind, new["metadata"].get("name", ""), causes)


def _metadata_causes(obj: Obj) -> Iterator[Cause]:
    metadata = obj["metadata"]
    name = metadata.get("name", "")
    if not (len(name) <= 253 and SUBDOMAIN.fullmatch(name)):
        yield invalid_value("metadata.name", name, "a lowercase RFC 1123 subdomain must consist of lower case alphanumeric characters, "
                       "'-' or '.', and must start and end with an alphanumeric character")  # fmt: skip
    for key, value in (metadata.get("labels") or {}).items():
        yield from label_causes("metadata.labels", key, value)
    for key in metadata.get("annotations") or {}:
        if problem := key_problem(key.lower()):
            yield invalid_value("metadata.annotations", key, problem)


def _taint_causes(node: Obj) -> Iterator[Cause]:
    previous = set()
    for index, taint in enumerate((node.get("spec") or {}).get("taints") or ()):
        field = f"spec.taints[{index}]"
        if problem := key_problem(taint.get("key", "")):
            yield invalid_value(f"{field}.key", taint.get("key", ""), problem)
        if problem := value_problem(taint.get("value") or ""):
            yield invalid_value(f"{field}.value", taint["value"], problem)
        if taint.get("effect") not in EFFECTS:
            yield unsupported_value(f"{field}.effect", taint.get("effect", ""), EFFECTS)
        pair = (taint.get("key"), taint.get("effect"))
        if pair in previous:
            yield Cause(reason="FieldValueDuplicate", message=f"Duplicate value: {pair[0]}:{pair[1]}", field=field)
        previous.add(pair)


def _node_quantity_causes(node: Obj) -> Iterator[Cause]:
    for part in ("capacity", "allocatable"):
        for name, text in ((node.get("status") or {}).get(part) or {}).items():
            field = f"status.{part}.{name}"
            if parse_quantity(text) < 0:
                yield invalid_value(field, str(text), "must be greater than or equal to 0")
            elif is_extended(name) and parse_quantity(text).denominator != 1:
                yield invalid_value(field, str(text), "must be an integer")


def _event_causes(event: Obj) -> Iterator[Cause]:
    """The namespace of an Event is that of the involved object, or `default` for an object without a namespace."""
    about = (event.get("involvedObject") or {}).get("namespace") or "default"
    if event["metadata"].get("namespace") != about:
        yield invalid_value("involvedObject.namespace", about, "does not match event.namespace")


_CHECKS: dict[str, tuple[Callable[[Obj], Iterator[Cause]], ...]] = {
    "Node": (_taint_causes, _node_quantity_causes),
    "Pod": (pod_causes,),
    "Event": (_event_causes,),
}
