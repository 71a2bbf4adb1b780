"""Reports of GPU health."""

from collections.abc import Callable

from device_plugin.devices import Plan
from device_plugin.health.monitor import HealthMonitor
from gpu_core.domain.health import HealthPolicy
from gpu_core.domain.inventory import Driver, Gpu, Inventory
from node_core.runtime.services import Services

DRIVER = Driver(version="550.54.15", cuda=None)
MakeGpu = Callable[..., Gpu]


def test_the_metric_of_a_removed_gpu_is_removed(gpu: MakeGpu) -> None:
    services = Services()
    monitor = HealthMonitor("gpu-device-plugin", services, lambda: None)
    for gpus in ((gpu(0), gpu(1)), (gpu(0),)):
        monitor.discovery_succeeded(Inventory(driver=DRIVER, gpus=gpus), 10.0)
        monitor.process_xids(HealthPolicy(), Plan())
    assert services.metrics.render().count(b"gpunode_gpu_health{") == 1
