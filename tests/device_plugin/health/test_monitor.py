"""The health monitor."""

from collections.abc import Callable
from pathlib import Path

from device_plugin.health.monitor import HealthMonitor
from gpu_core.domain.evidence import XidEvent
from gpu_core.domain.health import HealthPolicy, Phase
from gpu_core.domain.inventory import Driver, Gpu, GpuUuid, Inventory
from gpu_core.health.state_file import StateFile
from gpu_core.health.tracker import HealthTracker
from node_core.runtime.services import Services

DRIVER = Driver(version="550.54.15", cuda=None)
MakeGpu = Callable[..., Gpu]


def test_an_agent_that_restarts_in_its_process_does_not_read_the_file_again(gpu: MakeGpu, tmp_path: Path) -> None:
    file = StateFile(tmp_path / "health.json", "boot")
    monitor = HealthMonitor("gpu-device-plugin", Services(), lambda: None, file=file)
    monitor.start()
    monitor.discovery_succeeded(Inventory(driver=DRIVER, gpus=(gpu(0),)), 10.0)
    other = HealthTracker(HealthPolicy())
    other.record_xids([XidEvent(xid=79, gpu=GpuUuid("GPU-0"), at=1.0)])
    StateFile(tmp_path / "health.json", "boot").write(other.healths)
    monitor.start()
    assert [assessment.phase for assessment in monitor.gpu_assessments] == [Phase.HEALTHY]
