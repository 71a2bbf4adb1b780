"""Scenarios of GPU faults, and the resulting lines at the kubelet, the Node, the pods and the log, compared with golden files."""

from collections.abc import Callable
from pathlib import Path

import pytest

from device_plugin.settings import PluginSettings
from gpu_core.domain.evidence import RecoveryAction, XidEvent
from gpu_core.domain.inventory import Fault, Gpu
from gpu_core.domain.resources import GPU
from gpu_core.domain.sharing import SharedResource, Sharing, SharingStrategy
from node_core.values import replace
from tests.conftest import Golden
from tests.device_plugin.health.timeline import World

MakeGpu = Callable[..., Gpu]
EVENT = XidEvent(xid=0)
pytestmark = pytest.mark.golden


def four(gpu: MakeGpu) -> World:
    world = World(tuple(gpu(index) for index in range(4)))
    for each in world.gpus:
        world.set_state(each.uuid)
    return world


def test_an_xid_makes_a_gpu_unhealthy_until_the_driver_reports_recovery(gpu: MakeGpu, golden: Golden) -> None:
    world = four(gpu)
    world.pods = {"trainer": "GPU-1", "other": "GPU-2"}
    world.wait(10)
    world.set_state(world.gpus[1].uuid, recovery_action=RecoveryAction.RESET)
    world.xid(95, world.gpus[1])
    world.wait(120)
    world.note("the GPU is reset")
    world.set_state(world.gpus[1].uuid)
    world.sync()
    world.wait(120)
    golden("health/xid-reset-return.txt", world.text)


def test_without_recovery_actions_of_the_driver_the_xid_table_decides(gpu: MakeGpu, golden: Golden) -> None:
    world = World((gpu(0), gpu(1)))
    world.wait(5)
    world.xid(125, world.gpus[0])
    world.wait(70)
    world.xid(48, world.gpus[1])
    world.wait(3600)
    world.sync()
    world.note("the GPU is taken out for its reset")
    world.gpus = (world.gpus[0],)
    world.sync()
    world.wait(5)
    world.note("it is back")
    world.gpus = (world.gpus[0], gpu(1))
    world.sync()
    world.wait(120)
    golden("health/older-driver.txt", world.text)


def test_a_gpu_falls_off_the_bus_under_load_and_returns(gpu: MakeGpu, golden: Golden) -> None:
    world = four(gpu)
    all_four = world.gpus
    world.pods = {"trainer": "GPU-3"}
    world.wait(5)
    world.gpus, world.faults = (
        all_four[:3],
        (Fault(index=3, uuid=all_four[3].uuid, reason="nvmlDeviceGetName returned GPU_IS_LOST"),),
    )
    world.xid(79, all_four[3])
    world.wait(300)
    world.note("the node was not rebooted, the GPU was put back on the bus")
    world.gpus, world.faults = all_four, ()
    world.sync()
    world.wait(120)
    golden("health/lost-and-back.txt", world.text)


def test_a_storm_of_xids_is_reported_once(gpu: MakeGpu, golden: Golden) -> None:
    world = four(gpu)
    world.pods = {"trainer": "GPU-0"}
    for _ in range(700):
        for xid in (31, 119):
            world.health.queue.add(replace(EVENT, xid=xid, gpu=world.gpus[0].uuid, at=world.now))
        world.wait(1)
        if world.now % 100 == 0:
            world.sync()
    world.xid(31, world.gpus[0], count=10_000)
    golden("health/storm.txt", world.text)


def test_an_xid_of_one_mig_device_does_not_affect_the_others(gpu: MakeGpu, golden: Golden) -> None:
    world = World(
        (gpu(0, ["1g.10gb", "1g.10gb", "1g.10gb"]), gpu(1, ["1g.10gb"])), PluginSettings(mig_strategy="single")
    )
    for each in world.gpus:
        world.set_state(each.uuid)
    world.pods = {"first": "MIG-0-1", "second": "MIG-0-2"}
    world.wait(5)
    world.xid(48, world.gpus[0], instance=1)
    world.wait(100)
    world.xid(79, world.gpus[0], instance=1)
    golden("health/mig.txt", world.text)


