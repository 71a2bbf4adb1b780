"""Validates CDI specifications: the rules of the JSON schema, and the rules that container runtimes check in addition. PURE.

Source: SPEC.md and schema.json of github.com/cncf-tags/container-device-interface, up to version 1.1.0. Container runtimes refuse unknown
fields, and fields that the declared cdiVersion does not have. A field that is null counts as absent. `make e2e` compares this module with
the library of the runtimes.
"""

import re
from collections.abc import Callable, Iterable, Iterator
from typing import Any

Check = Callable[[Any], Iterator[str]]
"""Yields a sentence for each problem of a value."""


def problems_of(spec: Any) -> list[str]:
    """Returns a sentence for each problem of a specification that was read from JSON or YAML; an empty list if it is valid."""
    return list(_SPEC(spec)) or list(_check_values(spec))


def advice_of(spec: Any) -> list[str]:
    """Returns a sentence for each part of a valid specification that runtimes accept and that does not work everywhere."""
    return list(dict.fromkeys(sentence for edits in _all_edits(spec).values() for sentence in _advise(edits)))


def _expect(expected: str, is_valid: Callable[[Any], bool]) -> Check:
    def check(value: Any) -> Iterator[str]:
        if not is_valid(value):
            yield f"expected {expected}, found {_describe(value)}"

    return check


def _describe(value: Any) -> str:
    if isinstance(value, int) and value.bit_length() > 64:
        return "a number of more than 64 bits"
    kinds = {dict: "a mapping", list: "a list", type(None): "nothing"}
    return kinds.get(type(value)) or f"{value!r:.40}"


def _integer(least: int, most: int) -> Check:
    def is_valid(value: Any) -> bool:
        return isinstance(value, int) and not isinstance(value, bool) and least <= value <= most

    return _expect(f"an integer from {least} to {most}", is_valid)


def _array(item: Check) -> Check:
    def check(value: Any) -> Iterator[str]:
        yield from _LIST(value)
        for index, each in enumerate(value if isinstance(value, list) else ()):
            yield from (f"[{index}]: {why}" for why in item(each))

    return check


def _strings_by_name(value: Any) -> Iterator[str]:
    yield from _MAPPING(value)
    for name, text in value.items() if isinstance(value, dict) else ():
        yield from (f"{name}: {problem}" for problem in _STRING(text))


def _object(required: dict[str, Check], optional: dict[str, Check]) -> Check:
    fields = required | optional

    def check(value: Any) -> Iterator[str]:
        if not isinstance(value, dict):
            yield from _MAPPING(value)
            return
        others = {str(name).lower() for name, field in value.items() if name not in fields and field is not None}
        missing = (name for name in required if value.get(name) is None)
        yield from (f"{name} is missing" for name in missing if name.lower() not in others)
        for name, field in value.items():
            if name not in fields:
                yield _describe_unknown(str(name), fields)
            elif field is not None:
                yield from (_join(name, why) for why in fields[name](field))

    return check


def _join(name: str, why: str) -> str:
    """`devices` and `[0]: name is missing` become `devices[0]: name is missing`."""
    return f"{name}{why}" if why.startswith("[") else f"{name}: {why}"


def _describe_unknown(name: str, fields: Iterable[str]) -> str:
    near = next((each for each in fields if each.lower() == name.lower()), None)
    if near is None:
        return f"{name} is unknown"
    return f"{name}: write {near}. Container runtimes refuse other cases since version 1.1.1 of the CDI library"


