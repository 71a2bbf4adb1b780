"""The defaults of kube-apiserver that kubectl, the kubelet and the scheduler need. PURE. Source: Kubernetes API reference."""

from collections.abc import Mapping
from typing import Any

from simulation.apiserver.status import Obj

_POD_SPEC = {"restartPolicy": "Always", "schedulerName": "default-scheduler", "terminationGracePeriodSeconds": 30}


def with_defaults(obj: Obj) -> Obj:
    """Returns the object with defaults, as the API stores it. Idempotent."""
    obj = with_text_quantities(obj)
    if obj["kind"] == "Pod":
        return _default_pod(obj)
    if obj["kind"] == "Node":
        return {"spec": {}, "status": {}} | obj
    if obj["kind"] == "Namespace":
        return _default_namespace(obj)
    if obj["kind"] == "Event":
        return {"type": "", "source": {}, "firstTimestamp": None, "lastTimestamp": None} | obj
    return obj


def with_text_quantities(obj: Obj) -> Obj:
    """Converts quantities that are JSON numbers to strings. They are stored, compared and owned as strings."""
    if obj["kind"] == "Node" and obj.get("status"):
        return {**obj, "status": _quantities_as_text(obj["status"], ("capacity", "allocatable"))}
    if obj["kind"] == "Pod" and obj.get("spec"):
        spec = dict(obj["spec"])
        for part in ("containers", "initContainers"):
            if part in spec:
                spec[part] = [_container_with_text(each) for each in spec[part] or ()]
        return {**obj, "spec": spec}
    return obj


def _container_with_text(container: Obj) -> Obj:
    if not container.get("resources"):
        return container
    return {**container, "resources": _quantities_as_text(container["resources"], ("limits", "requests"))}


def _quantities_as_text(obj: Obj, parts: tuple[str, ...]) -> Obj:
    changed = {part: {name: str(value) for name, value in (obj[part] or {}).items()} for part in parts if part in obj}
    return {**obj, **changed}


def _default_pod(pod: Obj) -> Obj:
    spec = _POD_SPEC | (pod.get("spec") or {})
    for part in ("containers", "initContainers"):
        if isinstance(spec.get(part), list):
            spec[part] = [_default_container(each) for each in spec[part]]
    status = {"phase": "Pending"} | (pod.get("status") or {})
    return {**pod, "spec": spec, "status": status}


def _default_container(container: Obj) -> Obj:
    filled = {**container, "resources": _default_resources(container.get("resources") or {})}
    if isinstance(container.get("ports"), list):
        filled["ports"] = [{"protocol": "TCP"} | port for port in container["ports"]]
    return filled


def _default_resources(resources: Mapping[str, Any]) -> Obj:
    """A limit without a request is also the request."""
    limits, requests = resources.get("limits") or {}, resources.get("requests") or {}
    return dict(resources) | ({"requests": {**limits, **requests}} if limits or requests else {})


def _default_namespace(namespace: Obj) -> Obj:
    metadata = namespace["metadata"]
    labels = {**(metadata.get("labels") or {}), "kubernetes.io/metadata.name": metadata.get("name", "")}
    filled = {**namespace, "metadata": {**metadata, "labels": labels}}
    return {"status": {"phase": "Active"}} | filled
