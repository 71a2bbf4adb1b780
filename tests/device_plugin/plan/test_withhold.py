"""Devices that are marked as unhealthy, and their reasons."""

from device_plugin.devices import Device, DeviceId, Plan, ResourceOffer
from device_plugin.plan.withhold import (
    NO_SPECIFICATION,
    Cause,
    cdi_cause,
    global_cause,
    mps_cause,
    withhold,
)
from gpu_core.domain.inventory import GpuUuid
from gpu_core.domain.node_assessment import Reason
from gpu_core.domain.resources import GPU, ResourceName

OTHER = ResourceName("nvidia.com/other")


def device(name: str, *, replica: int | None = None, why: str | None = None) -> Device:
    id_ = DeviceId(name if replica is None else f"{name}::{replica}")
    return Device(id=id_, uuid=name, index="0", gpu=GpuUuid(name), replica=replica, why_unhealthy=why)


PLAN = Plan(
    resources={
        GPU: ResourceOffer(devices=(device("A"), device("B", replica=0), device("B", replica=1))),
        OTHER: ResourceOffer(devices=(device("C", replica=0), device("D", why="lost"))),
    }
)


def reasons(*causes: Cause) -> dict[str, str | None]:
    offers = withhold(PLAN, causes).resources.values()
    return {each.id: each.why_unhealthy for offer in offers for each in offer.devices}


def test_without_a_cause_the_plan_does_not_change() -> None:
    assert withhold(PLAN, ()) == PLAN


def test_a_device_retains_its_reason_and_the_first_cause_counts() -> None:
    found = reasons(global_cause("first"), global_cause("second"))
    assert found == {"A": "first", "B::0": "first", "B::1": "first", "C::0": "first", "D": "lost"}


def test_only_replicas_need_the_mps_daemon_of_their_resource() -> None:
    found = reasons(mps_cause({GPU: "down"}, Reason.MPS_NOT_READY))
    assert found == {"A": None, "B::0": "down", "B::1": "down", "C::0": None, "D": "lost"}


def test_replicas_use_the_cdi_name_of_their_device() -> None:
    found = reasons(cdi_cause({"B", "C"}))
    assert found == {"A": NO_SPECIFICATION, "B::0": None, "B::1": None, "C::0": None, "D": "lost"}
