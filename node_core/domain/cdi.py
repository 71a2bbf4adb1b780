"""Specs of the Container Device Interface: what a container runtime does to a container that gets a device. PURE.

Source: Container Device Interface Specification 1.1.0 (github.com/cncf-tags/container-device-interface, SPEC.md and its JSON schema).
"""

import re
from collections.abc import Callable, Hashable, Iterable
from dataclasses import dataclass, replace
from typing import Any, TypeVar

READ_ONLY = ("ro", "nosuid", "nodev", "rbind", "rprivate")
"""How files are mounted."""
SOCKET = ("nosuid", "nodev", "rbind", "rprivate", "noexec")
"""How sockets are mounted: connecting to one needs a mount that can be written."""
ALL = "all"
"""The device that is all devices of its spec together."""

_DEVICE_NAME = re.compile(r"[A-Za-z0-9](?:[-A-Za-z0-9_.:]*[A-Za-z0-9])?")
_T = TypeVar("_T")


@dataclass(frozen=True, slots=True, kw_only=True)
class DeviceNodeEdit:
    """path: in the container. major, minor: None where the node could not be looked at. file_mode: permission bits. gid: 0 is root."""

    path: str
    host_path: str
    major: int | None = None
    minor: int | None = None
    file_mode: int | None = None
    gid: int = 0
    permissions: str = "rwm"


@dataclass(frozen=True, slots=True, kw_only=True)
class MountEdit:
    host_path: str
    container_path: str
    options: tuple[str, ...] = READ_ONLY


@dataclass(frozen=True, slots=True, kw_only=True)
class HookEdit:
    """path: of the program, on the host. args: its argv, with its own name first."""

    path: str
    args: tuple[str, ...]
    env: tuple[str, ...] = ()
    name: str = "createContainer"


@dataclass(frozen=True, slots=True, kw_only=True)
class Edits:
    """env: `NAME=value`. additional_gids: groups that the container's process joins."""

    env: tuple[str, ...] = ()
    device_nodes: tuple[DeviceNodeEdit, ...] = ()
    mounts: tuple[MountEdit, ...] = ()
    hooks: tuple[HookEdit, ...] = ()
    additional_gids: tuple[int, ...] = ()

    def __bool__(self) -> bool:
        return bool(self.env or self.device_nodes or self.mounts or self.hooks or self.additional_gids)


@dataclass(frozen=True, slots=True, kw_only=True)
class CdiDevice:
    """Raises ValueError for a name or for edits that no runtime takes."""

    name: str
    edits: Edits

    def __post_init__(self) -> None:
        if not is_device_name(self.name):
            raise ValueError(f"{self.name!r} is no CDI device name")
        if not self.edits:
            raise ValueError(f"CDI device {self.name!r} has no edits")


@dataclass(frozen=True, slots=True, kw_only=True)
class Spec:
    """kind: `<vendor>/<class>`. devices: at least one. edits: made for each device of the spec."""

    kind: str
    devices: tuple[CdiDevice, ...]
    edits: Edits = Edits()

    def __post_init__(self) -> None:
        if not self.devices:
            raise ValueError(f"CDI spec {self.kind} has no devices")

    @property
    def file_name(self) -> str:
        return spec_file_name(self.kind)


def spec_file_name(kind: str) -> str:
    """What the file of a kind's spec is called."""
    return f"{kind.replace('/', '-')}.json"


def is_device_name(name: str) -> bool:
    """Letters, digits, `-`, `_`, `.` and `:`, and a letter or digit at both ends."""
    return _DEVICE_NAME.fullmatch(name) is not None


def merge(parts: Iterable[Edits]) -> Edits:
    """All of them, each thing once. Of two mounts or nodes at one place in the container the first counts."""
    edits = tuple(parts)
    return Edits(
        env=_unique((each for part in edits for each in part.env), str),
        device_nodes=_unique((each for part in edits for each in part.device_nodes), lambda node: node.path),
        mounts=_unique((each for part in edits for each in part.mounts), lambda mount: mount.container_path),
        hooks=_unique((each for part in edits for each in part.hooks), lambda hook: hook),
        additional_gids=_unique((each for part in edits for each in part.additional_gids), int),
    )


