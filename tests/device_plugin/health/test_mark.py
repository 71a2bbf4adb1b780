"""What shares the evidence moves together, and nothing else does."""

from hypothesis import given
from hypothesis import strategies as st

from device_plugin.devices import Device, DeviceId, Offer, Plan
from device_plugin.health.mark import Verdict, mark_plan
from node_core.domain.health import Phase
from node_core.domain.inventory import GpuUuid
from node_core.domain.resources import ResourceName

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
            ResourceName("nvidia.com/gpu"): Offer(devices=tuple(device(*part) for part in parts[::2])),
            ResourceName("nvidia.com/mig"): Offer(devices=tuple(device(*part) for part in parts[1::2])),
        }
    )
)
VERDICTS = st.lists(st.tuples(GPUS, INSTANCES, st.sampled_from(Phase)), unique_by=lambda each: each[:2]).map(
    lambda all_: tuple(
        Verdict(gpu=gpu, gpu_instance=instance, phase=phase, why=None if phase is Phase.HEALTHY else f"why {gpu}")
        for gpu, instance, phase in all_
    )
)


@given(plan=PLANS, verdicts=VERDICTS)
def test_a_device_is_unhealthy_exactly_when_its_gpu_or_its_instance_is(
    plan: Plan, verdicts: tuple[Verdict, ...]
) -> None:
    bad = {(each.gpu, each.gpu_instance) for each in verdicts if each.phase in (Phase.UNHEALTHY, Phase.RECOVERING)}
    marked = mark_plan(plan, verdicts)
    assert marked.resources.keys() == plan.resources.keys()
    for resource, offer in marked.resources.items():
        assert [each.id for each in offer.devices] == [each.id for each in plan.resources[resource].devices]
        for each in offer.devices:
            is_bad = (each.gpu, None) in bad or (each.gpu_instance is not None and (each.gpu, each.gpu_instance) in bad)
            assert each.healthy == (not is_bad)
    assert mark_plan(marked, verdicts) == marked


def test_what_a_look_said_of_a_device_stays() -> None:
    gpu = GpuUuid("GPU-0")
    lost = Device(id=DeviceId("GPU-0"), uuid="GPU-0", index="0", gpu=gpu, why_unhealthy="GPU_IS_LOST")
    plan = Plan(resources={ResourceName("nvidia.com/gpu"): Offer(devices=(lost,))})
    assert mark_plan(plan, [Verdict(gpu=gpu, phase=Phase.UNHEALTHY, why="Xid 79")]) == plan
