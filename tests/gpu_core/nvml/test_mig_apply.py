"""Changes of layouts on the simulated driver: what stays, what a failure restores, and what a process that is killed leaves."""

from collections.abc import Callable, Mapping
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gpu_core.domain.inventory import GpuUuid
from gpu_core.mig.model import MigGpu
from gpu_core.mig.plan import GpuPlan, plan_restore, plan_result, read_layout
from gpu_core.mig.planner import DesiredGpu, plan_gpu
from gpu_core.nvml.api import GPU_IS_LOST, Nvml, OpenNvml
from gpu_core.nvml.mig_apply import apply_plan, restore_layout
from gpu_core.nvml.mig_reader import read_mig_gpus
from node_core.errors import MigError, NvmlError
from simulation.nvml.library import simulated_nvml
from simulation.scenarios.scenario import parse_scenario

COUNTS = st.sampled_from(
    [
        {},
        {"1g.10gb": 7},
        {"1g.10gb": 2, "2g.20gb": 1, "3g.40gb": 1},
        {"3g.40gb": 2},
        {"1c.3g.40gb": 3, "1g.10gb+me": 1},
        {"1c.3g.40gb": 2, "1g.10gb": 2},
        {"7g.80gb": 1},
        {"1c.7g.80gb": 2, "2c.7g.80gb": 1},
    ]
)


class Killed(BaseException):
    """The process ends at once. No `except` clause of the product catches this exception."""


class Interrupted:
    """Passes calls to NVML. The call with this number raises `error` instead; `after`: after its effect."""

    def __init__(self, nvml: Nvml, number: int, error: BaseException, *, after: bool = False) -> None:
        self._nvml, self._left, self._error, self._after = nvml, number, error, after

    def __getattr__(self, name: str) -> Callable[..., Any]:
        def call(*arguments: Any, **more: Any) -> Any:
            self._left -= 1
            if self._left == 0 and not self._after:
                raise self._error
            result = getattr(self._nvml, name)(*arguments, **more)
            if self._left == 0:
                raise self._error
            return result

        return call


def node(compute: str = "9.0", mode: str = "enabled") -> OpenNvml:
    model = "NVIDIA H100 80GB HBM3" if compute == "9.0" else "NVIDIA A100-SXM4-80GB"
    gpu = {
        "model": model,
        "count": 2,
        "memory": "81559Mi",
        "compute": compute,
        "device_id": "2330",
        "mig": {"mode": mode},
    }
    data = {"driver": {"version": "570.1", "cuda": "12.8"}, "gpus": [gpu]}
    return simulated_nvml(parse_scenario("test", data, source="test"), lambda: 0.0)


def read(nvml: Nvml, index: int = 0) -> MigGpu:
    gpus, faults = read_mig_gpus(nvml)
    assert faults == ()
    return gpus[index]


def plan(nvml: Nvml, counts: Mapping[str, int]) -> GpuPlan:
    return plan_gpu(read(nvml), DesiredGpu(is_enabled=True, devices=counts))


def devices(gpu: MigGpu) -> dict[tuple[int, int], str | None]:
    return {(instance.id, each.id): each.uuid for instance in gpu.instances for each in instance.compute}


@given(before=COUNTS, after=COUNTS)
def test_after_a_change_the_layout_is_the_requested_one_and_what_is_in_both_stays(
    before: Mapping[str, int], after: Mapping[str, int]
) -> None:
    with node()() as nvml:
        assert apply_plan(nvml, plan(nvml, before))
        present, change = read(nvml), plan(nvml, after)
        other = read(nvml, 1)
        assert apply_plan(nvml, change)
        assert plan(nvml, after).is_empty
        assert read_layout(read(nvml)) == plan_result(change)
        kept = set(devices(present).values()) - change.destroyed_uuids
        assert kept <= set(devices(read(nvml)).values())
        assert read(nvml, 1) == other


