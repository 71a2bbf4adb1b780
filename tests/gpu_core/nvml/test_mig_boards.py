"""Plans for every simulated board: the simulated driver, which has its own rules, accepts each change."""

from collections.abc import Mapping
from contextlib import AbstractContextManager

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gpu_core.mig.generated import generate_configs
from gpu_core.mig.layout import count_addable, count_devices
from gpu_core.mig.model import MigGpu
from gpu_core.mig.planner import DesiredGpu, plan_gpu
from gpu_core.mig.select import select_layouts
from gpu_core.nvml.api import Nvml
from gpu_core.nvml.mig_apply import apply_plan
from gpu_core.nvml.mig_reader import read_mig_gpus
from node_core.errors import MigError
from node_core.values import replace
from simulation.nvml.library import simulated_nvml
from simulation.scenarios.mig_profiles import BOARDS
from simulation.scenarios.scenario import parse_scenario


def open_board(model: str) -> AbstractContextManager[Nvml]:
    memory = BOARDS[model].memory_mib
    gpu = {
        "model": model,
        "count": 1,
        "compute": "9.0",
        "device_id": "2330",
        "mig": {"mode": "enabled"},
        **({"memory": f"{memory}Mi"} if memory else {}),
    }
    data = {"driver": {"version": "570.1", "cuda": "12.8"}, "gpus": [gpu]}
    return simulated_nvml(parse_scenario("board", data, source="test"), lambda: 0.0)()


def read(nvml: Nvml) -> MigGpu:
    (gpu,), faults = read_mig_gpus(nvml)
    assert faults == ()
    return gpu


def change(nvml: Nvml, desired: DesiredGpu) -> MigGpu:
    """Applies the plan, and returns the GPU afterwards. Raises MigError if the devices do not fit. No accepted plan fails."""
    plan = plan_gpu(read(nvml), desired)
    try:
        assert apply_plan(nvml, plan)
    except MigError as error:
        pytest.fail(f"{plan} cannot be applied: {error}")
    after = read(nvml)
    assert plan_gpu(after, desired).is_empty
    return after


@pytest.mark.parametrize("model", BOARDS)
def test_every_generated_config_can_be_applied(model: str) -> None:
    with open_board(model) as nvml:
        gpu = read(nvml)
        configs = generate_configs([gpu])
        for name in configs:
            desired = select_layouts(configs, name, [gpu])[gpu.uuid]
            if desired.is_enabled:
                assert count_devices(change(nvml, desired)) == desired.devices


@given(st.sampled_from(sorted(BOARDS)), st.data())
def test_each_plan_is_accepted_and_gives_the_requested_devices(model: str, data: st.DataObject) -> None:
    with open_board(model) as nvml:
        names = [each.name for profile in read(nvml).profiles for each in profile.compute]
        requests = st.dictionaries(st.sampled_from(names), st.integers(1, 3), max_size=3)
        for devices in data.draw(st.lists(requests, min_size=1, max_size=4)):
            _change_or_refuse(nvml, devices)


@pytest.mark.parametrize("model", BOARDS)
def test_there_is_room_for_what_can_be_added(model: str) -> None:
    with open_board(model) as nvml:
        smallest = read(nvml).profiles[0].name
        gpu = change(nvml, DesiredGpu(is_enabled=True, devices={smallest: 1}))
        for name, count in count_addable(gpu).items():
            counts = {smallest: 1, name: 1 + count if name == smallest else count}
            plan = plan_gpu(gpu, DesiredGpu(is_enabled=True, devices=counts))
            assert (plan.destroy, len(plan.create)) == ((), count)


def _change_or_refuse(nvml: Nvml, devices: Mapping[str, int]) -> None:
    before = read(nvml)
    try:
        after = change(nvml, DesiredGpu(is_enabled=True, devices=devices))
    except MigError:
        assert read(nvml) == before
    else:
        assert count_devices(after) == devices
        assert replace(after, instances=()) == replace(before, instances=())