_LIST = _expect("a list", lambda value: isinstance(value, list))
_MAPPING = _expect("a mapping", lambda value: isinstance(value, dict))
_STRING = _expect("a string", lambda value: isinstance(value, str))
_NONEMPTY = _expect("a string that is not empty", lambda value: isinstance(value, str) and bool(value))
_BOOLEAN = _expect("true or false", lambda value: isinstance(value, bool))
_NUMBER = _integer(0, 2**63 - 1)
_UINT32 = _integer(0, 2**32 - 1)
_NODE = _object(
    {"path": _NONEMPTY},
    {
        "hostPath": _STRING,
        "permissions": _STRING,
        "type": _STRING,
        "major": _NUMBER,
        "minor": _NUMBER,
        "fileMode": _UINT32,
    }
    | {"uid": _UINT32, "gid": _UINT32},
)
_MOUNT = _object({"hostPath": _NONEMPTY, "containerPath": _NONEMPTY}, {"options": _array(_STRING), "type": _STRING})
_HOOK = _object(
    {"hookName": _NONEMPTY, "path": _NONEMPTY},
    {"args": _array(_STRING), "env": _array(_NONEMPTY), "timeout": _UINT32},
)
_RDT = _object(
    {},
    {"closID": _STRING, "l3CacheSchema": _STRING, "memBwSchema": _STRING}
    | {"schemata": _array(_STRING), "enableMonitoring": _BOOLEAN}
    | {"enableCMT": _BOOLEAN, "enableMBM": _BOOLEAN},
)
_NET_DEVICE = _object({"hostInterfaceName": _NONEMPTY, "name": _NONEMPTY}, {})
_EDITS = _object(
    {},
    {"env": _array(_NONEMPTY), "deviceNodes": _array(_NODE), "mounts": _array(_MOUNT), "hooks": _array(_HOOK)}
    | {"additionalGids": _array(_UINT32), "intelRdt": _RDT, "netDevices": _array(_NET_DEVICE)},
)
_DEVICE = _object({"name": _NONEMPTY, "containerEdits": _EDITS}, {"annotations": _strings_by_name})
_SPEC = _object(
    {"cdiVersion": _NONEMPTY, "kind": _NONEMPTY, "devices": _array(_DEVICE)},
    {"annotations": _strings_by_name, "containerEdits": _EDITS},
)
_KIND_PART = "[a-zA-Z]([a-zA-Z0-9_.-]*[a-zA-Z0-9])?"
_HOOKS = ("prestart", "createRuntime", "createContainer", "startContainer", "poststart", "poststop")
_DEVICE_NAME = r"[a-zA-Z0-9]([a-zA-Z0-9_.:-]*[a-zA-Z0-9])?"
_CLOS_LENGTH = 4095
_NODE_TYPES = frozenset(["", "b", "c", "u", "p"])
_VERSIONS = ("0.3.0", "0.4.0", "0.5.0", "0.6.0", "0.7.0", "0.8.0", "1.0.0", "1.1.0")


def _check_values(spec: Any) -> Iterator[str]:
    """The rules beyond types."""
    if not re.fullmatch(f"{_KIND_PART}/{_KIND_PART}", spec["kind"]):
        yield f"kind: {spec['kind']} is not of the form vendor/class, as in nvidia.com/gpu"
    if spec["cdiVersion"].removeprefix("v") not in _VERSIONS:
        yield f"cdiVersion: {spec['cdiVersion']} is not one of {', '.join(_VERSIONS)}"
    else:
        yield from _check_version(spec)
    names = [device["name"] for device in spec["devices"]]
    for index, name in enumerate(names):
        if not re.fullmatch(_DEVICE_NAME, name):
            yield f"devices[{index}]: {name} is not a device name: use letters, digits and _.:-"
    if not names or len(names) != len(set(names)):
        yield "devices: expected at least one device, and a different name for each"
    for place, edits in _all_edits(spec).items():
        yield from (f"{place}: {why}" for why in _check_edits(edits))
    yield from (
        f"devices[{index}]: containerEdits is empty"
        for index, device in enumerate(spec["devices"])
        if not any(
            value or (name == "intelRdt" and value is not None) for name, value in device["containerEdits"].items()
        )
    )


def _check_version(spec: Any) -> Iterator[str]:
    """The fields that the declared version does not have. Source: SPEC.md, "Released versions"."""
    declared = _VERSIONS.index(spec["cdiVersion"].removeprefix("v"))
    for version, field in dict.fromkeys(_newer_fields(spec)):
        if declared < _VERSIONS.index(version):
            yield f"{field} needs at least cdiVersion {version}, found {spec['cdiVersion']}"
    removed = dict.fromkeys(field for edits in _all_edits(spec).values() for field in _removed_fields(edits))
    if declared >= _VERSIONS.index("1.1.0"):
        yield from (f"{field} does not exist in cdiVersion 1.1.0, which removed it" for field in removed)


