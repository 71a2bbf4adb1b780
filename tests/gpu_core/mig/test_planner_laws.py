"""Laws of all plans, against a search of every layout."""

from hypothesis import given
from hypothesis import strategies as st

from gpu_core.mig.model import MigGpu
from gpu_core.mig.planner import DesiredGpu, plan_gpu
from node_core.errors import MigError
from tests.gpu_core.mig.boards import mig_gpu
from tests.gpu_core.mig.brute_force import lowest_cost
from tests.gpu_core.mig.layouts import busy_devices, gpus, requests
from tests.gpu_core.mig.plans import apply_plan, check_layout, device_counts


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