def test_all_replicas_of_a_gpu_become_unhealthy_and_healthy_together(gpu: MakeGpu, golden: Golden) -> None:
    shared = SharedResource(resource=GPU, replicas=3, advertised=GPU)
    sharing = Sharing(strategy=SharingStrategy.TIME_SLICING, resources=(shared,), fail_requests_greater_than_one=False)
    world = World((gpu(0), gpu(1)), PluginSettings(sharing=sharing))
    world.pods = {"a": "GPU-0::0", "b": "GPU-0::2", "c": "GPU-1::0"}
    world.wait(5)
    world.xid(62, world.gpus[0])
    world.set_state(world.gpus[0].uuid)
    world.wait(100)
    golden("health/replicas.txt", world.text)


def test_the_driver_is_replaced_by_another_version(gpu: MakeGpu, golden: Golden) -> None:
    world = four(gpu)
    world.wait(5)
    world.note("the driver is unloaded")
    world.failure = "DRIVER_NOT_LOADED"
    world.sync()
    world.wait(30)
    world.note("half of a new one is there")
    world.failure = "LIB_RM_VERSION_MISMATCH"
    world.sync()
    world.wait(30)
    world.note("all of it")
    world.failure = None
    world.sync()
    golden("health/driver-swap.txt", world.text)


def test_a_gpu_that_fails_repeatedly_returns_only_a_few_times(gpu: MakeGpu, golden: Golden) -> None:
    world = World((gpu(0),))
    world.set_state(world.gpus[0].uuid)
    for _ in range(5):
        world.xid(119, world.gpus[0])
        world.wait(100)
    world.wait(3600)
    golden("health/flapping.txt", world.text)


def test_an_outage_of_the_api_loses_no_event(gpu: MakeGpu, golden: Golden) -> None:
    world = four(gpu)
    world.outage = True
    world.xid(74, world.gpus[0])
    world.wait(3600)
    world.note("the API server is back")
    world.outage = False
    world.sync()
    golden("health/api-outage.txt", world.text)


def test_a_restart_of_the_plugin_makes_no_gpu_healthy(gpu: MakeGpu, golden: Golden, tmp_path: Path) -> None:
    world = World((gpu(0), gpu(1)), file=tmp_path / "health.json")
    world.wait(5)
    world.xid(48, world.gpus[0])
    world.wait(100)
    world.note("the process is killed and starts again")
    world.start()
    world.wait(3600)
    world.note("the node boots")
    world.file = type(world.file)(tmp_path / "health.json", "boot-2")
    world.start()
    golden("health/restart.txt", world.text)


def test_nvlinks_fail_and_the_fabric_manager_starts_late(gpu: MakeGpu, golden: Golden) -> None:
    world = four(gpu)
    for each in world.gpus:
        world.set_state(each.uuid, nvlinks=18, fabric=("the registration in the NVLink fabric is not complete",))
    world.sync()
    world.note("the fabric manager is up")
    for each in world.gpus:
        world.set_state(each.uuid, nvlinks=18)
    world.sync()
    world.wait(60)
    world.note("two NVLinks go down, and are up again")
    world.set_state(world.gpus[2].uuid, nvlinks=16)
    world.sync()
    world.wait(60)
    world.set_state(world.gpus[2].uuid, nvlinks=18)
    world.sync()
    golden("health/fabric.txt", world.text)


@pytest.mark.parametrize("jump", [-1e9, -3600.0, 3600.0, 1e9])
def test_a_change_of_the_wall_clock_has_no_effect(gpu: MakeGpu, tmp_path: Path, jump: float) -> None:
    def lived(jumps: float) -> str:
        world = World((gpu(0), gpu(1)), file=tmp_path / f"{jumps}.json")
        world.set_state(world.gpus[0].uuid)
        world.wait(5)
        world.xid(119, world.gpus[0])
        world.wall_jump = jumps
        world.wait(30)
        world.start()
        world.wait(100)
        world.xid(48, world.gpus[1])
        world.wall_jump = -jumps
        world.wait(3600)
        return world.text

    assert lived(jump) == lived(0.0)


def test_during_a_release_only_the_kernel_log_changes_the_health_of_gpus(gpu: MakeGpu, golden: Golden) -> None:
    world = four(gpu)
    world.pods = {"trainer": "GPU-2"}
    world.xid(95, world.gpus[1])
    world.wait(10)
    world.note("the GPUs are released")
    world.failure = "RELEASED"
    for _ in range(5):
        world.sync()
        world.wait(60)
    world.xid(79, world.gpus[2])
    world.wait(300)
    world.note("they are taken again")
    world.failure = None
    world.sync()
    world.wait(120)
    golden("health/released.txt", world.text)
