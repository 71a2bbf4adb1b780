"""The health of a node's GPUs: attribution of Xids and inventories."""

from collections.abc import Callable

import pytest

from gpu_core.domain.evidence import GpuState, RecoveryAction, XidEvent
from gpu_core.domain.health import HealthPolicy, Phase
from gpu_core.domain.inventory import Driver, Fault, Gpu, GpuUuid, Inventory
from gpu_core.domain.xid import XidClass, XidPolicy
from gpu_core.health.tracker import HealthTracker
from node_core.domain.pci import PciAddress

DRIVER = Driver(version="550.54.15", cuda=None)
MakeGpu = Callable[..., Gpu]


def phases(tracker: HealthTracker) -> dict[tuple[str, int | None], str]:
    return {(each.gpu, each.gpu_instance): str(each.phase) for each in tracker.assess_gpus()}


def tracker_of(*gpus: Gpu, policy: HealthPolicy | None = None) -> HealthTracker:
    tracker = HealthTracker(policy or HealthPolicy())
    tracker.record_inventory(Inventory(driver=DRIVER, gpus=gpus), 1.0)
    return tracker


def test_an_xid_concerns_only_its_own_gpu(gpu: MakeGpu) -> None:
    tracker = tracker_of(gpu(0), gpu(1), gpu(2))
    tracker.record_xids([XidEvent(xid=48, gpu=GpuUuid("GPU-1"), at=2.0)])
    assert phases(tracker) == {("GPU-0", None): "healthy", ("GPU-1", None): "unhealthy", ("GPU-2", None): "healthy"}


def test_an_xid_of_the_kernel_log_is_attributed_by_pci_address(gpu: MakeGpu) -> None:
    tracker = tracker_of(gpu(0), gpu(1))
    events = [
        XidEvent(xid=48, address=PciAddress("0000:01:00.0"), source="kernel log", at=2.0),
        XidEvent(xid=48, address=PciAddress("0000:ff:00.0"), source="kernel log", at=2.0),
        XidEvent(xid=48, at=2.0),
    ]
    assert [each.gpu for each in tracker.record_xids(events)] == ["GPU-1"]
    assert phases(tracker)["GPU-1", None] == "unhealthy"


@pytest.mark.parametrize(
    ("xid", "part"), [(48, ("GPU-0", 1)), (125, ("GPU-0", 1)), (79, ("GPU-0", None)), (54, ("GPU-0", None))]
)
def test_an_xid_concerns_one_gpu_instance_unless_it_needs_a_reboot(
    gpu: MakeGpu, xid: int, part: tuple[str, int | None]
) -> None:
    tracker = tracker_of(gpu(0, ["1g.10gb", "1g.10gb"]))
    tracker.record_xids([XidEvent(xid=xid, gpu=GpuUuid("GPU-0"), gpu_instance=1, compute_instance=0, at=2.0)])
    assert {each for each, phase in phases(tracker).items() if phase == "unhealthy"} == {part}


def test_a_gpu_instance_without_incidents_is_dropped(gpu: MakeGpu) -> None:
    one = gpu(0, ["1g.10gb"])
    state = GpuState(gpu=one.uuid, recovery_action=RecoveryAction.NONE)
    tracker = tracker_of(one)
    tracker.record_xids([XidEvent(xid=48, gpu=one.uuid, gpu_instance=0, at=2.0)])
    for at in (3.0, 100.0, 4000.0):
        tracker.record_inventory(Inventory(driver=DRIVER, gpus=(one,), states=(state,)), at)
    assert phases(tracker) == {("GPU-0", None): "healthy"}


def test_an_unreadable_gpu_is_lost_and_a_removed_gpu_is_dropped(gpu: MakeGpu) -> None:
    tracker = tracker_of(gpu(0), gpu(1), gpu(2))
    fault = Fault(index=1, uuid=GpuUuid("GPU-1"), reason="nvmlDeviceGetName returned GPU_IS_LOST")
    tracker.record_inventory(Inventory(driver=DRIVER, gpus=(gpu(0),), faults=(fault,)), 2.0)
    assert phases(tracker) == {("GPU-0", None): "healthy", ("GPU-1", None): "unhealthy"}


