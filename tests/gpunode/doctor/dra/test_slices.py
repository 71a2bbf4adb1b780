"""Doctor checks the ResourceSlices of a Node."""

from typing import Any

import msgspec
import pytest

from dra_driver.devices.model import Device
from dra_driver.slices.taints import _reasons
from gpu_core.domain.evidence import GpuState, RecoveryAction
from gpu_core.domain.health import Health, Incident, Phase
from gpu_core.domain.inventory import GpuUuid
from gpu_core.domain.xid import XidClass
from gpu_core.pods.resource_slices import NamedSlice
from gpunode.doctor.check import Check
from gpunode.doctor.dra.presence import NodeSlices
from gpunode.doctor.dra.slices import REASONS, check_device_taints, check_devices, check_slices
from node_core.scheduling.objects import Metadata, Node, NodeStatus
from tests.dra_driver.claims.node import Node as ClaimNode


def slice_(*devices: Any, number: int = 0, generation: int = 3, count: int = 1, name: str = "") -> NamedSlice:
    pool = {"name": "n1", "generation": generation, "resourceSliceCount": count}
    listed = [{"name": each} if isinstance(each, str) else each for each in devices]
    document = {
        "metadata": {"name": name or f"n1-gpu.nvidia.com-{number}"},
        "spec": {"nodeName": "n1", "pool": pool, "devices": listed},
    }
    return msgspec.convert(document, NamedSlice)


def tainted(name: str, key: str = "gpu.nvidia.com/xid", value: str = "79") -> dict[str, Any]:
    return {"name": name, "taints": [{"key": key, "value": value, "effect": "NoSchedule"}]}


def check(
    *slices: NamedSlice, allocatable: dict[str, Any] | None = None, is_expected: bool = True, **more: Any
) -> tuple[Check, ...]:
    node = Node(metadata=Metadata(name="n1"), status=NodeStatus(allocatable=allocatable or {}))
    return tuple(check_slices(NodeSlices(slices=slices, **more), node, is_expected=is_expected))


def test_complete_slices_of_one_generation_are_ok() -> None:
    (found,) = check(slice_("gpu-0", count=2), slice_("gpu-1", number=1, count=2))
    assert (found.status, found.sentence) == ("ok", "2 ResourceSlices of the generation 3 offer 2 devices")


@pytest.mark.parametrize(
    ("slices", "sentence"),
    [
        ((slice_("gpu-0", count=2),), "the pool has 1 of 2 ResourceSlices of its generation 3"),
        ((slice_("gpu-0"), slice_("gpu-1", number=1, generation=2)), "n1-gpu.nvidia.com-1 are of an older generation"),
        ((), "the Node has no ResourceSlice of gpu.nvidia.com"),
    ],
    ids=["incomplete", "old", "missing"],
)
def test_slices_that_a_scheduler_does_not_use_are_a_problem(slices: tuple[NamedSlice, ...], sentence: str) -> None:
    (found,) = check(*slices)
    assert found.status == "problem"
    assert found.sentence.startswith(sentence)
    assert found.todo


def test_slices_are_not_expected_of_a_driver_that_does_not_run() -> None:
    (found,) = check(is_expected=False)
    assert found.status == "note"


def test_slices_of_another_driver_are_a_problem() -> None:
    first, _ = check(slice_("gpu-0", name="n1-gpu.nvidia.com-x7k2p"))
    assert first.sentence == "another driver with the name gpu.nvidia.com has written n1-gpu.nvidia.com-x7k2p"


def test_gpus_that_the_device_plugin_also_offers_are_a_problem() -> None:
    (found,) = check(allocatable={"nvidia.com/gpu": "2"})
    assert found.sentence == "gpu-device-plugin offers the GPUs of this node as nvidia.com/gpu"
    assert str(found.todo).startswith("remove it from this node (chart value devicePlugin.enabled: false)")


def test_slices_that_cannot_be_read_are_unknown_and_no_problem() -> None:
    (found,) = check(problem="you are not permitted to list resourceslices")
    assert (found.status, found.sentence) == ("note", "unknown: you are not permitted to list resourceslices")
    (found,) = check_slices(NodeSlices(), None, is_expected=True)
    assert found.status == "note"


@pytest.fixture
def gpus(tmp_path: Any) -> tuple[Device, ...]:
    return tuple(ClaimNode(tmp_path, has_dynamic_mig=False).devices.values())