@given(before=COUNTS, after=COUNTS, number=st.integers(1, 120), is_late=st.booleans())
def test_after_a_failure_at_any_call_the_previous_layout_is_restored(
    before: Mapping[str, int], after: Mapping[str, int], number: int, is_late: bool
) -> None:
    with node()() as nvml:
        apply_plan(nvml, plan(nvml, before))
        change = plan(nvml, after)
        error = NvmlError("nvmlCall", "UNKNOWN")
        broken: Any = Interrupted(nvml, number, error, after=is_late)
        message = ""
        try:
            assert apply_plan(broken, change)
        except MigError as raised:
            message = str(raised)
        expected = read_layout(change.gpu) if message else plan_result(change)
        assert read_layout(read(nvml)) == expected
        assert not message or "the previous layout is restored" in message
        kept = set(devices(change.gpu).values()) - change.destroyed_uuids
        assert kept <= set(devices(read(nvml)).values())


@given(before=COUNTS, after=COUNTS, number=st.integers(1, 120), is_late=st.booleans(), reverts=st.booleans())
def test_a_change_that_was_killed_at_any_call_is_completed_or_reverted(
    before: Mapping[str, int], after: Mapping[str, int], number: int, is_late: bool, reverts: bool
) -> None:
    with node()() as nvml:
        apply_plan(nvml, plan(nvml, before))
        change = plan(nvml, after)
        broken: Any = Interrupted(nvml, number, Killed(), after=is_late)
        try:
            apply_plan(broken, change)
        except Killed:
            layout = read_layout(change.gpu) if reverts else plan_result(change)
            assert restore_layout(nvml, change.gpu.uuid, layout)
            assert read_layout(read(nvml)) == layout
            assert plan_restore(read(nvml), layout).is_empty


def test_a_gpu_that_is_lost_in_the_middle_is_named_and_the_rollback_is_reported() -> None:
    with node()() as nvml:
        change = plan(nvml, {"1g.10gb": 2})

        class Lost:
            is_lost = False

            def __getattr__(self, name: str) -> Callable[..., Any]:
                self.is_lost |= name == "gpu_instance_create_compute_instance"

                def call(*arguments: Any) -> Any:
                    if self.is_lost and name != "device_get_count":
                        raise NvmlError(name, GPU_IS_LOST)
                    return getattr(nvml, name)(*arguments)

                return call

        lost: Any = Lost()
        with pytest.raises(MigError, match=r"GPU 0 .*GPU_IS_LOST.*the previous layout is not restored"):
            apply_plan(lost, change)


def test_a_gpu_that_needs_a_reset_gets_no_instances_and_a_rollback_cancels_the_mode() -> None:
    with node("8.0", "disabled")() as nvml:
        change = plan(nvml, {"1g.10gb": 7})
        assert not apply_plan(nvml, change)
        present = read(nvml)
        assert (present.is_enabled, present.is_pending, present.instances) == (False, True, ())
        assert restore_layout(nvml, present.uuid, read_layout(change.gpu))
        assert not read(nvml).is_pending


def test_on_a_newer_gpu_the_mode_and_the_instances_change_without_a_reset() -> None:
    with node(mode="disabled")() as nvml:
        assert apply_plan(nvml, plan(nvml, {"1g.10gb": 7}))
        assert len(devices(read(nvml))) == 7
        assert apply_plan(nvml, plan_gpu(read(nvml), DesiredGpu(is_enabled=False)))
        assert not read(nvml).is_enabled


def test_an_empty_plan_calls_nothing() -> None:
    with node()() as nvml:
        empty = plan(nvml, {})
        never: Any = None
        assert apply_plan(never, empty)


def test_a_gpu_that_is_gone_is_an_error() -> None:
    with node()() as nvml, pytest.raises(NvmlError, match="is not among the GPUs"):
        restore_layout(nvml, GpuUuid("GPU-gone"), read_layout(read(nvml)))
