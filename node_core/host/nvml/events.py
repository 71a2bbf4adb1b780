"""Listens to what NVML tells by itself: Xids, ECC errors, MIG changes. One daemon thread with one NVML session.

Events of a GPU that does not support them are no loss to the others. What fails is tried again with growing pauses. As NVML looks at the
bus only with a process's first session, see `sessions`, the watch closes its own for a moment to see GPUs that come or come back.
Source: NVML API reference, event handling methods.
"""

import random
import threading
import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace

import structlog

from node_core.domain.backoff import Backoff
from node_core.domain.evidence import XidEvent
from node_core.domain.inventory import GpuUuid
from node_core.errors import NodeError, NvmlError
from node_core.host.fold import Folded
from node_core.host.nvml.api import ABSENT, EventSet, EventType, Nvml, NvmlEvent, OpenNvml
from node_core.host.nvml.event_set import CHANGES, Registered, event_set, register

log = structlog.get_logger(__name__)

WAIT = 0.5
"""Seconds of one nvmlEventSetWait, and so the longest that the end or a release has to wait for. Events end the wait at once."""
XID_PERIOD = 1.0
"""Seconds in which one Xid of one GPU is told once."""
RETRY = 60.0
"""Seconds after which GPUs that could not be registered, but should be, are tried again."""
ALONE = 5.0
"""Seconds that a new session waits for the looks that are under way to close theirs."""


def pause_after(failures: int) -> float:
    """Seconds, after so many failures in a row."""
    return Backoff().delay(failures, random.random())  # nosec B311 # jitter


