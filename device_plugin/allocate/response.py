"""The response to Allocate: how the container runtime makes a container's devices available. PURE.

Each device list strategy is one function from devices to a Response; the response for a container merges all of them.
Source: NVIDIA Container Toolkit, environment variables.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Literal

import msgspec

from device_plugin.devices import Device, DeviceId
from gpu_core.domain.resources import ResourceName
from node_core.errors import NodeError

VISIBLE_DEVICES = "NVIDIA_VISIBLE_DEVICES"
IdStrategy = Literal["uuid", "index"]


class AllocationError(NodeError):
    """A device that cannot be allocated. code: the name of the gRPC status."""

    def __init__(self, code: Literal["NOT_FOUND", "FAILED_PRECONDITION"], message: str) -> None:
        super().__init__(message)
        self.code = code


class Mount(msgspec.Struct, frozen=True, kw_only=True):
    container_path: str
    host_path: str
    read_only: bool = False


class DeviceNode(msgspec.Struct, frozen=True, kw_only=True):
    """A device node in a container. permissions: a combination of r, w and m."""

    container_path: str
    host_path: str
    permissions: str = "rw"


class Response(msgspec.Struct, frozen=True, kw_only=True):
    """The ContainerAllocateResponse for one container. cdi_devices: fully qualified names."""

    env: Mapping[str, str] = msgspec.field(default_factory=dict)
    mounts: tuple[Mount, ...] = ()
    devices: tuple[DeviceNode, ...] = ()
    annotations: Mapping[str, str] = msgspec.field(default_factory=dict)
    cdi_devices: tuple[str, ...] = ()


Strategy = Callable[[Sequence[Device]], Response]
"""Builds a Response from the devices of a container, in the order of the request, without duplicates. Without devices, the variable of the
device list is empty, which overrides a variable `all` of the image."""


def build_response(
    resource: ResourceName,
    devices: Mapping[DeviceId, Device],
    ids: Sequence[str],
    strategies: Sequence[Strategy],
) -> Response:
    """Builds the response for one container. Raises AllocationError if an id is unknown or the device has become unhealthy."""
    chosen = [_find(resource, devices, each) for each in dict.fromkeys(ids)]
    parts = [strategy(chosen) for strategy in strategies]
    if len(parts) == 1:
        return parts[0]
    return Response(
        env={name: value for part in parts for name, value in part.env.items()},
        mounts=tuple(mount for part in parts for mount in part.mounts),
        devices=tuple(node for part in parts for node in part.devices),
        annotations={name: value for part in parts for name, value in part.annotations.items()},
        cdi_devices=tuple(name for part in parts for name in part.cdi_devices),
    )


def _find(resource: ResourceName, devices: Mapping[DeviceId, Device], id_: str) -> Device:
    device = devices.get(DeviceId(id_))
    if device is None:
        raise AllocationError("NOT_FOUND", f"{resource} has no device {id_!r}")
    if device.why_unhealthy is not None:
        raise AllocationError("FAILED_PRECONDITION", f"{resource} device {id_!r} is unhealthy: {device.why_unhealthy}")
    return device
