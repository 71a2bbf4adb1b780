"""What the node offers: the conflict with gpu-device-plugin, and the health for the kubelet."""

import pytest

from dra_driver.devices.collect import devices_of
from dra_driver.kubelet.health import DeviceHealth
from dra_driver.offer import device_healths, find_plugin_resources, plugin_problem
from dra_driver.slices.taints import DeviceTaint
from node_core.domain.node import NodeView
from tests.dra_driver.devices.gpus import gpu, inventory

NODE = NodeView(name="n1", uid="u", resource_version="1", labels={})


@pytest.mark.parametrize(
    ("allocatable", "found"),
    [
        ({}, ()),
        ({"cpu": "8", "nvidia.com/gpu": "0"}, ()),
        ({"nvidia.com/gpu": "2", "nvidia.com/mig-1g.10gb": "7"}, ("nvidia.com/gpu", "nvidia.com/mig-1g.10gb")),
        ({"nvidia.com/gpu.shared": "8"}, ("nvidia.com/gpu.shared",)),
    ],
)
def test_resources_of_the_device_plugin_are_a_conflict(allocatable: dict[str, str], found: tuple[str, ...]) -> None:
    resources = find_plugin_resources(allocatable)
    assert resources == found
    assert (plugin_problem(resources) is None) == (not found)


def test_a_tainted_device_is_unhealthy_and_after_a_failed_discovery_all_are_unknown() -> None:
    devices = devices_of(inventory(gpu(0), gpu(1)))
    taints = {"gpu-1": (DeviceTaint(key="gpu.nvidia.com/xid", value="79"), DeviceTaint(key="gpu.nvidia.com/gpu-lost"))}
    assert device_healths(devices, taints, "n1", is_known=True) == [
        DeviceHealth(pool="n1", device="gpu-0", is_healthy=True),
        DeviceHealth(pool="n1", device="gpu-1", is_healthy=False, message="gpu.nvidia.com/xid=79, gpu.nvidia.com/gpu-lost"),
    ]  # fmt: skip
    assert {each.is_healthy for each in device_healths(devices, taints, "n1", is_known=False)} == {None}