class EventWatch:
    """seen: an Xid; those that repeat within a second come as one, with their count. changed: a sentence on what should be looked at.

    failed: why no events come at present, once for each reason; None when they come again. All three are called from the watch's
    thread and must not block, and `failed` must not raise.
    The owner calls `refresh` when the set of GPUs may have changed, and while a look finds one lost.
    alone: waits until no other NVML session of this process is open, for so many seconds at most. pauses: failures in a row -> seconds.
    """

    def __init__(
        self,
        open_nvml: OpenNvml,
        seen: Callable[[XidEvent], None],
        changed: Callable[[str], None],
        failed: Callable[[NodeError | None], None],
        *,
        alone: Callable[[float], bool] = lambda _: True,
        wait: float = WAIT,
        pauses: Callable[[int], float] = pause_after,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._open, self._alone = open_nvml, alone
        self._seen, self._changed, self._failed = seen, changed, failed
        self._wait, self._pauses, self._clock = wait, pauses, clock
        self._condition = threading.Condition()
        self._thread: threading.Thread | None = None
        self._is_ending = self._is_released = self._is_open = False
        self._wanted = self._failures = 0
        self._answered = clock()
        self._told: str | None = None
        self._known: frozenset[GpuUuid] | None = None
        self._silent: Mapping[int, str] = {}
        self._xids: Folded[XidEvent] = Folded(lambda event, count: replace(event, count=count))
        self._changes: Folded[str] = Folded(lambda sentence, _: sentence)

    def start(self) -> None:
        self._thread = threading.Thread(target=self._run, name="nvml-events", daemon=True)
        self._thread.start()

    def stop(self) -> None:
        """Within one wait. A call that hangs is left behind, and tells nothing any more."""
        self._set(ending=True)
        if self._thread is not None:
            self._thread.join(self._wait + 0.2)

    def refresh(self) -> None:
        """Begins a new session, which sees the GPUs that there are now."""
        self._set()

    def release(self, timeout: float = 2.0) -> bool:
        """Gives all handles up until `take`, so that a driver may be unloaded or a GPU reset. Whether that was done in time."""
        self._set(released=True)
        with self._condition:
            return self._condition.wait_for(lambda: not self._is_open, timeout)

    def take(self) -> None:
        self._set(released=False)

    def _set(self, *, ending: bool = False, released: bool | None = None) -> None:
        """What the thread is to do; it leaves the session that it has."""
        with self._condition:
            self._is_ending = self._is_ending or ending
            self._is_released = self._is_released if released is None else released
            self._wanted += 1
            self._condition.notify_all()

    def stuck_for(self) -> float:
        """Seconds for which NVML has owed an answer; 0 while it is in time."""
        return max(0.0, self._clock() - self._answered - self._wait) if self._is_open else 0.0

    def _run(self) -> None:
        while not self._is_ending:
            wanted, pause = self._wanted, None
            if not self._is_released:
                pause = self._survive(wanted)
            self._pause(wanted, pause)

    def _survive(self, wanted: int) -> float | None:
        """One session, whatever comes of it: nobody would begin this thread again. For how long to pause after it."""
        try:
            try:
                return self._listen(wanted)
            finally:
                self._tell(self._xids.flush(), self._changes.flush())
        except NvmlError as error:
            return self._after(error, error.code)
        except Exception as error:  # noqa: BLE001 - a fault in here must not end the events without a word
            return self._after(NodeError(f"the watch of NVML's events broke: {error!r}"), type(error).__name__, error)

    def _pause(self, wanted: int, seconds: float | None) -> None:
        """Until the time is over or something else is wanted."""
        with self._condition:
            self._condition.wait_for(lambda: self._wanted != wanted, seconds)

    def _after(self, error: NodeError, reason: str, fault: Exception | None = None) -> float | None:
        """For how long to pause. A library or a platform without events has none later either."""
        self._failures += 1
        if self._told != reason and not self._is_ending:
            self._told = reason
            effect = "changes are found with the next look"
            log.warning("nvml_events_failed", why=str(error), effect=effect, exc_info=fault)
            self._failed(error)
        return None if reason in ABSENT else self._pauses(self._failures)

    def _works(self) -> None:
        self._answered = self._clock()
        self._failures = 0
        if self._told is not None and not self._is_ending:
            self._told = None
            log.info("nvml_events_back")
            self._failed(None)

    def _listen(self, wanted: int) -> float | None:
        """One session, until something else is wanted. For how long to pause after it; None until something is wanted."""
        self._alone(ALONE)
        if not self._begin(wanted):
            return 0
        try:
            with self._open() as nvml, event_set(nvml) as events:
                return self._follow(nvml, events, wanted)
        finally:
            with self._condition:
                self._is_open = False
                self._condition.notify_all()

    def _begin(self, wanted: int) -> bool:
        """False where something else is wanted by now: a release that has been granted must stay one."""
        with self._condition:
            self._answered = self._clock()
            self._is_open = self._wanted == wanted
            return self._is_open

    def _follow(self, nvml: Nvml, events: EventSet, wanted: int) -> float | None:
        registered = register(nvml, events)
        self._compare(registered)
        retry = RETRY if registered.again else None
        if not registered.gpus:
            self._works()
            return retry
        until = None if retry is None else self._clock() + retry
        while self._wanted == wanted and (until is None or self._clock() < until):
            self._step(nvml, events, registered)
        return 0

    def _compare(self, registered: Registered) -> None:
        """Tells when GPUs came or went since the last session, which looks may not have seen while that was open."""
        if registered.silent != self._silent:
            self._silent = registered.silent
            log.info("gpus_without_events", gpus=[f"{index}: {why}" for index, why in registered.silent.items()])
        known = frozenset(uuid for uuid, _ in registered.gpus)
        if self._known not in (None, known) and not self._is_ending:
            self._changed("the GPUs that tell events are others than before")
        self._known = known

    def _step(self, nvml: Nvml, events: EventSet, registered: Registered) -> None:
        event = nvml.event_set_wait(events, self._milliseconds())
        now = self._clock()
        if event is not None:
            self._take(event, registered.uuid(event.device), now)
        self._tell(self._xids.take_due(now), self._changes.take_due(now))
        self._works()

    def _tell(self, xids: Iterable[XidEvent], changes: Iterable[str]) -> None:
        if self._is_ending:
            return
        for xid in xids:
            self._seen(xid)
        for sentence in changes:
            self._changed(sentence)

    def _milliseconds(self) -> int:
        """No longer than until something that was kept is due."""
        dues = [due for due in (self._xids.next_due(), self._changes.next_due()) if due is not None]
        left = min(dues, default=self._clock() + self._wait) - self._clock()
        return max(1, round(1000 * min(left, self._wait)))

    def _take(self, event: NvmlEvent, gpu: GpuUuid | None, now: float) -> None:
        if event.type == EventType.XID:
            xid = XidEvent(
                xid=event.data,
                gpu=gpu,
                gpu_instance=event.gpu_instance,
                compute_instance=event.compute_instance,
                at=now,
            )
            self._tell(self._xids.add(replace(xid, at=0.0), xid, now, XID_PERIOD), ())
        elif (change := CHANGES.get(event.type)) is not None:
            sentence = f"{gpu}: {change.what}"
            self._tell((), self._changes.add(sentence, sentence, now, change.seconds))
