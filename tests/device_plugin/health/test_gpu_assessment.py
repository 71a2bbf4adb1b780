"""Assessments affect all devices on their part of a GPU, and no other device."""

from hypothesis import given
from hypothesis import strategies as st

from device_plugin.devices import Device, DeviceId, Plan, ResourceOffer
from device_plugin.health.gpu_assessment import health_cause
from device_plugin.plan.withhold import withhold
from gpu_core.domain.health import Phase
from gpu_core.domain.inventory import GpuUuid
from gpu_core.domain.resources import ResourceName
from gpu_core.health.assessment import GpuAssessment

GPUS = st.sampled_from([GpuUuid("GPU-0"), GpuUuid("GPU-1"), GpuUuid("GPU-2")])
INSTANCES = st.one_of(st.none(), st.integers(0, 3))
PARTS = st.tuples(GPUS, INSTANCES, st.one_of(st.none(), st.integers(0, 2)))


def device(gpu: GpuUuid, instance: int | None, replica: int | None) -> Device:
    uuid = gpu if instance is None else f"MIG-{gpu}-{instance}"
    id_ = uuid if replica is None else f"{uuid}::{replica}"
    return Device(id=DeviceId(id_), uuid=uuid, index="0", gpu=gpu, gpu_instance=instance, replica=replica)


PLANS = st.lists(PARTS, unique=True).map(
    lambda parts: Plan(
        resources={
            ResourceName("nvidia.com/gpu"): ResourceOffer(devices=tuple(device(*part) for part in parts[::2])),
            ResourceName("nvidia.com/mig"): ResourceOffer(devices=tuple(device(*part) for part in parts[1::2])),
        }
    )
)
ASSESSMENTS = st.lists(st.tuples(GPUS, INSTANCES, st.sampled_from(Phase)), unique_by=lambda each: each[:2]).map(
    lambda all_: tuple(
        GpuAssessment(gpu=gpu, gpu_instance=instance, phase=phase, why=None if phase is Phase.HEALTHY else f"why {gpu}")
        for gpu, instance, phase in all_
    )
)


@given(plan=PLANS, gpu_assessments=ASSESSMENTS)
def test_a_device_is_unhealthy_exactly_when_its_gpu_or_its_instance_is(
    plan: Plan, gpu_assessments: tuple[GpuAssessment, ...]
) -> None:
    bad = {
        (each.gpu, each.gpu_instance) for each in gpu_assessments if each.phase in (Phase.UNHEALTHY, Phase.RECOVERING)
    }
    marked = withhold(plan, [health_cause(gpu_assessments)])
    assert marked.resources.keys() == plan.resources.keys()
    for resource, offer in marked.resources.items():
        assert [each.id for each in offer.devices] == [each.id for each in plan.resources[resource].devices]
        for each in offer.devices:
            is_bad = (each.gpu, None) in bad or (each.gpu_instance is not None and (each.gpu, each.gpu_instance) in bad)
            assert each.is_healthy == (not is_bad)
    assert withhold(marked, [health_cause(gpu_assessments)]) == marked


def test_a_reason_that_a_device_already_has_is_retained() -> None:
    gpu = GpuUuid("GPU-0")
    lost = Device(id=DeviceId("GPU-0"), uuid="GPU-0", index="0", gpu=gpu, why_unhealthy="GPU_IS_LOST")
    plan = Plan(resources={ResourceName("nvidia.com/gpu"): ResourceOffer(devices=(lost,))})
    assert withhold(plan, [health_cause([GpuAssessment(gpu=gpu, phase=Phase.UNHEALTHY, why="Xid 79")])]) == plan
