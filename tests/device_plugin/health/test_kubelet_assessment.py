"""GPUReady is True only when the kubelet has the devices, and does not change while the kubelet starts or updates the Node."""

from typing import Any

import pytest

from device_plugin.devices import Device, DeviceId, Plan, ResourceOffer
from device_plugin.health.kubelet_assessment import SETTLE_SECONDS, KubeletAssessor, assess_registration, parse_amount
from gpu_core.domain.inventory import GpuUuid
from gpu_core.domain.node_assessment import NodeAssessment, Reason
from gpu_core.domain.resources import GPU, ResourceName
from node_core.domain.conditions import GPU_READY, ObservedCondition
from node_core.domain.node import NodeView
from node_core.values import replace

READY = NodeAssessment(reason=Reason.READY, sentence="8 of 8 GPUs are available")
BROKEN = NodeAssessment(reason=Reason.NO_DRIVER, sentence="no driver")
REFUSED = NodeAssessment(reason=Reason.NOT_REGISTERED, sentence="refused", todo="check the kubelet")
PENDING = NodeAssessment(reason=Reason.NOT_ALLOCATABLE, sentence="not yet", todo="check the kubelet")
NEW = NodeView(name="n", uid="u", resource_version="1", labels={})
KNOWN = replace(NEW, conditions={GPU_READY: ObservedCondition(status="True")})
OTHER = ResourceName("nvidia.com/other")


def device(name: str, why: str | None = None) -> Device:
    return Device(id=DeviceId(name), uuid=name, index="0", gpu=GpuUuid(name), why_unhealthy=why)


PLAN = Plan(
    resources={
        GPU: ResourceOffer(devices=(device("A"), device("B"), device("C", "lost"))),
        OTHER: ResourceOffer(devices=(device("D", "lost"),)),
    }
)


def text(*, problems: tuple[str, ...] = (), unwatched: tuple[ResourceName, ...] = (), **allocatable: str) -> str | None:
    shown = {f"nvidia.com/{name}": amount for name, amount in allocatable.items()}
    found = assess_registration(PLAN, problems, unwatched, shown)
    return None if found is None else f"{found.reason}: {found.sentence}"


def has_due(assessor: KubeletAssessor) -> bool:
    return assessor.due is not None


def test_the_node_has_to_show_every_healthy_device_as_allocatable() -> None:
    assert text(gpu="2") is None
    assert text(gpu="3") is None, "the kubelet has not removed the unhealthy device yet"
    for shown in ("1", "0", "", "-2", "2m", "2Kx", "k", "²", "9" * 5000):
        assert str(text(gpu=shown)).startswith("NotAdvertisedByKubelet: nvidia.com/gpu: the Node shows "), shown
    assert text() == "NotAdvertisedByKubelet: nvidia.com/gpu: the Node shows 0 of 2 healthy devices as allocatable"


def test_thousands_of_replicas_are_allocatable_as_kubernetes_writes_them() -> None:
    for count, shown, other in ((1000, "1k", "999"), (2000, "2k", "1k"), (1500, "1500", "1k"), (1000_000, "1M", "1k")):
        plan = Plan(resources={GPU: ResourceOffer(devices=(device("A"),) * count)})
        assert assess_registration(plan, (), (), {GPU: shown}) is None
        assert assess_registration(plan, (), (), {GPU: other}) is not None


@pytest.mark.parametrize(
    ("quantity", "amount"), [(None, 0), (8, 8), (8.5, 0), ({}, 0), ("8", 8), ("8 ", 0), ("2Ki", 2048), ("2k", 2000)]
)
def test_an_amount_of_a_malformed_node_is_a_number_or_none(quantity: Any, amount: int) -> None:
    assert parse_amount(quantity) == amount


def test_an_old_amount_of_the_node_does_not_count_before_the_kubelet_has_read_the_devices() -> None:
    found = text(gpu="2", unwatched=(GPU,))
    assert found == "NotAdvertisedByKubelet: nvidia.com/gpu: the kubelet has not read the devices yet"


def test_a_failed_registration_is_the_reason_with_its_problem() -> None:
    found = text(problems=("nvidia.com/gpu: no socket",), gpu="2")
    assert found == "NotRegistered: the kubelet does not have the devices. nvidia.com/gpu: no socket"


def test_nothing_to_advertise_needs_no_kubelet() -> None:
    assert assess_registration(Plan(), (), (), {}) is None


def test_on_a_new_node_each_stage_is_reported_at_once_and_advice_only_after_a_while() -> None:
    assessor = KubeletAssessor()
    assert assessor.assess(READY, REFUSED, NEW, 0.0) == REFUSED
    assert assessor.assess(READY, PENDING, NEW, 1.0) == replace(PENDING, todo=None)
    assert assessor.due == 1.0 + SETTLE_SECONDS
    assert assessor.assess(READY, PENDING, NEW, assessor.due) == PENDING
    assert not has_due(assessor)
    assert assessor.assess(READY, PENDING, NEW, 99.0) == PENDING
    assert assessor.assess(READY, None, NEW, 100.0) == READY


def test_a_restarting_kubelet_does_not_change_the_condition_before_the_limit() -> None:
    assessor = KubeletAssessor()
    assessor.assess(READY, None, NEW, 0.0)
    for now, stage in ((1.0, REFUSED), (5.0, PENDING), (9.0, REFUSED)):
        assert assessor.assess(READY, stage, NEW, now) == READY
    assert assessor.assess(READY, None, NEW, 10.0) == READY
    assert assessor.assess(READY, REFUSED, NEW, 20.0) == READY
    assert assessor.assess(READY, REFUSED, NEW, 20.0 + SETTLE_SECONDS) == REFUSED


def test_a_plugin_that_restarts_leaves_the_condition_of_the_node_for_a_while() -> None:
    assessor = KubeletAssessor()
    assert assessor.assess(READY, REFUSED, KNOWN, 0.0) is None
    assert assessor.assess(READY, PENDING, KNOWN, 1.0) is None
    assert assessor.assess(READY, PENDING, KNOWN, SETTLE_SECONDS) == PENDING


def test_gpus_that_return_are_ready_when_the_node_shows_them() -> None:
    assessor = KubeletAssessor()
    assert assessor.assess(BROKEN, None, NEW, 0.0) == BROKEN
    assert assessor.assess(READY, PENDING, NEW, 1.0) == BROKEN
    assert assessor.assess(READY, None, NEW, 9.0) == READY


def test_broken_gpus_are_reported_whatever_the_kubelet_has() -> None:
    assessor = KubeletAssessor()
    assert assessor.assess(BROKEN, REFUSED, NEW, 0.0) == BROKEN
    assert assessor.assess(None, REFUSED, NEW, 0.0) is None


def test_a_node_object_that_is_created_again_starts_over() -> None:
    assessor = KubeletAssessor()
    assessor.assess(READY, None, NEW, 0.0)
    again = replace(NEW, uid="v")
    assert assessor.assess(READY, PENDING, again, 1.0) == replace(PENDING, todo=None)
