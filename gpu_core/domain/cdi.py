"""Specs of the Container Device Interface: how a container runtime edits a container that gets a device. PURE.

Source: Container Device Interface Specification 1.1.0 (github.com/cncf-tags/container-device-interface, SPEC.md and its JSON schema).
"""

import re
from collections.abc import Callable, Hashable, Iterable
from typing import Any, TypeVar

import msgspec

from node_core.values import replace

VENDOR = "k8s.device-plugin.nvidia.com"
"""Of the specs that gpu-device-plugin and NVIDIA's device plugin write."""
READ_ONLY = ("ro", "nosuid", "nodev", "rbind", "rprivate")
"""Mount options for files."""
SOCKET = ("nosuid", "nodev", "rbind", "rprivate", "noexec")
"""Mount options for sockets. Connecting to a socket needs a writable mount."""
ALL = "all"
"""The name of the device that has the edits of all devices of its spec."""

_DEVICE_NAME = re.compile(r"[A-Za-z0-9](?:[-A-Za-z0-9_.:]*[A-Za-z0-9])?")
_T = TypeVar("_T")


class DeviceNodeEdit(msgspec.Struct, frozen=True, kw_only=True):
    """path: in the container. major, minor: None if the node could not be read. file_mode: permission bits. gid: 0 is root."""

    path: str
    host_path: str
    major: int | None = None
    minor: int | None = None
    file_mode: int | None = None
    gid: int = 0
    permissions: str = "rwm"


class MountEdit(msgspec.Struct, frozen=True, kw_only=True):
    host_path: str
    container_path: str
    options: tuple[str, ...] = READ_ONLY


class HookEdit(msgspec.Struct, frozen=True, kw_only=True):
    """path: of the program, on the host. args: argv, including the name of the program."""

    path: str
    args: tuple[str, ...]
    env: tuple[str, ...] = ()
    name: str = "createContainer"


class Edits(msgspec.Struct, frozen=True, kw_only=True):
    """env: `NAME=value`. additional_gids: groups that the container's process joins."""

    env: tuple[str, ...] = ()
    device_nodes: tuple[DeviceNodeEdit, ...] = ()
    mounts: tuple[MountEdit, ...] = ()
    hooks: tuple[HookEdit, ...] = ()
    additional_gids: tuple[int, ...] = ()

    def __bool__(self) -> bool:
        return bool(self.env or self.device_nodes or self.mounts or self.hooks or self.additional_gids)


class CdiDevice(msgspec.Struct, frozen=True, kw_only=True):
    """Raises ValueError for an invalid name or for empty edits."""

    name: str
    edits: Edits

    def __post_init__(self) -> None:
        if not is_device_name(self.name):
            raise ValueError(f"{self.name!r} is not a valid CDI device name")
        if not self.edits:
            raise ValueError(f"CDI device {self.name!r} has no edits")


class Spec(msgspec.Struct, frozen=True, kw_only=True):
    """kind: `<vendor>/<class>`. devices: at least one. edits: apply to each device of the spec."""

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
    """The file name of the spec of a kind."""
    return f"{kind.replace('/', '-')}.json"


def is_device_name(name: str) -> bool:
    """Whether the name has only letters, digits, `-`, `_`, `.` and `:`, with a letter or digit first and last."""
    return _DEVICE_NAME.fullmatch(name) is not None


def merge(parts: Iterable[Edits]) -> Edits:
    """Combines edits without duplicates. Of two mounts or nodes at one path in the container, the first remains."""
    edits = tuple(parts)
    return Edits(
        env=_unique((each for part in edits for each in part.env), str),
        device_nodes=_unique((each for part in edits for each in part.device_nodes), lambda node: node.path),
        mounts=_unique((each for part in edits for each in part.mounts), lambda mount: mount.container_path),
        hooks=_unique((each for part in edits for each in part.hooks), lambda hook: hook),
        additional_gids=_unique((each for part in edits for each in part.additional_gids), int),
    )


def with_all(devices: Iterable[CdiDevice]) -> tuple[CdiDevice, ...]:
    """Adds the device `all`, unless there are no devices or one of them has that name."""
    devices = tuple(devices)
    if not devices or any(device.name == ALL for device in devices):
        return devices
    return (*devices, CdiDevice(name=ALL, edits=merge(device.edits for device in devices)))


def make_spec(kind: str, devices: Iterable[CdiDevice], common: Edits = Edits()) -> Spec | None:
    """A sorted spec without duplicates; of two devices with one name, the first remains. None without devices.

    A device does not repeat the common edits, unless the device would have no edits left.
    """
    by_name = {device.name: device for device in reversed(tuple(devices))}
    common = _sorted(merge([common]))
    specific = tuple(_without(by_name[name], common) for name in sorted(by_name))
    return Spec(kind=kind, devices=specific, edits=common) if specific else None


def without_groups(spec: Spec) -> Spec:
    """The spec without additional groups, which need version 0.7.0 of the specification."""
    return replace(
        spec,
        edits=replace(spec.edits, additional_gids=()),
        devices=tuple(replace(device, edits=replace(device.edits, additional_gids=())) for device in spec.devices),
    )


def minimum_version(spec: Spec) -> str:
    """The oldest version of the specification with all features of the spec. Old runtimes reject newer versions."""
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
    """The content of the spec's file."""
    rendered: dict[str, Any] = {
        "cdiVersion": minimum_version(spec),
        "kind": spec.kind,
        "devices": [{"name": device.name, "containerEdits": _render_edits(device.edits)} for device in spec.devices],
    }
    return rendered | _non_empty(containerEdits=_render_edits(spec.edits))


def _unique(items: Iterable[_T], key: Callable[[_T], Hashable]) -> tuple[_T, ...]:
    first: dict[Hashable, _T] = {}
    for item in items:
        first.setdefault(key(item), item)
    return tuple(first.values())


def _without(device: CdiDevice, common: Edits) -> CdiDevice:
    edits = merge([device.edits])
    specific = Edits(
        **{name: _difference(getattr(edits, name), getattr(common, name)) for name in Edits.__struct_fields__}
    )
    return CdiDevice(name=device.name, edits=_sorted(specific or edits))


def _difference(items: tuple[_T, ...], others: tuple[_T, ...]) -> tuple[_T, ...]:
    return tuple(item for item in items if item not in others)


def _sorted(edits: Edits) -> Edits:
    """Sorts nodes and mounts by depth and then by name, so that a mount comes after the mount that contains it."""
    return replace(
        edits,
        device_nodes=tuple(sorted(edits.device_nodes, key=lambda node: (node.path.count("/"), node.path))),
        mounts=tuple(sorted(edits.mounts, key=lambda mount: (mount.container_path.count("/"), mount.container_path))),
        additional_gids=tuple(sorted(edits.additional_gids)),
    )


def _render_edits(edits: Edits) -> dict[str, Any]:
    return _non_empty(
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
        **_non_empty(hostPath=node.host_path if node.host_path != node.path else None),
        **{name: number for name, number in numbers.items() if number is not None},
        "permissions": node.permissions,
        **_non_empty(gid=node.gid),
    }


def _render_hook(hook: HookEdit) -> dict[str, Any]:
    return {"hookName": hook.name, "path": hook.path, **_non_empty(args=list(hook.args), env=list(hook.env))}


def _render_mount(mount: MountEdit) -> dict[str, Any]:
    return {"hostPath": mount.host_path, "containerPath": mount.container_path, "options": list(mount.options)}


def _non_empty(**values: Any) -> dict[str, Any]:
    return {name: value for name, value in values.items() if value}
