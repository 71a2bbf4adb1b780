"""Laws of all plans, against a search of every layout."""

from collections import Counter

from hypothesis import assume, given
from hypothesis import strategies as st

from gpu_core.domain.inventory import MigUuid
from gpu_core.mig.model import ComputeInstance, GpuInstance, InstanceProfile, MigGpu, Placement
from gpu_core.mig.planner import DesiredGpu, plan_gpu
from node_core.errors import MigError
from tests.gpu_core.mig.boards import PROFILES, mig_gpu
from tests.gpu_core.mig.brute_force import is_possible, lowest_cost
from tests.gpu_core.mig.plans import apply_plan, check_layout, device_counts

MODELS = st.sampled_from(sorted(PROFILES))


@st.composite
def gpus(draw: st.DrawFn, most: int = 7) -> MigGpu:
    """A GPU in MIG mode with any layout of at most `most` GPU instances."""
    gpu = mig_gpu(draw(MODELS))
    items: list[tuple[InstanceProfile, Placement]] = []
    for _ in range(draw(st.integers(0, most))):
        profile = draw(st.sampled_from(gpu.profiles))
        free = [place for place in profile.placements if is_possible(gpu, [*items, (profile, place)])]
        if free:
            items.append((profile, draw(st.sampled_from(free))))
    instances = []
    for number, (profile, place) in enumerate(items):
        left = profile.slices
        compute: list[ComputeInstance] = []
        for index, part in enumerate(draw(st.lists(st.sampled_from(profile.compute), max_size=3))):
            if part.slices <= left and sum(each.profile == part.number for each in compute) < part.max_count:
                left -= part.slices
                uuid = MigUuid(f"MIG-{number}-{index}")
                compute.append(ComputeInstance(id=index, profile=part.number, uuid=uuid))
        instances.append(GpuInstance(id=number, profile=profile.number, placement=place, compute=tuple(compute)))
    return mig_gpu(gpu.model, *instances)


@st.composite
def requests(draw: st.DrawFn, gpu: MigGpu, most: int = 7) -> dict[str, int]:
    """Devices of another layout of the same GPU: mostly similar to the present one, and mostly possible."""
    names = [compute.name for profile in gpu.profiles for compute in profile.compute]
    devices = device_counts(gpu) if draw(st.booleans()) else Counter()
    for name in draw(st.lists(st.sampled_from(names), max_size=3)):
        devices[name] = max(0, devices[name] + draw(st.sampled_from((-2, -1, 1, 1, 2))))
    assume(devices.total() <= most)
    return {name: count for name, count in devices.items() if count}


def busy_devices(gpu: MigGpu) -> st.SearchStrategy[frozenset[MigUuid]]:
    uuids = [part.uuid for each in gpu.instances for part in each.compute if part.uuid]
    return st.frozensets(st.sampled_from(uuids)) if uuids else st.just(frozenset())


@given(st.data())
def test_a_plan_costs_as_little_as_the_best_of_all_layouts(data: st.DataObject) -> None:
    gpu = data.draw(gpus(most=4))
    devices = data.draw(requests(gpu, most=4))
    busy = data.draw(busy_devices(gpu))
    expected = lowest_cost(gpu, devices, busy)
    try:
        plan = plan_gpu(gpu, DesiredGpu(is_enabled=True, devices=devices), busy)
    except MigError:
        assert expected is None
        return
    destroyed = [part for each in plan.destroy for part in each.compute]
    destroyed += [part for _, part in plan.destroy_compute]
    assert expected == (sum(part.uuid in busy for part in destroyed), len(destroyed), len(plan.create))


@given(st.data())
def test_an_applied_plan_gives_the_requested_devices_and_then_nothing_is_left_to_do(data: st.DataObject) -> None:
    gpu = data.draw(gpus())
    check_layout(gpu)
    devices = data.draw(requests(gpu))
    desired = DesiredGpu(is_enabled=True, devices=devices)
    try:
        plan = plan_gpu(gpu, desired, data.draw(busy_devices(gpu)))
    except MigError:
        return
    after = apply_plan(plan)
    assert device_counts(after) == devices
    assert plan_gpu(after, desired).is_empty


@given(st.data())
def test_the_devices_that_an_error_names_fit(data: st.DataObject) -> None:
    gpu = data.draw(gpus())
    devices = data.draw(requests(gpu, most=20))
    fitting = _named_by_the_error(gpu, devices)
    plan_gpu(gpu, DesiredGpu(is_enabled=True, devices=fitting))


@given(st.data())
def test_the_present_layout_needs_no_change(data: st.DataObject) -> None:
    gpu = data.draw(gpus())
    occupied = mig_gpu(gpu.model, *(each for each in gpu.instances if each.compute))
    assert plan_gpu(occupied, DesiredGpu(is_enabled=True, devices=device_counts(gpu))).is_empty


@given(st.data())
def test_a_plan_is_the_same_for_any_order_of_the_request(data: st.DataObject) -> None:
    gpu = data.draw(gpus())
    devices = data.draw(requests(gpu))
    other = dict(data.draw(st.permutations(list(devices.items()))))
    try:
        plan = plan_gpu(gpu, DesiredGpu(is_enabled=True, devices=devices))
    except MigError:
        return
    assert plan_gpu(gpu, DesiredGpu(is_enabled=True, devices=other)) == plan


def _named_by_the_error(gpu: MigGpu, devices: dict[str, int]) -> dict[str, int]:
    """Returns the devices that the error names, or no devices if all fit."""
    try:
        plan_gpu(gpu, DesiredGpu(is_enabled=True, devices=devices))
    except MigError as error:
        rows = (error.hint or "").removeprefix("These would fit: ").split(", ")
        return {name: int(count) for count, name in (row.split("x ") for row in rows)}
    return {}
