"""What the Node shows about its validation: the condition GPUValidated. PURE."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from enum import StrEnum

from gpu_validator.check import Name, Report, Verdict
from node_core.domain.conditions import GPU_VALIDATED, Condition
from node_core.domain.node import NodeView


class Reason(StrEnum):
    """The reasons of the condition. The first check that fails determines the reason."""

    VALIDATED = "Validated"
    DRIVER = "DriverFailed"
    DEVICE_NODES = "DeviceNodesFailed"
    CDI = "CDIFailed"
    CUDA = "CUDAFailed"
    KUBELET = "NotRegistered"
    SLICES = "ResourceSlicesFailed"
    CONTAINER = "ContainerFailed"


REASONS: Mapping[Name, Reason] = {
    Name.DRIVER: Reason.DRIVER,
    Name.DEVICE_NODES: Reason.DEVICE_NODES,
    Name.CDI: Reason.CDI,
    Name.CUDA: Reason.CUDA,
    Name.KUBELET: Reason.KUBELET,
    Name.SLICES: Reason.SLICES,
    Name.CONTAINER: Reason.CONTAINER,
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Status:
    """condition: None for a node without GPUs, which gets none."""

    condition: Condition | None


def describe_status(report: Report) -> Status:
    if not report.has_gpus:
        return Status(condition=None)
    failure = report.failure
    if failure is not None:
        return Status(condition=_condition(REASONS[failure.name], failure.text, report))
    names = {
        verdict: ", ".join(each.name for each in report.checks if each.verdict is verdict)
        for verdict in (Verdict.PASSED, Verdict.NOT_APPLICABLE)
    }
    omitted = f" Not applicable: {names[Verdict.NOT_APPLICABLE]}." if names[Verdict.NOT_APPLICABLE] else ""
    return Status(condition=_condition(Reason.VALIDATED, f"Passed: {names[Verdict.PASSED]}.{omitted}", report))


def _condition(reason: Reason, message: str, report: Report) -> Condition:
    prefix = "The GPUs are simulated. " if report.simulated else ""
    return Condition(
        type=GPU_VALIDATED, is_true=reason is Reason.VALIDATED, reason=str(reason), message=f"{prefix}{message}"
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class ConditionWrite:
    """condition: None to remove the condition. uid: the UID of the Node."""

    uid: str
    condition: Condition | None


def plan_writes(status: Status, observed: NodeView) -> Iterator[ConditionWrite]:
    """Yields the write that the observed Node needs."""
    current, desired = observed.conditions.get(GPU_VALIDATED), status.condition
    is_equal = current is None if desired is None else current is not None and current.equals(desired)
    if not is_equal:
        yield ConditionWrite(uid=observed.uid, condition=desired)
