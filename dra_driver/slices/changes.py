"""Compares the planned ResourceSlices with those of the API server, and plans the writes. PURE.

After a change, all slices of the pool have a new generation: a scheduler uses only the slices of the newest generation, and only if all
of them are there. Source: Kubernetes API, ResourcePool.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from dra_driver.slices.features import GROUP
from dra_driver.slices.plan import Specs
from node_core.domain.quantity import parse_quantity

Obj = Mapping[str, Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class SliceWrite:
    """body: the whole object; None to delete the slice. uid: of the slice to delete."""

    verb: Literal["create", "update", "delete"]
    name: str
    body: Obj | None = None
    uid: str | None = None


def differs(desired: Specs, observed: Mapping[str, Obj], accepted: Mapping[str, Any] | None = None) -> bool:
    """Whether the API server has other slices than the desired ones, or slices of several generations.

    accepted: name -> the form in which the API server stored a desired slice, if that form is another one.
    """
    wanted = {name: (accepted or {}).get(name, comparable(spec)) for name, spec in desired.items()}
    generations = {each["spec"]["pool"].get("generation") for each in observed.values()}
    return len(generations) > 1 or wanted != {name: comparable(each["spec"]) for name, each in observed.items()}


def plan_writes(desired: Specs, observed: Mapping[str, Obj], node: Obj, version: str) -> tuple[SliceWrite, ...]:
    """Returns the writes: first updates and new slices, then deletions. node: the Node, which owns the slices. version: of the API.

    A slice of another pool or node cannot be changed: the slice is deleted and created again.
    """
    generation = 1 + max((int(each["spec"]["pool"].get("generation") or 0) for each in observed.values()), default=0)
    retained = {name: each for name, each in observed.items() if name in desired and _is_same(desired[name], each)}
    moved = [name for name in observed if name in desired and name not in retained]
    writes = [
        _update(spec, retained[name], generation)
        if name in retained
        else _create(name, spec, generation, node, version)
        for name, spec in desired.items()
    ]
    gone = [_delete(name, each) for name, each in observed.items() if name not in desired]
    return (*(_delete(name, observed[name]) for name in moved), *writes, *gone)


def comparable(spec: Any) -> Any:
    """Returns a spec without its generation, times and empty fields, and with quantities as numbers: `80Gi` equals `85899345920`."""
    if isinstance(spec, Mapping):
        if spec.keys() == {"value"}:
            return _amount(spec["value"])
        pairs = ((key, comparable(value)) for key, value in spec.items() if key not in ("generation", "timeAdded"))
        return {key: value for key, value in pairs if value not in (None, [], {}, "")}
    return [comparable(each) for each in spec] if isinstance(spec, Sequence) and not isinstance(spec, str) else spec


def _amount(value: Any) -> Any:
    try:
        return parse_quantity(value)
    except (TypeError, ValueError):
        return value


def _is_same(spec: Obj, observed: Obj) -> bool:
    """Whether the fields are equal that the API server does not permit to change."""
    now = observed["spec"]
    fields = ("driver", "nodeName")
    return all(spec[field] == now.get(field) for field in fields) and spec["pool"]["name"] == now["pool"].get("name")


def _create(name: str, spec: Obj, generation: int, node: Obj, version: str) -> SliceWrite:
    owner = {"apiVersion": "v1", "kind": "Node", "name": node["metadata"]["name"], "uid": node["metadata"]["uid"]}
    body = {
        "apiVersion": f"{GROUP}/{version}",
        "kind": "ResourceSlice",
        "metadata": {"name": name, "ownerReferences": [{**owner, "controller": True}]},
        "spec": _with_generation(spec, generation),
    }
    return SliceWrite(verb="create", name=name, body=body)


def _update(spec: Obj, observed: Obj, generation: int) -> SliceWrite:
    now = _with_times(_with_generation(spec, generation), _times(observed["spec"]))
    return SliceWrite(verb="update", name=observed["metadata"]["name"], body={**observed, "spec": now})


def _delete(name: str, observed: Obj) -> SliceWrite:
    return SliceWrite(verb="delete", name=name, uid=observed["metadata"].get("uid"))


def _with_generation(spec: Obj, generation: int) -> Obj:
    return {**spec, "pool": {**spec["pool"], "generation": generation}}


def _times(spec: Obj) -> Mapping[tuple[str, ...], Any]:
    """Returns the time at which each taint was added: evictions after tolerationSeconds depend on this time."""
    rows = (
        (device["name"], taint)
        for device in spec.get("devices") or ()
        for taint in _content(device).get("taints") or ()
    )
    return {_key(device, taint): taint["timeAdded"] for device, taint in rows if taint.get("timeAdded")}


def _with_times(spec: Obj, times: Mapping[tuple[str, ...], Any]) -> Obj:
    devices = [_device_with_times(device, times) for device in spec.get("devices") or ()]
    return {**spec, "devices": devices} if devices else spec


def _device_with_times(device: Obj, times: Mapping[tuple[str, ...], Any]) -> Obj:
    content = _content(device)
    if not content.get("taints"):
        return device
    taints = [
        {**taint, "timeAdded": times[key]} if (key := _key(device["name"], taint)) in times else taint
        for taint in content["taints"]
    ]
    return {**device, "basic": {**content, "taints": taints}} if "basic" in device else {**device, "taints": taints}


def _content(device: Obj) -> Obj:
    content: Obj = device.get("basic", device)
    return content


def _key(device: str, taint: Obj) -> tuple[str, ...]:
    return device, taint["key"], taint.get("value") or "", taint["effect"]
