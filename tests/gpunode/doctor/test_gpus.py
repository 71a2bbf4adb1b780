"""The checks of the GPUs, and their list."""

import pytest

from device_plugin.health.examine import Examination
from gpu_core.domain.health import Phase
from gpu_core.domain.inventory import Driver, Fault, Gpu, GpuUuid, Inventory, MigAttributes, MigDevice, MigUuid
from gpu_core.domain.node_assessment import NodeAssessment, Reason
from gpu_core.health.assessment import GpuAssessment
from gpu_core.nvml.driver_version import DriverVersions
from gpunode.doctor.gpus import check_gpus, list_gpus
from node_core.values import replace

UUID = GpuUuid("GPU-1")
READY = NodeAssessment(reason=Reason.READY, sentence="1 of 1 GPUs are available")
NO_GPU = NodeAssessment(reason=Reason.NO_GPU, sentence="the PCI bus has no NVIDIA GPU", todo="no action if intended")
EQUAL = DriverVersions(module="1", library="1")


def mig(instance: int) -> MigDevice:
    attributes = MigAttributes(**dict.fromkeys(MigAttributes.__struct_fields__, 1))
    uuid = MigUuid(f"MIG-{instance}")
    return MigDevice(
        uuid=uuid, slot=instance, gpu_instance=instance, compute_instance=0, profile="1g.5gb", attributes=attributes
    )


GPU = Gpu(
    index=1,
    uuid=UUID,
    minor=1,
    model="A100",
    memory_bytes=None,
    compute=None,
    address=None,
    mig_enabled=True,
    mig_devices=(mig(1), mig(2)),
)


@pytest.mark.parametrize(("is_expected", "status"), [(False, "ok"), (True, "problem")])
def test_a_missing_gpu_is_a_problem_if_the_cluster_expects_one(is_expected: bool, status: str) -> None:
    (check,) = check_gpus(Examination(assessment=NO_GPU, versions=EQUAL), is_gpu_expected=is_expected)
    assert (check.status, check.reason) == (status, "NoGPU")


def test_a_library_of_another_version_is_a_problem_once() -> None:
    versions = DriverVersions(module="1", library="2")
    checks = list(check_gpus(Examination(assessment=READY, versions=versions), is_gpu_expected=True))
    assert [(each.name, each.status) for each in checks] == [("gpus", "ok"), ("driver", "problem")]
    mismatch = replace(READY, reason=Reason.MISMATCH, todo="reboot")
    (check,) = check_gpus(Examination(assessment=mismatch, versions=versions), is_gpu_expected=True)
    assert (check.name, check.reason) == ("gpus", "DriverLibraryMismatch")


def test_capabilities_that_cannot_be_read_are_a_problem_and_a_note_is_not() -> None:
    examination = Examination(assessment=READY, caps_problem="no caps", notes=("A note.",), versions=EQUAL)
    checks = [(each.name, each.status, each.sentence) for each in check_gpus(examination, is_gpu_expected=True)]
    assert checks[1:] == [("mig", "problem", "no caps"), ("gpus", "note", "A note")]


@pytest.mark.parametrize(("instance", "healthy"), [(None, [False, False]), (2, [True, False])])
def test_a_mig_device_has_the_health_of_its_gpu_and_of_its_instance(instance: int | None, healthy: list[bool]) -> None:
    bad = GpuAssessment(gpu=UUID, gpu_instance=instance, phase=Phase.UNHEALTHY, why="Xid 79", todo="reboot")
    inventory = Inventory(
        driver=Driver(version="1", cuda=None), gpus=(GPU,), faults=(Fault(index=0, uuid=None, reason="r"),)
    )
    examination = Examination(assessment=READY, inventory=inventory, gpu_assessments=(bad,), versions=EQUAL)
    lost, gpu = list_gpus(examination)
    assert (lost["index"], lost["healthy"]) == (0, False)
    assert [each["healthy"] for each in gpu["migDevices"]] == healthy
    assert gpu["healthy"] is (instance is not None)
