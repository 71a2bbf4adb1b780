"""The state machines of a node: whose evidence is whose."""

from collections.abc import Callable

import pytest

from device_plugin.health.tracker import HealthTracker
from node_core.domain.evidence import GpuState, RecoveryAction, XidEvent
from node_core.domain.health import HealthPolicy, Phase
from node_core.domain.inventory import Driver, Fault, Gpu, GpuUuid, Inventory, PciAddress
from node_core.domain.xid import XidClass, XidPolicy

MakeGpu = Callable[..., Gpu]
DRIVER = Driver(version="550.54.15", cuda=None)


def phases(tracker: HealthTracker) -> dict[tuple[str, int | None], str]:
    return {(each.gpu, each.gpu_instance): str(each.phase) for each in tracker.verdicts()}


def tracker_of(*gpus: Gpu, policy: HealthPolicy | None = None) -> HealthTracker:
    tracker = HealthTracker(policy or HealthPolicy())
    tracker.looked(Inventory(driver=DRIVER, gpus=gpus), 1.0)
    return tracker


def test_an_xid_concerns_its_own_gpu_alone(gpu: MakeGpu) -> None:
    tracker = tracker_of(gpu(0), gpu(1), gpu(2))
    tracker.happened([XidEvent(xid=48, gpu=GpuUuid("GPU-1"), at=2.0)])
    assert phases(tracker) == {("GPU-0", None): "healthy", ("GPU-1", None): "unhealthy", ("GPU-2", None): "healthy"}


def test_the_kernel_log_names_a_gpu_by_its_address(gpu: MakeGpu) -> None:
    tracker = tracker_of(gpu(0), gpu(1))
    events = [
        XidEvent(xid=48, address=PciAddress("0000:01:00.0"), source="kernel log", at=2.0),
        XidEvent(xid=48, address=PciAddress("0000:ff:00.0"), source="kernel log", at=2.0),
        XidEvent(xid=48, at=2.0),
    ]
    assert [each.gpu for each in tracker.happened(events)] == ["GPU-1"]
    assert phases(tracker)["GPU-1", None] == "unhealthy"


@pytest.mark.parametrize(
    ("xid", "part"), [(48, ("GPU-0", 1)), (125, ("GPU-0", 1)), (79, ("GPU-0", None)), (54, ("GPU-0", None))]
)
def test_an_instance_is_named_by_what_can_concern_it_alone(
    gpu: MakeGpu, xid: int, part: tuple[str, int | None]
) -> None:
    tracker = tracker_of(gpu(0, ["1g.10gb", "1g.10gb"]))
    tracker.happened([XidEvent(xid=xid, gpu=GpuUuid("GPU-0"), gpu_instance=1, compute_instance=0, at=2.0)])
    assert {each for each, phase in phases(tracker).items() if phase == "unhealthy"} == {part}


def test_an_instance_without_a_past_is_forgotten(gpu: MakeGpu) -> None:
    one = gpu(0, ["1g.10gb"])
    state = GpuState(gpu=one.uuid, recovery_action=RecoveryAction.NONE)
    tracker = tracker_of(one)
    tracker.happened([XidEvent(xid=48, gpu=one.uuid, gpu_instance=0, at=2.0)])
    for at in (3.0, 100.0, 4000.0):
        tracker.looked(Inventory(driver=DRIVER, gpus=(one,), states=(state,)), at)
    assert phases(tracker) == {("GPU-0", None): "healthy"}


def test_a_gpu_that_cannot_be_read_is_lost_and_one_that_is_not_there_is_only_gone(gpu: MakeGpu) -> None:
    tracker = tracker_of(gpu(0), gpu(1), gpu(2))
    fault = Fault(index=1, uuid=GpuUuid("GPU-1"), reason="nvmlDeviceGetName answered GPU_IS_LOST")
    tracker.looked(Inventory(driver=DRIVER, gpus=(gpu(0),), faults=(fault,)), 2.0)
    assert phases(tracker) == {("GPU-0", None): "healthy", ("GPU-1", None): "unhealthy", ("GPU-2", None): "healthy"}


def test_a_fault_without_a_name_may_be_anyones_that_is_missing(gpu: MakeGpu) -> None:
    tracker = tracker_of(gpu(0), gpu(1))
    fault = Fault(index=1, uuid=None, reason="nvmlDeviceGetHandleByIndex answered GPU_IS_LOST")
    tracker.looked(Inventory(driver=DRIVER, gpus=(gpu(0),), faults=(fault,)), 2.0)
    assert phases(tracker) == {("GPU-0", None): "healthy", ("GPU-1", None): "unhealthy"}


def test_a_driver_that_was_loaded_anew_makes_good_what_a_reset_would(gpu: MakeGpu) -> None:
    tracker = tracker_of(gpu(0))
    tracker.happened([XidEvent(xid=48, gpu=GpuUuid("GPU-0"), at=2.0)])
    tracker.looked(Inventory(driver=DRIVER, gpus=(gpu(0),)), 200.0)
    assert phases(tracker) == {("GPU-0", None): "unhealthy"}
    tracker.without_driver()
    for at in (210.0, 270.0):
        tracker.looked(Inventory(driver=DRIVER, gpus=(gpu(0),)), at)
    assert phases(tracker) == {("GPU-0", None): "healthy"}


def test_a_config_decides_what_an_xid_asks_for(gpu: MakeGpu) -> None:
    policy = HealthPolicy(xids=XidPolicy(classes={48: XidClass.IGNORE, 31: XidClass.RESET}))
    tracker = tracker_of(gpu(0), gpu(1), policy=policy)
    events = [XidEvent(xid=48, gpu=GpuUuid("GPU-0"), at=2.0), XidEvent(xid=31, gpu=GpuUuid("GPU-1"), at=2.0)]
    assert [each.kind for each in tracker.happened(events)] == [XidClass.IGNORE, XidClass.RESET]
    assert phases(tracker) == {("GPU-0", None): "healthy", ("GPU-1", None): "unhealthy"}


def test_it_says_when_a_look_can_change_something(gpu: MakeGpu) -> None:
    tracker = tracker_of(gpu(0))
    assert tracker.next_look() is None
    tracker.happened([XidEvent(xid=125, gpu=GpuUuid("GPU-0"), at=2.0)])
    assert tracker.next_look() == 2.0
    tracker.looked(Inventory(driver=DRIVER, gpus=(gpu(0),)), 3.0)
    assert tracker.next_look() == 63.0
    assert {each.phase for each in tracker.verdicts()} == {Phase.RECOVERING}