def with_all(devices: Iterable[CdiDevice]) -> tuple[CdiDevice, ...]:
    """These and the device `all`, unless there are none or one of them is called so."""
    given = tuple(devices)
    if not given or any(device.name == ALL for device in given):
        return given
    return (*given, CdiDevice(name=ALL, edits=merge(device.edits for device in given)))


def make_spec(kind: str, devices: Iterable[CdiDevice], common: Edits = Edits()) -> Spec | None:
    """Sorted, and nothing twice; of two devices of one name the first counts. None without devices.

    What is common is not said again by a device, unless nothing would be left of it.
    """
    named = {device.name: device for device in reversed(tuple(devices))}
    common = _sorted(merge([common]))
    own = tuple(_own(named[name], common) for name in sorted(named))
    return Spec(kind=kind, devices=own, edits=common) if own else None


def minimum_version(spec: Spec) -> str:
    """The oldest version of the specification that knows all that the spec says: old runtimes refuse newer ones."""
    parts = [spec.edits, *(device.edits for device in spec.devices)]
    if any(part.additional_gids for part in parts):
        return "0.7.0"
    if "." in spec.kind.partition("/")[2]:
        return "0.6.0"
    if any(device.name[0].isdigit() for device in spec.devices):
        return "0.5.0"
    if any(node.host_path != node.path for part in parts for node in part.device_nodes):
        return "0.5.0"
    return "0.3.0"


def render_spec(spec: Spec) -> dict[str, Any]:
    """What the spec's file holds."""
    rendered: dict[str, Any] = {
        "cdiVersion": minimum_version(spec),
        "kind": spec.kind,
        "devices": [{"name": device.name, "containerEdits": _render_edits(device.edits)} for device in spec.devices],
    }
    return rendered | _given(containerEdits=_render_edits(spec.edits))


def _unique(things: Iterable[_T], key: Callable[[_T], Hashable]) -> tuple[_T, ...]:
    first: dict[Hashable, _T] = {}
    for thing in things:
        first.setdefault(key(thing), thing)
    return tuple(first.values())


def _own(device: CdiDevice, common: Edits) -> CdiDevice:
    own = merge([device.edits])
    left = Edits(
        env=tuple(each for each in own.env if each not in common.env),
        device_nodes=tuple(each for each in own.device_nodes if each not in common.device_nodes),
        mounts=tuple(each for each in own.mounts if each not in common.mounts),
        hooks=tuple(each for each in own.hooks if each not in common.hooks),
        additional_gids=tuple(each for each in own.additional_gids if each not in common.additional_gids),
    )
    return CdiDevice(name=device.name, edits=_sorted(left or own))


def _sorted(edits: Edits) -> Edits:
    """Nodes and mounts by depth and then name: what is mounted below another mount comes after it."""
    return replace(
        edits,
        device_nodes=tuple(sorted(edits.device_nodes, key=lambda node: (node.path.count("/"), node.path))),
        mounts=tuple(sorted(edits.mounts, key=lambda mount: (mount.container_path.count("/"), mount.container_path))),
        additional_gids=tuple(sorted(edits.additional_gids)),
    )


def _render_edits(edits: Edits) -> dict[str, Any]:
    return _given(
        env=list(edits.env),
        deviceNodes=[_render_node(node) for node in edits.device_nodes],
        hooks=[_render_hook(hook) for hook in edits.hooks],
        mounts=[_render_mount(mount) for mount in edits.mounts],
        additionalGids=list(edits.additional_gids),
    )


def _render_node(node: DeviceNodeEdit) -> dict[str, Any]:
    numbers = {"major": node.major, "minor": node.minor, "fileMode": node.file_mode}
    return {
        "path": node.path,
        **_given(hostPath=node.host_path if node.host_path != node.path else None),
        **{name: number for name, number in numbers.items() if number is not None},
        "permissions": node.permissions,
        **_given(gid=node.gid),
    }


def _render_hook(hook: HookEdit) -> dict[str, Any]:
    return {"hookName": hook.name, "path": hook.path, **_given(args=list(hook.args), env=list(hook.env))}


def _render_mount(mount: MountEdit) -> dict[str, Any]:
    return {"hostPath": mount.host_path, "containerPath": mount.container_path, "options": list(mount.options)}


def _given(**fields: Any) -> dict[str, Any]:
    """Only those that say something."""
    return {name: value for name, value in fields.items() if value}
