import pytest

from dra_driver.devices.collect import devices_of
from dra_driver.slices.taints import MAX_TAINTS, TaintEffect, taints_of
from gpu_core.domain.evidence import GpuState, RecoveryAction
from gpu_core.domain.health import Health, Incident, Phase
from gpu_core.domain.inventory import GpuUuid
from gpu_core.domain.xid import XidClass
from gpu_core.health.assessment import GpuPart
from node_core.values import replace
from tests.dra_driver.devices.gpus import gpu, inventory, mig_device, mig_of
from tests.gpu_core.mig.boards import instance

UUID = GpuUuid("GPU-0")
XID_79 = Incident(xid=79, kind=XidClass.RESET, at=1.0)


def keys_of(health: Health) -> dict[str, list[str]]:
    found = taints_of(devices_of(inventory(gpu(), gpu(1))), {(UUID, None): health})
    return {name: [f"{taint.key}={taint.value}" for taint in taints] for name, taints in found.items()}


@pytest.mark.parametrize("phase", [Phase.HEALTHY, Phase.SUSPECT])
def test_a_usable_gpu_has_no_taint(phase: Phase) -> None:
    assert keys_of(Health(phase=phase, state=GpuState(gpu=UUID, remap_pending=True))) == {}


@pytest.mark.parametrize(
    ("health", "expected"),
    [
        (Health(incidents=(XID_79,)), ["gpu.nvidia.com/xid=79"]),
        (Health(state=GpuState(gpu=UUID, lost=True)), ["gpu.nvidia.com/gpu-lost="]),
        (Health(state=GpuState(gpu=UUID, remap_failed=True)), ["gpu.nvidia.com/row-remap-failed="]),
        (Health(state=GpuState(gpu=UUID, missing_nodes=("/dev/nvidia0",))), ["gpu.nvidia.com/device-nodes-missing="]),
        (
            Health(incidents=(XID_79,), state=GpuState(gpu=UUID, recovery_action=RecoveryAction.RESET)),
            ["gpu.nvidia.com/recovery-action=reset", "gpu.nvidia.com/xid=79"],
        ),
    ],
    ids=["xid", "lost", "remap", "nodes", "two reasons"],
)
def test_each_reason_is_a_taint_of_the_gpu_alone(health: Health, expected: list[str]) -> None:
    assert keys_of(replace(health, phase=Phase.UNHEALTHY)) == {"gpu-0": expected}


def test_a_gpu_whose_reasons_are_gone_is_tainted_until_the_hold_down_ends() -> None:
    state = GpuState(gpu=UUID, recovery_action=RecoveryAction.NONE)
    assert keys_of(Health(phase=Phase.RECOVERING, state=state)) == {"gpu-0": ["gpu.nvidia.com/recovering="]}


def test_the_policy_sets_the_effect() -> None:
    health = Health(phase=Phase.UNHEALTHY, incidents=(XID_79,))
    found = taints_of(devices_of(inventory(gpu())), {(UUID, None): health}, effect=TaintEffect.NO_EXECUTE)
    assert [taint.effect for taint in found["gpu-0"]] == [TaintEffect.NO_EXECUTE]


def test_a_gpu_with_many_reasons_has_as_many_taints_as_each_version_of_kubernetes_accepts() -> None:
    incidents: dict[GpuPart, Health] = {
        (UUID, part): Health(phase=Phase.UNHEALTHY, incidents=(replace(XID_79, xid=part),)) for part in range(1, 8)
    }
    assert len(taints_of(devices_of(inventory(gpu())), incidents)["gpu-0"]) == MAX_TAINTS


def test_a_problem_of_a_gpu_instance_concerns_what_occupies_its_memory_slices() -> None:
    mig = replace(mig_of(gpu()), instances=(instance(5, "2g.20gb", 2),))
    devices = devices_of(inventory(gpu()), [mig], has_dynamic_mig=True)
    found = taints_of(devices, {(UUID, 5): Health(phase=Phase.UNHEALTHY, incidents=(XID_79,))}, [mig])
    for device in devices:
        overlaps = device.placement is None or bool({2, 3} & device.placement.slices)
        assert (device.name in found) == overlaps


def test_a_problem_of_a_gpu_instance_concerns_its_own_mig_devices() -> None:
    divided = gpu(mig_enabled=True, mig_devices=(mig_device(1, "3g.40gb", 4), mig_device(2, "3g.40gb", 0)))
    mig = replace(mig_of(divided), instances=(instance(1, "3g.40gb", 4), instance(2, "3g.40gb", 0)))
    devices = devices_of(inventory(divided), [mig])
    found = taints_of(devices, {(UUID, 2): Health(phase=Phase.UNHEALTHY, incidents=(XID_79,))}, [mig])
    assert list(found) == ["gpu-0-mig-3g40gb-98-0"]
