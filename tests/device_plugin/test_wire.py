"""The kubelet's messages."""

from device_plugin.allocate.response import DeviceNode, Mount, Response
from device_plugin.devices import Device, DeviceId
from device_plugin.wire import render_device, render_response
from gpu_core.domain.inventory import GpuUuid
from node_core.kubelet import deviceplugin_pb2 as pb


def device(*, numa: int | None = None, why: str | None = None) -> Device:
    return Device(
        id=DeviceId("GPU-0"), uuid="GPU-0", index="0", gpu=GpuUuid("GPU-0"), numa_node=numa, why_unhealthy=why
    )


def test_a_device_has_its_health_and_numa_node() -> None:
    topology = pb.TopologyInfo(nodes=[pb.NUMANode(ID=1)])
    assert render_device(device(numa=1, why="lost")) == pb.Device(ID="GPU-0", health="Unhealthy", topology=topology)


def test_a_device_on_an_unknown_numa_node_has_no_topology() -> None:
    assert not render_device(device()).HasField("topology")


def test_a_response_has_all_of_its_parts() -> None:
    response = Response(
        env={"A": "1"},
        mounts=(Mount(container_path="/c", host_path="/h", read_only=True),),
        devices=(DeviceNode(container_path="/dev/c", host_path="/dev/h"),),
        annotations={"key": "value"},
        cdi_devices=("vendor/class=name",),
    )
    assert render_response(response) == pb.ContainerAllocateResponse(
        envs={"A": "1"},
        mounts=[pb.Mount(container_path="/c", host_path="/h", read_only=True)],
        devices=[pb.DeviceSpec(container_path="/dev/c", host_path="/dev/h", permissions="rw")],
        annotations={"key": "value"},
        cdi_devices=[pb.CDIDevice(name="vendor/class=name")],
    )
