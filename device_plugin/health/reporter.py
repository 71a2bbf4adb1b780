"""What the health of GPUs is to the log, the metrics and the cluster: one line and one Event when something changes, repeats folded."""

from collections import Counter
from collections.abc import Iterable, Mapping
from typing import Protocol

import structlog

from device_plugin.devices import DeviceId, Plan
from device_plugin.health.folding import Folding
from device_plugin.health.mark import Verdict
from device_plugin.health.news import Condition, News
from device_plugin.health.tracker import Part, Struck
from node_core.domain.health import Phase
from node_core.domain.inventory import GpuUuid
from node_core.domain.verdict import Judgement
from node_core.domain.xid import XIDS, XidClass, xid_of
from node_core.runtime import metrics
from node_core.runtime.services import Services

log = structlog.get_logger(__name__)

LOG_SECONDS = 60.0
EVENT_SECONDS = 600.0
"""Within these, an Xid of a GPU that came before is not told again."""
_IN_TABLE = frozenset(each.number for each in XIDS)


class Sink(Protocol):
    """Who tells the cluster; see teller.Teller."""

    def news(self, news: News) -> None: ...

    def condition(self, condition: Condition) -> None: ...

    def taint(self, is_wanted: bool) -> None: ...

    def forget(self) -> None:
        """The Node was made anew."""
        ...


class _NoSink:
    def news(self, news: News) -> None: ...

    def condition(self, condition: Condition) -> None: ...

    def taint(self, is_wanted: bool) -> None: ...

    def forget(self) -> None: ...


NO_SINK: Sink = _NoSink()
"""Where there is no cluster to tell."""


class HealthReporter:
    def __init__(self, agent: str, services: Services, sink: Sink) -> None:
        self._agent, self._services, self._sink = agent, services, sink
        self._known: dict[Part, Verdict] = {}
        self._logged, self._told = Folding(LOG_SECONDS), Folding(EVENT_SECONDS)
        self._judged: Judgement | None = None

    def xids(self, struck: Iterable[Struck], plan: Plan) -> None:
        """plan: whose devices are on the GPUs. An Xid that takes a GPU away is told as that, not here."""
        for each in struck:
            xid, now = each.event.xid, self._services.clock()
            number = str(xid) if xid in _IN_TABLE else "other"
            self._services.metrics.add(
                metrics.XIDS, each.event.count, agent=self._agent, gpu=each.gpu, xid=number, kind=each.kind
            )
            key = (each.gpu, each.event.gpu_instance, xid)
            if (count := self._logged.count(key, now, each.event.count)) is not None:
                log.info("xid", gpu=each.gpu, xid=xid, kind=str(each.kind), what=xid_of(xid).what, count=count)
            if each.kind is XidClass.APPLICATION:
                count = self._told.count(key, now, each.event.count)
                if count is not None:
                    self._tell_xid(each, count, plan)

    def verdicts(self, verdicts: Iterable[Verdict], plan: Plan) -> None:
        """What is new in them."""
        now = {(verdict.gpu, verdict.gpu_instance): verdict for verdict in verdicts}
        for part, verdict in now.items():
            before = self._known.get(part)
            if verdict.phase is not (before.phase if before else Phase.HEALTHY):
                self._changed(verdict, before, plan)
        self._known = now
        self._count(now)

    def judged(self, judgement: Judgement) -> None:
        """What the node as a whole has to offer."""
        if judgement == self._judged:
            return
        is_new = self._judged is None or self._judged.reason is not judgement.reason
        self._judged = judgement
        self._services.metrics.replace(metrics.VERDICT, self._agent, {(self._agent, str(judgement.reason)): 1})
        if is_new:
            say = log.info if judgement.todo is None else log.warning
            say("gpus_judged", verdict=str(judgement.reason), why=judgement.sentence, todo=judgement.todo)
        said = Condition(is_ready=judgement.is_ready, reason=str(judgement.reason), message=judgement.text)
        self._sink.condition(said)

    def _tell_xid(self, struck: Struck, count: int, plan: Plan) -> None:
        xid, part = (
            xid_of(struck.event.xid),
            Verdict(gpu=struck.gpu, gpu_instance=struck.event.gpu_instance, phase=Phase.HEALTHY),
        )
        note = f"{part.name}: Xid {xid.number}: {xid.what}. {_sentence(xid.advice)}"
        devices = _devices(plan, part)
        self._sink.news(News(reason="GPUXid", note=note, gpu=struck.gpu, at=self._wall, count=count, devices=devices))

    def _changed(self, verdict: Verdict, before: Verdict | None, plan: Plan) -> None:
        name = verdict.name
        was_out = before is not None and not before.phase.is_usable
        match verdict.phase:
            case Phase.UNHEALTHY | Phase.RECOVERING if not was_out:
                log.warning("gpu_unhealthy", gpu=name, why=verdict.why, todo=verdict.todo)
                note = f"{name} gets no new pods: {verdict.why}. {_sentence(verdict.todo or '')}"
                self._say("GPUUnhealthy", note, verdict.gpu, devices=_devices(plan, verdict))
            case Phase.UNHEALTHY:
                log.warning("gpu_unhealthy_again", gpu=name, why=verdict.why)
            case Phase.RECOVERING:
                log.info("gpu_recovering", gpu=name, why=verdict.why)
            case Phase.SUSPECT:
                log.warning("gpu_suspect", gpu=name, why=verdict.why)
                self._say("GPUSuspect", f"{name} stays in use: {verdict.why}.", verdict.gpu)
            case Phase.HEALTHY if was_out:
                log.info("gpu_recovered", gpu=name)
                self._say("GPURecovered", f"{name} can be used again.", verdict.gpu, is_warning=False)
            case _:
                log.info("gpu_not_suspect", gpu=name)

    def _say(
        self, reason: str, note: str, gpu: GpuUuid, *, is_warning: bool = True, devices: frozenset[DeviceId] = frozenset()
    ) -> None:  # fmt: skip
        self._sink.news(News(reason=reason, note=note, gpu=gpu, at=self._wall, is_warning=is_warning, devices=devices))

    def _count(self, verdicts: Mapping[Part, Verdict]) -> None:
        phases: Counter[tuple[str, ...]] = Counter(
            (self._agent, part[0], "" if part[1] is None else str(part[1]), str(verdict.phase))
            for part, verdict in verdicts.items()
        )
        self._services.metrics.replace(metrics.GPU_HEALTH, self._agent, phases)

    @property
    def _wall(self) -> float:
        return self._services.wall()


def _devices(plan: Plan, verdict: Verdict) -> frozenset[DeviceId]:
    """The ids of the devices that a verdict concerns."""
    every = (device for offer in plan.resources.values() for device in offer.devices)
    return frozenset(device.id for device in every if verdict.concerns(device))


def _sentence(text: str) -> str:
    return f"{text[:1].upper()}{text[1:]}."
