"""What the container runtime is told about a container's devices. PURE.

Each device list strategy is one function from devices to a Response; a container's answer is all of them together.
Source: NVIDIA Container Toolkit, environment variables.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal

from device_plugin.devices import Device, DeviceId
from node_core.domain.resources import ResourceName
from node_core.errors import NodeError

VISIBLE_DEVICES = "NVIDIA_VISIBLE_DEVICES"
IdStrategy = Literal["uuid", "index"]


class AllocationError(NodeError):
    """The kubelet asked for what cannot be had. code: the name of the gRPC status that says so."""

    retryable = False

    def __init__(self, code: Literal["NOT_FOUND", "FAILED_PRECONDITION"], message: str) -> None:
        super().__init__(message)
        self.code = code


@dataclass(frozen=True, slots=True, kw_only=True)
class Mount:
    container_path: str
    host_path: str
    read_only: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class DeviceNode:
    """permissions: some of r, w and m."""

    container_path: str
    host_path: str
    permissions: str = "rw"


@dataclass(frozen=True, slots=True, kw_only=True)
class Response:
    """One container's ContainerAllocateResponse. cdi_devices: fully qualified names."""

    env: Mapping[str, str] = field(default_factory=dict)
    mounts: tuple[Mount, ...] = ()
    devices: tuple[DeviceNode, ...] = ()
    annotations: Mapping[str, str] = field(default_factory=dict)
    cdi_devices: tuple[str, ...] = ()


Strategy = Callable[[Sequence[Device]], Response]
"""From a container's devices, at least one, in the order of the request and each once."""


def respond(
    resource: ResourceName,
    devices: Mapping[DeviceId, Device],
    ids: Sequence[str],
    strategies: Sequence[Strategy],
) -> Response:
    """The answer for one container. Raises AllocationError: an unknown id, or one that is unhealthy by now."""
    chosen = [_find(resource, devices, each) for each in dict.fromkeys(ids)]
    return _together([strategy(chosen) for strategy in strategies]) if chosen else Response()


def _find(resource: ResourceName, devices: Mapping[DeviceId, Device], wanted: str) -> Device:
    device = devices.get(DeviceId(wanted))
    if device is None:
        raise AllocationError("NOT_FOUND", f"{resource} has no device {wanted!r}")
    if device.why_unhealthy is not None:
        why = f"{resource} device {wanted!r} is unhealthy: {device.why_unhealthy}"
        raise AllocationError("FAILED_PRECONDITION", why)
    return device


def _together(parts: Sequence[Response]) -> Response:
    return Response(
        env={name: value for part in parts for name, value in part.env.items()},
        mounts=tuple(mount for part in parts for mount in part.mounts),
        devices=tuple(node for part in parts for node in part.devices),
        annotations={name: value for part in parts for name, value in part.annotations.items()},
        cdi_devices=tuple(name for part in parts for name in part.cdi_devices),
    )