def test_a_fault_without_a_uuid_may_belong_to_any_missing_gpu(gpu: MakeGpu) -> None:
    tracker = tracker_of(gpu(0), gpu(1))
    fault = Fault(index=1, uuid=None, reason="nvmlDeviceGetHandleByIndex returned GPU_IS_LOST")
    tracker.record_inventory(Inventory(driver=DRIVER, gpus=(gpu(0),), faults=(fault,)), 2.0)
    assert phases(tracker) == {("GPU-0", None): "healthy", ("GPU-1", None): "unhealthy"}


def test_a_reloaded_driver_clears_the_same_xids_as_a_reset(gpu: MakeGpu) -> None:
    tracker = tracker_of(gpu(0))
    tracker.record_xids([XidEvent(xid=48, gpu=GpuUuid("GPU-0"), at=2.0)])
    tracker.record_inventory(Inventory(driver=DRIVER, gpus=(gpu(0),)), 200.0)
    assert phases(tracker) == {("GPU-0", None): "unhealthy"}
    tracker.record_driver_unloaded()
    for at in (210.0, 270.0):
        tracker.record_inventory(Inventory(driver=DRIVER, gpus=(gpu(0),)), at)
    assert phases(tracker) == {("GPU-0", None): "healthy"}


def test_the_config_can_change_the_class_of_an_xid(gpu: MakeGpu) -> None:
    policy = HealthPolicy(xids=XidPolicy(classes={48: XidClass.IGNORE, 31: XidClass.RESET}))
    tracker = tracker_of(gpu(0), gpu(1), policy=policy)
    events = [XidEvent(xid=48, gpu=GpuUuid("GPU-0"), at=2.0), XidEvent(xid=31, gpu=GpuUuid("GPU-1"), at=2.0)]
    assert [each.kind for each in tracker.record_xids(events)] == [XidClass.IGNORE, XidClass.RESET]
    assert phases(tracker) == {("GPU-0", None): "healthy", ("GPU-1", None): "unhealthy"}


def test_the_next_discovery_is_when_it_can_change_the_health(gpu: MakeGpu) -> None:
    tracker = tracker_of(gpu(0))
    assert tracker.next_discovery_at() is None
    tracker.record_xids([XidEvent(xid=125, gpu=GpuUuid("GPU-0"), at=2.0)])
    assert tracker.next_discovery_at() == 2.0
    tracker.record_inventory(Inventory(driver=DRIVER, gpus=(gpu(0),)), 3.0)
    assert tracker.next_discovery_at() == 63.0
    assert {each.phase for each in tracker.assess_gpus()} == {Phase.RECOVERING}


def test_a_gpu_that_cannot_be_read_is_named_by_index_with_its_own_reason(gpu: MakeGpu) -> None:
    tracker = tracker_of(gpu(0), gpu(1), gpu(2))
    faults = (
        Fault(index=1, uuid=GpuUuid("GPU-1"), reason="nvmlDeviceGetName returned RESET_REQUIRED"),
        Fault(index=2, uuid=GpuUuid("GPU-2"), reason="nvmlDeviceGetName returned UNKNOWN"),
    )
    tracker.record_inventory(Inventory(driver=DRIVER, gpus=(gpu(0),), faults=faults), 2.0)
    assert [(each.name, each.why) for each in tracker.assess_gpus()] == [
        ("GPU 0 (GPU-0)", None),
        ("GPU 1 (GPU-1)", "the GPU needs a reset"),
        ("GPU 2 (GPU-2)", "the GPU cannot be read (nvmlDeviceGetName returned UNKNOWN)"),
    ]


def test_the_xids_of_another_process_are_added_and_known_ones_change_nothing(gpu: MakeGpu) -> None:
    own, other = tracker_of(gpu(0)), tracker_of(gpu(0), gpu(1))
    for tracker, number, xid in ((own, 0, 79), (other, 0, 48), (other, 1, 79)):
        tracker.record_xids([XidEvent(xid=xid, gpu=gpu(number).uuid, at=1.0)])
    before = own.healths[gpu(0).uuid, None]
    own.restore({(gpu(0).uuid, None): before})
    assert own.healths[gpu(0).uuid, None] == before
    own.restore(other.healths)
    found = {part[0]: {each.xid for each in health.incidents} for part, health in own.healths.items()}
    assert found == {gpu(0).uuid: {48, 79}, gpu(1).uuid: {79}}
    assert {*phases(own).values()} == {"unhealthy"}
