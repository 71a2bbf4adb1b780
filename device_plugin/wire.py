"""Renders the plugin's values as messages of the kubelet's device plugin API. PURE."""

from collections.abc import Iterable

from device_plugin.allocate.response import Response
from device_plugin.devices import Device
from node_core.kubelet import deviceplugin_pb2 as pb
from node_core.kubelet.sockets import HEALTHY, UNHEALTHY


def render_devices(devices: Iterable[Device]) -> pb.ListAndWatchResponse:
    return pb.ListAndWatchResponse(devices=[render_device(device) for device in devices])


def render_device(device: Device) -> pb.Device:
    """Omits the topology if the NUMA node is unknown. The kubelet then treats the device as local to every NUMA node."""
    nodes = [] if device.numa_node is None else [pb.NUMANode(ID=device.numa_node)]
    return pb.Device(
        ID=device.id,
        health=HEALTHY if device.is_healthy else UNHEALTHY,
        topology=pb.TopologyInfo(nodes=nodes) if nodes else None,
    )


def render_response(response: Response) -> pb.ContainerAllocateResponse:
    return pb.ContainerAllocateResponse(
        envs=response.env,
        mounts=[
            pb.Mount(container_path=mount.container_path, host_path=mount.host_path, read_only=mount.read_only)
            for mount in response.mounts
        ],
        devices=[
            pb.DeviceSpec(container_path=node.container_path, host_path=node.host_path, permissions=node.permissions)
            for node in response.devices
        ],
        annotations=response.annotations,
        cdi_devices=[pb.CDIDevice(name=name) for name in response.cdi_devices],
    )
