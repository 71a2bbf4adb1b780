"""What kube-apiserver fills in on its own. PURE. Source: Kubernetes API reference, defaults of Pod, Namespace and Event."""

from collections.abc import Mapping
from typing import Any

from node_core.simulate.apiserver.status import Obj

_POD_SPEC = {
    "restartPolicy": "Always",
    "dnsPolicy": "ClusterFirst",
    "schedulerName": "default-scheduler",
    "terminationGracePeriodSeconds": 30,
    "securityContext": {},
    "enableServiceLinks": True,
    "preemptionPolicy": "PreemptLowerPriority",
    "priority": 0,
}
_POD_TOLERATIONS = tuple(
    {"key": f"node.kubernetes.io/{key}", "operator": "Exists", "effect": "NoExecute", "tolerationSeconds": 300}
    for key in ("not-ready", "unreachable")
)


def with_defaults(obj: Obj) -> Obj:
    """Any object, as it would be stored. Doing it twice changes nothing."""
    obj = with_text_quantities(obj)
    if obj["kind"] == "Pod":
        return _pod(obj)
    if obj["kind"] == "Node":
        return {"spec": {}, "status": {}} | obj
    if obj["kind"] == "Namespace":
        return _namespace(obj)
    if obj["kind"] == "Event":
        return {"type": "", "source": {}, "firstTimestamp": None, "lastTimestamp": None} | obj
    return obj


def with_text_quantities(obj: Obj) -> Obj:
    """Quantities may be sent as JSON numbers; they are kept, compared and owned as strings."""
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


def _pod(pod: Obj) -> Obj:
    spec = _POD_SPEC | (pod.get("spec") or {})
    for part in ("containers", "initContainers"):
        if isinstance(spec.get(part), list):
            spec[part] = [_container(each) for each in spec[part]]
    tolerations = list(spec.get("tolerations") or ())
    present = {(each.get("key"), each.get("effect")) for each in tolerations}
    missing = [each for each in _POD_TOLERATIONS if (each["key"], each["effect"]) not in present]
    spec["tolerations"] = tolerations if _tolerates_all(tolerations) else tolerations + missing
    status = {"phase": "Pending", "qosClass": qos_class(spec)} | (pod.get("status") or {})
    return {**pod, "spec": spec, "status": status}


def _tolerates_all(tolerations: list[Obj]) -> bool:
    return any(each.get("operator") == "Exists" and not each.get("key") for each in tolerations)


def _container(container: Obj) -> Obj:
    image = str(container.get("image", ""))
    moving = ":" not in image.rpartition("/")[2] or image.endswith(":latest")
    defaults: Obj = {
        "imagePullPolicy": "Always" if moving and "@" not in image else "IfNotPresent",
        "terminationMessagePath": "/dev/termination-log",
        "terminationMessagePolicy": "File",
    }
    filled = {**defaults, **container, "resources": _resources(container.get("resources") or {})}
    if isinstance(container.get("ports"), list):
        filled["ports"] = [{"protocol": "TCP"} | port for port in container["ports"]]
    return filled


def _resources(resources: Mapping[str, Any]) -> Obj:
    """A limit without a request is the request too."""
    limits, requests = resources.get("limits") or {}, resources.get("requests") or {}
    return dict(resources) | ({"requests": {**limits, **requests}} if limits or requests else {})


def qos_class(spec: Mapping[str, Any]) -> str:
    """Guaranteed, Burstable or BestEffort; only cpu and memory count."""
    parts = [each.get("resources") or {} for each in spec.get("containers") or ()]
    wanted = [
        {side: (part.get(side) or {}).get(name) for side in ("limits", "requests")}
        for part in parts
        for name in ("cpu", "memory")
    ]
    if not any(value for each in wanted for value in each.values()):
        return "BestEffort"
    return (
        "Guaranteed" if all(each["limits"] and each["limits"] == each["requests"] for each in wanted) else "Burstable"
    )


def _namespace(namespace: Obj) -> Obj:
    metadata = namespace["metadata"]
    labels = {**(metadata.get("labels") or {}), "kubernetes.io/metadata.name": metadata.get("name", "")}
    filled = {**namespace, "metadata": {**metadata, "labels": labels}}
    return {"spec": {"finalizers": ["kubernetes"]}, "status": {"phase": "Active"}} | filled
