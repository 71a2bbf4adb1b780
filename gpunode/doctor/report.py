"""The report of doctor as text and as JSON. PURE."""

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from gpu_core.nvml.driver_version import DriverVersions
from gpunode.doctor.check import Check
from node_core.domain.text import to_printable

HEALTHY = "Pods can get the GPUs of this node."
NO_GPUS = "This node has no GPU, and none is expected."


@dataclass(frozen=True, slots=True, kw_only=True)
class Report:
    """gpus: see gpus.list_gpus. has_gpus: False if the node has no GPU, and should have none. simulated: the name of the scenario."""

    checks: Sequence[Check]
    gpus: Sequence[Mapping[str, Any]] = ()
    has_gpus: bool = True
    simulated: str | None = None
    versions: DriverVersions

    @property
    def problems(self) -> tuple[Check, ...]:
        return tuple(each for each in self.checks if each.status == "problem")

    @property
    def summary(self) -> str:
        if self.problems:
            count = f"{len(self.problems)} problem{'s' if len(self.problems) > 1 else ''}"
            return f"{count} found: pods cannot get all GPUs of this node, or something needs an action."
        if not self.has_gpus:
            return NO_GPUS
        return HEALTHY if self.simulated is None else "The GPUs are simulated: pods get no real GPU on this node."


def render_text(report: Report) -> str:
    return "".join(f"{to_printable(line)}\n" for line in _lines(report))


def render_json(report: Report) -> str:
    reasons = [each.reason for each in report.problems or report.checks if each.reason is not None]
    content = {
        "ready": not report.problems,
        "reason": next(iter(reasons), None),
        "summary": report.summary,
        "simulated": report.simulated,
        "driver": {"module": report.versions.module, "library": report.versions.library},
        "gpus": list(report.gpus),
        "checks": [
            {
                "name": each.name,
                "status": each.status,
                "reason": each.reason,
                "sentence": each.sentence,
                "todo": each.todo,
            }
            for each in report.checks
        ],
    }
    return json.dumps(content, indent=2) + "\n"


def _lines(report: Report) -> Iterator[str]:
    for gpu in report.gpus:
        facts = (gpu.get("model"), gpu["uuid"], gpu.get("pci"), gpu.get("phase", "unhealthy"))
        mig = f", {len(gpu['migDevices'])} MIG devices" if gpu.get("migEnabled") else ""
        yield f"GPU {gpu['index']}: {', '.join(str(each) for each in facts if each)}{mig}"
    for each in report.checks:
        reason = f"{each.reason}: " if each.reason and each.reason not in each.sentence else ""
        yield f"{each.status:<7}  {each.name}: {reason}{each.sentence}"
        if each.todo is not None:
            yield f"         to do: {each.todo}"
    yield report.summary
