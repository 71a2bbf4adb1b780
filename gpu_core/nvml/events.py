"""Waits for NVML's events: Xids, ECC errors, MIG changes. One daemon thread with one NVML session.

A GPU without events does not affect the others. Failures are retried with increasing pauses. NVML scans the bus only in the first session
of a process, see `sessions`. So the watch briefly closes its session to find GPUs that were added or that returned.
Source: NVML API reference, event handling methods.
"""

import random
import threading
import time
from collections.abc import Callable, Iterable, Mapping

import structlog

from gpu_core.domain.evidence import XidEvent
from gpu_core.domain.inventory import GpuUuid
from gpu_core.nvml.api import ABSENT, EventSet, EventType, Nvml, NvmlEvent, OpenNvml
from gpu_core.nvml.event_set import STATE_CHANGES, Registration, event_set, register_gpus
from node_core.domain.backoff import Backoff
from node_core.domain.coalescer import Coalescer
from node_core.errors import NodeError, NvmlError
from node_core.values import replace

log = structlog.get_logger(__name__)

WAIT = 1.0
"""Seconds of one nvmlEventSetWait, and so the maximum delay of a release. An event ends the wait immediately."""
STOP_SECONDS = 0.2
"""Maximum seconds that `stop` waits for the thread."""
XID_PERIOD = 1.0
"""Seconds within which equal Xids of a GPU are reported as one."""
STUCK = 300.0
"""Seconds after which a call that hangs is a problem of liveness. A wait ends after WAIT, and the driver needs less to start."""
RETRY = 60.0
"""Seconds after which the registration of GPUs is retried, if it failed for some and may succeed later."""
ALONE = 5.0
"""Seconds that a new session waits for running discoveries to close their sessions."""


def pause_after(failures: int) -> float:
    """Seconds to pause after this number of consecutive failures."""
    return Backoff().delay(failures, random.random())  # nosec B311 # jitter


