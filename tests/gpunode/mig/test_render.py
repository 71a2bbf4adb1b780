"""The texts of `gpunode mig`."""

import pytest

from gpu_core.mig.plan import GpuPlan
from gpu_core.mig.planner import DesiredGpu, plan_gpu
from gpunode.mig.changes import Action, list_changes
from gpunode.mig.render import describe_leaving, describe_mode, layout_rows, render_slices, summarize
from node_core.values import replace
from tests.gpu_core.mig.boards import H100, instance, mig_gpu

GPU = mig_gpu(H100, instance(1, "3g.40gb", 4, "1c.3g.40gb", "2c.3g.40gb"), instance(2, "1g.10gb", 0))


def plan(**devices: int) -> GpuPlan:
    return plan_gpu(GPU, DesiredGpu(is_enabled=True, devices=devices))


@pytest.mark.parametrize(
    ("numbers", "text"), [((), ""), ((3,), "3"), ((0, 1, 2, 6), "0-2,6"), ((0, 2, 4), "0,2,4"), ((6, 7), "6-7")]
)
def test_slices_are_ranges(numbers: tuple[int, ...], text: str) -> None:
    assert render_slices(numbers) == text


def test_a_pending_mode_is_shown() -> None:
    assert describe_mode(replace(mig_gpu(enabled=False), is_pending=True)) == ("disabled (enabled after a reset)")


def test_the_room_is_what_fits_besides_the_present_instances() -> None:
    row = next(iter(layout_rows([GPU])))
    assert row[4] == "1-3"
    assert row[5] == "3x 1g.10gb or 1x 1g.10gb+me or 1x 1g.20gb or 1x 2g.20gb"


def test_the_rows_of_a_plan_are_in_the_order_of_execution() -> None:
    changes = list_changes([plan(**{"1c.3g.40gb": 2, "2g.20gb": 1})], {})
    assert [(change.action, change.device) for change in changes] == [
        (Action.DESTROY, "1g.10gb"),
        (Action.DESTROY, "2c.3g.40gb"),
        (Action.CREATE, "2g.20gb"),
        (Action.CREATE, "1c.3g.40gb"),
        (Action.RETAIN, "1c.3g.40gb"),
    ]
    assert summarize(changes, 1) == "1 of 1 GPU change: 2 MIG devices to destroy, 2 to create, and 1 to retain."


def test_only_devices_that_must_go_are_described_as_in_use() -> None:
    users = {"MIG-1-0": ("ml/a",), "MIG-2-0": ("ml/b", "ml/c")}
    changes = list_changes([plan(**{"1c.3g.40gb": 1})], users)
    assert list(describe_leaving(changes)) == ["1g.10gb of GPU 0 (GPU-0) is in use by ml/b, ml/c."]


def test_a_change_of_the_mode_needs_the_pods_of_the_whole_gpu_to_end() -> None:
    off = mig_gpu(enabled=False)
    changes = list_changes([plan_gpu(off, DesiredGpu(is_enabled=True))], {"GPU-0": ("ml/a",)})
    assert list(describe_leaving(changes)) == ["GPU 0 (GPU-0) is in use by ml/a."]


def test_a_gpu_instance_without_devices_is_destroyed_without_a_name() -> None:
    empty = replace(GPU, instances=(replace(GPU.instances[1], compute=()),))
    (change,) = list_changes([plan_gpu(empty, DesiredGpu(is_enabled=True))], {})
    assert (change.action, change.device, change.uuid) == (Action.DESTROY, "", None)
