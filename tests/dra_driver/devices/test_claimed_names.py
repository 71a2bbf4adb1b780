"""The other agents know the devices of claims by the names of this package."""

from dra_driver.devices.collect import devices_of
from dra_driver.names import DRIVER
from gpu_core.pods.device_names import DeviceKey, name_devices
from node_core.kubelet.podresources import ClaimedDevice
from node_core.values import replace
from tests.dra_driver.devices.gpus import gpu, inventory, mig_device, mig_of
from tests.gpu_core.mig.boards import instance


def test_each_device_that_exists_is_found_by_its_name() -> None:
    devices = (
        mig_device(7, "1g.10gb+me", 0),
        mig_device(8, "1g.10gb", 1),
        mig_device(1, "1c.3g.40gb", 4, 0),
        mig_device(1, "2c.3g.40gb", 4, 1),
    )
    divided = gpu(3, mig_enabled=True, mig_devices=devices)
    instances = (
        instance(1, "3g.40gb", 4, "1c.3g.40gb", "2c.3g.40gb"),
        instance(7, "1g.10gb+me", 0),
        instance(8, "1g.10gb", 1),
    )
    found = inventory(gpu(0), divided)
    offered = devices_of(found, [replace(mig_of(divided), instances=instances)])
    assert len(offered) == 5
    names = name_devices(found.gpus)
    for device in offered:
        claimed = ClaimedDevice(driver=DRIVER, device=device.name, cdi=())
        assert names.find_claimed(claimed) == DeviceKey(
            device.gpu.uuid, device.mig.gpu_instance if device.mig else None
        )
