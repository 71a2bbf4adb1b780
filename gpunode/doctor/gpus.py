"""The checks of the driver and the GPUs, and the list of the GPUs. PURE."""

from collections.abc import Iterator
from typing import Any

from device_plugin.health.examine import Examination
from gpu_core.domain.inventory import Gpu
from gpu_core.domain.node_assessment import ADVICE, NodeAssessment, Reason
from gpu_core.health.assessment import GpuAssessment
from gpunode.doctor.check import Check, note, ok, problem

FALLBACK = "see the reason in docs/reference/health.md"


def check_gpus(examination: Examination, *, is_gpu_expected: bool) -> Iterator[Check]:
    """is_gpu_expected: the cluster expects GPUs on this node."""
    yield _check_assessment(examination.assessment, is_gpu_expected=is_gpu_expected)
    if (mismatch := examination.versions.mismatch) is not None and examination.assessment.reason is not Reason.MISMATCH:
        yield problem("driver", mismatch, ADVICE[Reason.MISMATCH])
    if examination.caps_problem is not None:
        todo = "check that the host's /proc is mounted for the plugin, and that the driver is loaded"
        yield problem("mig", examination.caps_problem, todo)
    for each in examination.gpu_assessments:
        if each.todo is not None:
            yield problem("gpu", f"{each.name}: {each.phase}: {each.why}", each.todo)
        elif each.why is not None:
            yield note("gpu", f"{each.name}: {each.phase}: {each.why}")
    yield from (note("gpus", each.rstrip(".")) for each in examination.notes)


def _check_assessment(assessment: NodeAssessment, *, is_gpu_expected: bool) -> Check:
    reason = str(assessment.reason)
    if assessment.reason is Reason.NO_GPU and not is_gpu_expected:
        return ok("gpus", f"{assessment.sentence}; {assessment.todo}", reason=reason)
    if assessment.reason is Reason.READY:
        return ok("gpus", assessment.sentence, reason=reason)
    return problem("gpus", assessment.sentence, assessment.todo or FALLBACK, reason=reason)


def list_gpus(examination: Examination) -> list[dict[str, Any]]:
    """Lists all GPUs, also those that cannot be read, in NVML's order, with their MIG devices."""
    if examination.inventory is None:
        return []
    assessments = {(each.gpu, each.gpu_instance): each for each in examination.gpu_assessments}
    gpus = [_describe(gpu, assessments) for gpu in examination.inventory.gpus]
    faults = [
        {"index": each.index, "uuid": each.uuid, "healthy": False, "why": f"it cannot be read: {each.reason}"}
        for each in examination.inventory.faults
    ]
    return sorted([*gpus, *faults], key=lambda each: int(each["index"]))


def _describe(gpu: Gpu, assessments: dict[Any, GpuAssessment]) -> dict[str, Any]:
    whole = assessments.get((gpu.uuid, None))
    return {
        "index": gpu.index,
        "uuid": gpu.uuid,
        "pci": None if gpu.address is None else str(gpu.address),
        "model": gpu.model,
        **_health(whole),
        "migEnabled": gpu.mig_enabled,
        "migDevices": [
            {
                "uuid": each.uuid,
                "profile": each.profile,
                "gpuInstance": each.gpu_instance,
                **_health(_worst(whole, assessments.get((gpu.uuid, each.gpu_instance)))),
            }
            for each in gpu.mig_devices
        ],
    }


def _worst(whole: GpuAssessment | None, instance: GpuAssessment | None) -> GpuAssessment | None:
    return whole if whole is not None and not whole.phase.is_usable else instance or whole


def _health(assessment: GpuAssessment | None) -> dict[str, Any]:
    if assessment is None:
        return {"healthy": True, "phase": "healthy", "why": None, "todo": None}
    return {
        "healthy": assessment.phase.is_usable,
        "phase": str(assessment.phase),
        "why": assessment.why,
        "todo": assessment.todo,
    }
