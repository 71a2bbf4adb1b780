"""Reports changes of GPU health to the log, the metrics and the cluster. Coalesces repeated Xids."""

from collections import Counter
from collections.abc import Callable, Iterable
from typing import Any

import structlog

from device_plugin.devices import DeviceId, Plan
from device_plugin.health.gpu_events import GpuEvent
from gpu_core.domain.health import Phase
from gpu_core.domain.inventory import GpuUuid
from gpu_core.domain.node_assessment import NodeAssessment, Reason
from gpu_core.domain.xid import XIDS, XidClass, xid_of
from gpu_core.health.assessment import GpuAssessment, GpuPart
from gpu_core.health.tracker import AttributedXid
from node_core.domain.coalescer import Coalescer
from node_core.runtime import metrics
from node_core.runtime.services import Services

log = structlog.get_logger(__name__)

LOG_SECONDS = 60.0
EVENT_SECONDS = 600.0
"""Within this time, repeats of an Xid on a GPU are only counted."""
_IN_TABLE = frozenset(each.number for each in XIDS)


class HealthReporter:
    """record: records a Kubernetes Event without waiting."""

    def __init__(self, agent: str, services: Services, record: Callable[[GpuEvent], None]) -> None:
        self._agent, self._services, self._record = agent, services, record
        self._known: dict[GpuPart, GpuAssessment] = {}
        self._logged: Coalescer[int] = Coalescer(lambda _, count: count)
        self._recorded: Coalescer[int] = Coalescer(lambda _, count: count)
        self._reported: NodeAssessment | None = None

    def report_xids(self, attributed: Iterable[AttributedXid], plan: Plan) -> None:
        """Logs and counts Xids, and records Events for application errors. `report_gpus` reports Xids that make a GPU unhealthy."""
        for each in attributed:
            xid, now = each.event.xid, self._services.clock()
            number = str(xid) if xid in _IN_TABLE else "other"
            self._services.metrics.add(
                metrics.XIDS, each.event.count, agent=self._agent, gpu=each.gpu, xid=number, kind=each.kind
            )
            key = (each.gpu, each.event.gpu_instance, xid)
            if (count := self._logged.add(key, 1, now, LOG_SECONDS, each.event.count)) is not None:
                gpu, what = _part(each).name, xid_of(xid).description
                log.info("xid", gpu=gpu, xid=xid, kind=str(each.kind), what=what, count=count)
            if each.kind is XidClass.APPLICATION:
                count = self._recorded.add(key, 1, now, EVENT_SECONDS, each.event.count)
                if count is not None:
                    self._report_xid(each, count, plan)

    def report_gpus(self, gpu_assessments: Iterable[GpuAssessment], plan: Plan) -> None:
        """Reports the changes since the last call."""
        now = {(assessment.gpu, assessment.gpu_instance): assessment for assessment in gpu_assessments}
        for part, assessment in now.items():
            before = self._known.get(part)
            if assessment.phase is not (before.phase if before else Phase.HEALTHY):
                self._report_change(assessment, before, plan)
        self._known = now
        phases: Counter[tuple[str, ...]] = Counter(
            (self._agent, gpu, "" if instance is None else str(instance), str(assessment.phase))
            for (gpu, instance), assessment in now.items()
        )
        self._services.metrics.replace(metrics.GPU_HEALTH, self._agent, phases)

    def report_node(self, assessment: NodeAssessment) -> None:
        """Reports the assessment of the whole node if it has changed."""
        if assessment == self._reported:
            return
        before, self._reported = self._reported, assessment
        is_new = before is None or before.reason is not assessment.reason
        if before is not None and assessment.reason is Reason.NOT_ALLOCATABLE:
            is_new = is_new or before.todo != assessment.todo  # the kubelet had its time
        self._services.metrics.replace(
            metrics.GPU_READY_REASON, self._agent, {(self._agent, str(assessment.reason)): 1}
        )
        if is_new:
            write = log.info if assessment.todo is None else log.warning
            write("node_status_evaluated", reason=str(assessment.reason), why=assessment.sentence, todo=assessment.todo)

    def _report_xid(self, attributed: AttributedXid, count: int, plan: Plan) -> None:
        xid = xid_of(attributed.event.xid)
        part = _part(attributed)
        note = f"{part.name}: Xid {xid.number}: {xid.description}. {_sentence(xid.advice)}"
        self._report("GPUXid", note, attributed.gpu, count=count, devices=_devices(plan, part))

    def _report_change(self, assessment: GpuAssessment, before: GpuAssessment | None, plan: Plan) -> None:
        name = assessment.name
        was_unusable = before is not None and not before.phase.is_usable
        match assessment.phase:
            case Phase.UNHEALTHY | Phase.RECOVERING if not was_unusable:
                log.warning("gpu_unhealthy", gpu=name, why=assessment.why, todo=assessment.todo)
                parts = (f"{name} gets no new pods: {assessment.why}", assessment.todo, assessment.outlook)
                note = " ".join(_sentence(part) for part in parts if part)
                self._report("GPUUnhealthy", note, assessment.gpu, devices=_devices(plan, assessment))
            case Phase.UNHEALTHY:
                log.warning("gpu_unhealthy_again", gpu=name, why=assessment.why)
            case Phase.RECOVERING:
                log.info("gpu_recovering", gpu=name, why=assessment.why)
            case Phase.SUSPECT:
                log.warning("gpu_suspect", gpu=name, why=assessment.why)
                self._report("GPUSuspect", f"{name} remains in use: {assessment.why}.", assessment.gpu)
            case Phase.HEALTHY if was_unusable:
                log.info("gpu_recovered", gpu=name)
                self._report(
                    "GPURecovered",
                    f"{name} is healthy and gets new pods again. No action is required.",
                    assessment.gpu,
                    is_warning=False,
                )
            case _:
                log.info("gpu_no_longer_suspect", gpu=name)

    def _report(self, reason: str, note: str, gpu: GpuUuid, **fields: Any) -> None:
        self._record(GpuEvent(reason=reason, note=note, gpu=gpu, at=self._services.wall(), **fields))


def _devices(plan: Plan, assessment: GpuAssessment) -> frozenset[DeviceId]:
    """Returns the ids of the devices that an assessment concerns."""
    every = (device for offer in plan.resources.values() for device in offer.devices)
    return frozenset(device.id for device in every if assessment.concerns(device.gpu, device.gpu_instance))


def _part(attributed: AttributedXid) -> GpuAssessment:
    """Returns the GPU, or the GPU instance, that an Xid names."""
    instance = attributed.event.gpu_instance
    return GpuAssessment(gpu=attributed.gpu, index=attributed.index, gpu_instance=instance, phase=Phase.HEALTHY)


def _sentence(text: str) -> str:
    return f"{text[:1].upper()}{text[1:]}."
