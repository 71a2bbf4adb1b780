"""What is wrong with a CDI specification: the rules of its JSON schema, and those that runtimes check besides. PURE.

Source: schema/schema.json and schema/defs.json of github.com/cncf-tags/container-device-interface; SPEC.md, "Kind" and "CDI Devices".
Runtimes refuse fields that they do not know.
"""

import re
from collections.abc import Callable, Iterator
from typing import Any

Check = Callable[[Any], Iterator[str]]


def problems_of(spec: Any) -> list[str]:
    """A sentence for each problem of a specification as JSON or YAML gives it; none for a good one."""
    found = list(_spec(spec))
    return found or list(_names(spec))


def _string(value: Any) -> Iterator[str]:
    if not isinstance(value, str) or not value:
        yield f"{value!r} is no text"


def _integer(least: int, most: int) -> Check:
    def check(value: Any) -> Iterator[str]:
        if not isinstance(value, int) or isinstance(value, bool) or not least <= value <= most:
            yield f"{value!r} is no number from {least} to {most}"

    return check


def _array(item: Check) -> Check:
    def check(value: Any) -> Iterator[str]:
        if not isinstance(value, list):
            yield f"{value!r} is no list"
            return
        for each in value:
            yield from item(each)

    return check


def _object(required: dict[str, Check], optional: dict[str, Check]) -> Check:
    def check(value: Any) -> Iterator[str]:
        if not isinstance(value, dict):
            yield f"{value!r} is no object"
            return
        yield from (f"{name} is missing" for name in required if name not in value)
        fields = required | optional
        for name, field in value.items():
            yield from (f"{name}: {why}" for why in fields[name](field)) if name in fields else [f"{name} is unknown"]

    return check


_int64 = _integer(-(2**63), 2**63 - 1)
_uint32 = _integer(0, 2**32 - 1)
_node = _object(
    {"path": _string},
    {
        "hostPath": _string,
        "permissions": _string,
        "type": _string,
        "major": _int64,
        "minor": _int64,
        "fileMode": _uint32,
    }
    | {"uid": _uint32, "gid": _uint32},
)
_mount = _object({"hostPath": _string, "containerPath": _string}, {"options": _array(_string), "type": _string})
_hook = _object(
    {"hookName": _string, "path": _string}, {"args": _array(_string), "env": _array(_string), "timeout": _uint32}
)
_edits = _object(
    {},
    {"env": _array(_string), "deviceNodes": _array(_node), "mounts": _array(_mount), "hooks": _array(_hook)}
    | {"additionalGids": _array(_uint32)},
)
_device = _object({"name": _string, "containerEdits": _edits}, {"annotations": _object({}, {})})
_spec = _object({"cdiVersion": _string, "kind": _string, "devices": _array(_device)}, {"containerEdits": _edits})


def _names(spec: Any) -> Iterator[str]:
    """What runtimes check beyond types."""
    if not re.fullmatch(r"[a-zA-Z][a-zA-Z0-9_.-]*[a-zA-Z0-9]/[a-zA-Z][a-zA-Z0-9_.-]*[a-zA-Z0-9]", spec["kind"]):
        yield f"{spec['kind']} is no kind"
    if spec["cdiVersion"] not in ("0.3.0", "0.4.0", "0.5.0", "0.6.0", "0.7.0", "0.8.0", "1.0.0", "1.1.0"):
        yield f"{spec['cdiVersion']} is no version"
    names = [device["name"] for device in spec["devices"]]
    yield from (f"{name} is no name" for name in names if not re.fullmatch(r"[a-zA-Z0-9]([\w.:-]*[a-zA-Z0-9])?", name))
    if not names or len(names) != len(set(names)):
        yield "no devices, or two of one name"
    for edits in (spec.get("containerEdits", {}), *(device["containerEdits"] for device in spec["devices"])):
        yield from _paths(edits)
    yield from (f"{device['name']} has no edits" for device in spec["devices"] if not device["containerEdits"])


def _paths(edits: Any) -> Iterator[str]:
    nodes, mounts, hooks = (edits.get(name, []) for name in ("deviceNodes", "mounts", "hooks"))
    paths = [path for node in nodes for path in (node["path"], node.get("hostPath", "/"))]
    paths += [path for mount in mounts for path in (mount["hostPath"], mount["containerPath"])]
    paths += [hook["path"] for hook in hooks]
    yield from (f"{path} is no absolute path" for path in paths if not path.startswith("/") or ".." in path.split("/"))
    yield from (f"{each} is no assignment" for each in edits.get("env", []) if "=" not in each)
    yield from (
        f"{node['path']} has odd permissions" for node in nodes if set(node.get("permissions", "")) - set("rwm")
    )
    known = {"createRuntime", "createContainer", "startContainer", "poststart", "poststop"}
    yield from (f"{hook['hookName']} is no hook" for hook in hooks if hook["hookName"] not in known)
    places = [mount["containerPath"] for mount in mounts]
    if len(places) != len(set(places)):
        yield "two mounts at one place"