def _newer_fields(spec: Any) -> Iterator[tuple[str, str]]:
    """The version and the name of each used field that the first version does not have."""
    if "." in spec["kind"].partition("/")[2]:
        yield "0.6.0", "a dot in the name of the kind"
    for part in (spec, *spec["devices"]):
        if part.get("annotations"):
            yield "0.6.0", "annotations"
        yield from _newer_edits(part.get("containerEdits") or {})
    if any(device["name"][0].isdigit() for device in spec["devices"]):
        yield "0.5.0", "a device name that starts with a digit"


def _newer_edits(edits: Any) -> Iterator[tuple[str, str]]:
    rdt = edits.get("intelRdt") or {}
    uses = {
        ("1.1.0", "netDevices"): edits.get("netDevices"),
        ("1.1.0", "intelRdt.schemata"): rdt.get("schemata") is not None,
        ("1.1.0", "intelRdt.enableMonitoring"): rdt.get("enableMonitoring"),
        ("0.7.0", "intelRdt"): edits.get("intelRdt") is not None,
        ("0.7.0", "additionalGids"): edits.get("additionalGids"),
        ("0.5.0", "hostPath of a device node"): any(node.get("hostPath") for node in edits.get("deviceNodes") or []),
        ("0.4.0", "type of a mount"): any(mount.get("type") for mount in edits.get("mounts") or []),
    }
    yield from (use for use, is_used in uses.items() if is_used)


def _removed_fields(edits: Any) -> Iterator[str]:
    rdt = edits.get("intelRdt") or {}
    yield from (f"intelRdt.{name}" for name in ("enableCMT", "enableMBM") if rdt.get(name) is not None)


def _all_edits(spec: Any) -> dict[str, Any]:
    """Returns the containerEdits of the specification and of each device, by their place."""
    places = {"": spec, **{f"devices[{index}]: ": device for index, device in enumerate(spec["devices"])}}
    return {f"{place}containerEdits": part.get("containerEdits") or {} for place, part in places.items()}


def _lists(edits: Any, *names: str) -> Iterator[list[Any]]:
    yield from (edits.get(name) or [] for name in names)


def _check_edits(edits: Any) -> Iterator[str]:
    nodes, hooks, variables, networks = _lists(edits, "deviceNodes", "hooks", "env", "netDevices")
    variables = [*variables, *(each for hook in hooks for each in hook.get("env") or [])]
    yield from (f"env: {each} is not of the form NAME=VALUE" for each in variables if "=" not in each[1:])
    yield from (
        f"{node['path']}: permissions are not a combination of r, w and m, or none"
        for node in nodes
        if node.get("permissions") != "none" and set(node.get("permissions") or "") - set("rwm")
    )
    yield from (
        f"{node['path']}: type is not b, c, u or p" for node in nodes if (node.get("type") or "") not in _NODE_TYPES
    )
    yield from (
        f"hookName: {hook['hookName']} is not one of {', '.join(_HOOKS)}"
        for hook in hooks
        if hook["hookName"] not in _HOOKS
    )
    for field in ("hostInterfaceName", "name"):
        values = [device[field] for device in networks]
        if len(values) != len(set(values)):
            yield f"netDevices: two network devices have the same {field}"
    clos = (edits.get("intelRdt") or {}).get("closID") or ""
    if clos in (".", "..") or set(clos) & {"/", "\n"} or len(clos) > _CLOS_LENGTH:
        yield f"intelRdt.closID: {clos!r:.40} is not the name of a directory"


def _advise(edits: Any) -> Iterator[str]:
    nodes, mounts, hooks = _lists(edits, "deviceNodes", "mounts", "hooks")
    paths = [path for node in nodes for path in (node["path"], node.get("hostPath") or "/")]
    paths += [path for mount in mounts for path in (mount["hostPath"], mount["containerPath"])]
    paths += [hook["path"] for hook in hooks]
    yield from (
        f"{path} should be an absolute path without .., because runtimes may not find it"
        for path in paths
        if not path.startswith("/") or ".." in path.split("/")
    )
    for name, places in (
        ("mounts", [mount["containerPath"] for mount in mounts]),
        ("deviceNodes", [node["path"] for node in nodes]),
    ):
        twice = dict.fromkeys(place for place in places if places.count(place) > 1)
        yield from (f"{name}: {place} occurs twice, and only one of the two takes effect" for place in twice)
    yield from (
        f"{field} was removed in cdiVersion 1.1.0: newer runtimes refuse the file" for field in _removed_fields(edits)
    )