class EventWatch:
    """Calls the callbacks in the watch's thread. The callbacks must not block, and `on_failure` must not raise.

    on_xid: an Xid, or equal Xids within a second with their count. on_change: a sentence; a new discovery is necessary. on_failure: why
    there are no events at present, once for each reason; None when events work again.
    wait_alone: waits until this process has no other NVML session, for at most these seconds. pauses: consecutive failures -> seconds.

    The owner calls `refresh` when the set of GPUs may have changed, and while a discovery finds a lost GPU.
    """

    stuck = STUCK

    def __init__(
        self,
        open_nvml: OpenNvml,
        on_xid: Callable[[XidEvent], None],
        on_change: Callable[[str], None],
        on_failure: Callable[[NodeError | None], None],
        *,
        wait_alone: Callable[[float], bool] = lambda _: True,
        wait: float = WAIT,
        pauses: Callable[[int], float] = pause_after,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._open, self._wait_alone = open_nvml, wait_alone
        self._on_xid, self._on_change, self._on_failure = on_xid, on_change, on_failure
        self._wait, self._pauses, self._clock = wait, pauses, clock
        self._condition = threading.Condition()
        self._thread: threading.Thread | None = None
        self._is_ending = self._is_released = self._is_open = self._has_yielded = False
        self._generation = self._failures = 0
        self._called_at: float | None = None
        self._reported: str | None = None
        self._known: frozenset[GpuUuid] | None = None
        self._unregistered: Mapping[str, str] = {}
        self._xids: Coalescer[XidEvent] = Coalescer(lambda event, count: replace(event, count=count))
        self._changes: Coalescer[str] = Coalescer(lambda sentence, _: sentence)

    def start(self) -> None:
        thread = threading.Thread(target=self._run, name="nvml-events", daemon=True)
        thread.start()
        self._thread = thread

    def stop(self) -> None:
        """Does not wait for a hanging call. After the call, the thread reports nothing and closes the session."""
        self._end_session(ending=True)
        if self._thread is not None:
            self._thread.join(STOP_SECONDS)

    def liveness_problem(self) -> str | None:
        """A sentence if the thread has ended before `stop`, or hangs in a call of NVML; else None. Callable from any thread."""
        called_at = self._called_at
        if self._thread is None or self._is_ending:
            return None
        if not self._thread.is_alive():
            return "the thread nvml-events has ended"
        is_stuck = called_at is not None and self._clock() - called_at > self.stuck
        return f"a call of NVML in the thread nvml-events did not return for {self.stuck:.0f} s" if is_stuck else None

    @property
    def watched(self) -> frozenset[GpuUuid]:
        """The GPUs whose events are reported at present. Callable from any thread."""
        is_working = self._reported is None and not self._is_released
        return (self._known or frozenset()) if is_working else frozenset()

    def refresh(self) -> None:
        """Starts a new session, which discovers the present GPUs."""
        self._end_session()

    def yield_session(self) -> None:
        """See sessions.SessionHolder."""
        if self._is_open:
            self._has_yielded = True
            self._end_session()

    def release(self, timeout: float = 2.0) -> bool:
        """Closes the session until `acquire`. Returns False if the session is still open after the timeout."""
        self._end_session(released=True)
        with self._condition:
            return self._condition.wait_for(lambda: not self._is_open, timeout)

    def acquire(self) -> None:
        self._end_session(released=False)

    def _end_session(self, *, ending: bool = False, released: bool | None = None) -> None:
        with self._condition:
            self._is_ending = self._is_ending or ending
            self._is_released = self._is_released if released is None else released
            self._generation += 1
            self._condition.notify_all()

    def _run(self) -> None:
        while not self._is_ending:
            generation, pause = self._generation, None
            if not self._is_released:
                pause = self._run_session(generation)
            with self._condition:
                self._condition.wait_for(lambda: self._generation != generation, pause)  # noqa: B023 - called at once

    def _run_session(self, generation: int) -> float | None:
        """Runs one session and survives every error, because nothing restarts the thread.

        Returns the seconds to pause, or None for a pause until the next generation.
        """
        try:
            try:
                self._called_at = self._clock()
                return self._open_session(generation)
            finally:
                self._called_at = None
                self._report(self._xids.flush(), self._changes.flush())
        except NvmlError as error:
            return self._handle_failure(error, error.code)
        except Exception as error:  # noqa: BLE001 - an unexpected error must not end the watch silently
            return self._handle_failure(
                NodeError(f"the watch of NVML's events broke: {error!r}"), type(error).__name__, error
            )

    def _handle_failure(self, error: NodeError, reason: str, fault: Exception | None = None) -> float | None:
        """Returns the seconds to pause; None without a retry, for a library or platform without events."""
        self._failures += 1
        if self._reported != reason and not self._is_ending:
            self._reported = reason
            log.warning("nvml_events_failed", why=str(error), effect="only discoveries find changes", exc_info=fault)
            self._on_failure(error)
        return None if reason in ABSENT else self._pauses(self._failures)

    def _handle_success(self) -> None:
        self._failures = 0
        if self._reported is not None and not self._is_ending:
            self._reported = None
            log.info("nvml_events_recovered")
            self._on_failure(None)

    def _open_session(self, generation: int) -> float | None:
        if not self._has_yielded:  # two holders would close each other's session for ever
            self._wait_alone(ALONE)
        self._has_yielded = False
        with self._condition:
            self._is_open = self._generation == generation  # a release may have been granted while this thread waited
            if not self._is_open:
                return 0
        try:
            with self._open() as nvml, event_set(nvml) as events:
                return self._wait_for_events(nvml, events, generation)
        finally:
            with self._condition:
                self._is_open = False
                self._condition.notify_all()

    def _wait_for_events(self, nvml: Nvml, events: EventSet, generation: int) -> float | None:
        registration = register_gpus(nvml, events)
        self._compare(registration)
        retry = RETRY if registration.should_retry else None
        if not registration.gpus:
            self._handle_success()
            return retry
        until = None if retry is None else self._clock() + retry
        while self._generation == generation and (until is None or self._clock() < until):
            event = nvml.event_set_wait(events, self._milliseconds())
            self._called_at = now = self._clock()
            if event is not None:
                self._handle(event, registration.uuid(event.device), now)
            self._report(self._xids.pop_due(now), self._changes.pop_due(now))
            self._handle_success()
        return 0

    def _compare(self, registration: Registration) -> None:
        """Reports if the GPUs changed since the last session, because an open session hides new GPUs from discoveries."""
        if registration.unregistered != self._unregistered:
            self._unregistered = registration.unregistered
            log.info("gpus_without_events", gpus=[f"{name}: {why}" for name, why in self._unregistered.items()])
        known = frozenset(uuid for uuid, _ in registration.gpus)
        if self._known not in (None, known) and not self._is_ending:
            self._on_change("the set of GPUs with events has changed")
        self._known = known

    def _report(self, xids: Iterable[XidEvent], changes: Iterable[str]) -> None:
        if self._is_ending:
            return
        for xid in xids:
            self._on_xid(xid)
        for sentence in changes:
            self._on_change(sentence)

    def _milliseconds(self) -> int:
        """The timeout of the next wait, at most until a coalesced event is due."""
        dues = [due for due in (self._xids.next_due(), self._changes.next_due()) if due is not None]
        left = min(dues, default=self._clock() + self._wait) - self._clock()
        return max(1, round(1000 * min(left, self._wait)))

    def _handle(self, event: NvmlEvent, gpu: GpuUuid | None, now: float) -> None:
        if event.type == EventType.XID:
            xid = XidEvent(
                xid=event.data,
                gpu=gpu,
                gpu_instance=event.gpu_instance,
                compute_instance=event.compute_instance,
                at=now,
            )
            self._report(filter(None, [self._xids.add(replace(xid, at=0.0), xid, now, XID_PERIOD)]), ())
        elif (change := STATE_CHANGES.get(event.type)) is not None:
            sentence = f"{gpu}: {change.description}"
            self._report((), filter(None, [self._changes.add(sentence, sentence, now, change.seconds)]))