def test_the_devices_of_the_hardware_are_ok(gpus: tuple[Device, ...]) -> None:
    (found,) = check_devices([slice_("gpu-0", "gpu-1")], gpus, has_faults=False, is_unhealthy=False)
    assert found.status == "ok"


def test_devices_that_differ_from_the_hardware_are_problems(gpus: tuple[Device, ...]) -> None:
    missing, unknown = check_devices([slice_("gpu-0", "gpu-7")], gpus, has_faults=False, is_unhealthy=False)
    assert (missing.status, unknown.status) == ("problem", "problem")
    assert "lack gpu-1" in missing.sentence
    assert "have gpu-7" in unknown.sentence


@pytest.mark.parametrize(
    ("present", "status"), [("gpu-0", "note"), (tainted("gpu-0", "gpu.nvidia.com/xid", "79"), "problem")]
)
def test_an_api_server_without_taints_has_no_devices_that_are_not_healthy(
    gpus: tuple[Device, ...], present: object, status: str
) -> None:
    """A taint in the slices shows that the API server has taints."""
    (found,) = check_devices([slice_(present)], gpus, has_faults=False, is_unhealthy=True)
    assert found.status == status


def test_a_device_of_a_gpu_that_cannot_be_read_stays(gpus: tuple[Device, ...]) -> None:
    (found,) = check_devices([slice_("gpu-0", "gpu-1", "gpu-2")], gpus, has_faults=True, is_unhealthy=False)
    assert found.status == "note"


def test_a_device_with_the_taint_of_a_lost_gpu_stays(gpus: tuple[Device, ...]) -> None:
    lost = tainted("gpu-2", "gpu.nvidia.com/gpu-lost", "")
    (found,) = check_devices([slice_("gpu-0", "gpu-1", lost)], gpus, has_faults=False, is_unhealthy=False)
    assert found.status == "note"


def test_devices_on_demand_are_expected_only_with_counters(tmp_path: Any) -> None:
    devices = ClaimNode(tmp_path).devices
    counted: list[Any] = [{"name": name, "consumesCounters": [{"counterSet": "c"}]} for name in devices]
    assert [
        each.status
        for each in check_devices([slice_(*counted)], tuple(devices.values()), has_faults=False, is_unhealthy=False)
    ] == ["ok"]
    full = [name for name, each in devices.items() if each.placement is None]
    assert [
        each.status
        for each in check_devices([slice_(*full)], tuple(devices.values()), has_faults=False, is_unhealthy=False)
    ] == ["ok"]


def test_a_taint_is_listed_once_with_its_devices_and_its_reason() -> None:
    devices = [tainted(f"gpu-0-mig-1g10gb-19-{place}") for place in range(6)]
    (found,) = check_device_taints([slice_(*devices)], is_explained=False)
    assert found.status == "problem"
    assert found.sentence == (
        "gpu-0-mig-1g10gb-19-0, gpu-0-mig-1g10gb-19-1, gpu-0-mig-1g10gb-19-2, gpu-0-mig-1g10gb-19-3 and 2 more:"
        " gpu.nvidia.com/xid=79:NoSchedule: the Xid 79 is not cleared"
    )


@pytest.mark.parametrize(
    ("device", "is_explained"),
    [
        (tainted("gpu-0"), True),
        (tainted("gpu-0", "gpu.nvidia.com/recovering", ""), False),
        (tainted("gpu-0", "example.com/maintenance", ""), False),
    ],
    ids=["explained", "recovering", "of a person"],
)
def test_a_taint_that_needs_no_action_is_a_note(device: dict[str, Any], is_explained: bool) -> None:
    (found,) = check_device_taints([slice_(device)], is_explained=is_explained)
    assert found.status == "note"


STATE = GpuState(
    gpu=GpuUuid("GPU-0"),
    lost=True,
    recovery_action=RecoveryAction.RESET,
    remap_failed=True,
    missing_nodes=("/dev/nvidia0",),
)


def test_each_taint_of_the_driver_has_a_reason() -> None:
    incident = Incident(xid=79, kind=XidClass.REBOOT, at=0.0)
    healths = [Health(phase=Phase.UNHEALTHY, incidents=(incident,), state=STATE), Health(phase=Phase.RECOVERING)]
    assert {key for health in healths for key, _ in _reasons(health)} == set(REASONS)
