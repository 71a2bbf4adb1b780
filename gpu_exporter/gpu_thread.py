"""Reads one GPU at each interval, in its own thread and NVML session: a GPU whose driver hangs does not delay the others."""

import threading
import time
from collections import Counter
from collections.abc import Callable

import structlog

from gpu_core.domain.inventory import Gpu
from gpu_core.nvml.api import Nvml, OpenNvml
from gpu_exporter.reader import GpuReader, OutdatedLayoutError, ReadingPlan
from gpu_exporter.reading import GpuReading, GpuState
from node_core.errors import NvmlError
from node_core.values import replace

log = structlog.get_logger(__name__)

HANG_SECONDS = 10.0
"""After this time, a reading counts as hanging, and the GPU has no values."""
MAX_OUTDATED = 3
"""After this number of readings with an outdated layout, and discoveries that found the same layout, the layout counts as right."""
SECOND_READING = 1.0
"""Seconds after the first reading of a session until the second one, which is the first with means."""


class GpuThread:
    """interval: seconds between two readings, which begin at its multiples, so that the readings of all GPUs begin together.

    on_reading: called after each reading, in this thread. on_outdated: called when the MIG devices have changed since the discovery.
    All methods are callable from any thread, and do not block.
    """

    def __init__(
        self,
        gpu: Gpu,
        plan: ReadingPlan,
        open_nvml: OpenNvml,
        *,
        interval: float,
        on_reading: Callable[[], None] = lambda: None,
        on_outdated: Callable[[], None] = lambda: None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._plan, self._open, self._interval = plan, open_nvml, interval
        self._on_reading, self._on_outdated, self._clock = on_reading, on_outdated, clock
        self._condition = threading.Condition()
        self._state = GpuState(gpu=gpu)
        self._errors: Counter[tuple[str, str]] = Counter()
        self._called_at: float | None = None
        self._read_at = 0.0
        self._generation = self._outdated = 0
        self._is_ending = self._is_released = False
        self.is_open = False
        self._thread = threading.Thread(target=self._run, name=f"gpu-{gpu.index}", daemon=True)

    def start(self) -> None:
        self._thread.start()

    def follow(self, gpu: Gpu) -> None:
        """Uses new facts of the GPU. If its MIG layout has changed, the next reading is in a new session."""
        with self._condition:
            before = self._state.gpu
            self._state = replace(self._state, gpu=gpu)
        if _layout(before) != _layout(gpu):
            self._outdated = 0
            self.close_session()

    def close_session(self) -> None:
        """Closes the session after the current call. The last reading stays until the next one, which follows at once."""
        with self._condition:
            self._generation += 1
            self._condition.notify_all()

    def release(self) -> None:
        """Closes the session, drops the reading, and opens no session until `acquire`."""
        self._is_released = True
        self.close_session()

    def acquire(self) -> None:
        with self._condition:
            self._state = replace(self._state, reading=None)  # it is from before the release
        self._is_released = False
        self.close_session()

    def stop(self) -> None:
        """Ends the thread after the current call, and drops the reading."""
        self._is_ending = True
        self.close_session()

    def join(self, seconds: float) -> None:
        if self._thread.ident is not None:
            self._thread.join(seconds)

    @property
    def is_reading(self) -> bool:
        """Whether a call of NVML runs that does not hang."""
        called_at = self._called_at
        return called_at is not None and not self._is_hanging(called_at)

    def state(self) -> GpuState:
        """The present state. Without a reading while the GPU hangs, fails or is released."""
        state, called_at = self._state, self._called_at
        if self._is_ending or self._is_released:
            return replace(state, reading=None, fault=None)
        if called_at is not None and self._is_hanging(called_at):
            return replace(state, reading=None, fault=f"a call of NVML has not returned for {HANG_SECONDS:.0f} s")
        if state.reading is not None and self._clock() - self._read_at > 2 * self._interval + HANG_SECONDS:
            return replace(
                state, reading=None, fault="the MIG devices have changed, and no discovery has found them yet"
            )
        return state

    def _is_hanging(self, called_at: float) -> bool:
        return self._clock() - called_at > HANG_SECONDS

    def liveness_problem(self) -> str | None:
        """A sentence if the thread has ended before `stop`; else None."""
        is_dead = self._thread.ident is not None and not self._thread.is_alive() and not self._is_ending
        return f"the thread {self._thread.name} has ended" if is_dead else None

    def _run(self) -> None:
        while not self._is_ending:
            generation = self._generation
            if not self._is_released:
                self._run_session(generation)
            self._wait(generation, None if self._is_released else self._interval)

    def _run_session(self, generation: int) -> None:
        """Runs one session, and survives every error: nothing restarts the thread."""
        try:
            self._read_in_session(generation)
        except OutdatedLayoutError:
            self._outdated += 1
            self._on_outdated()
        except NvmlError as error:
            self._fail(error.call, error.code, str(error))
        except Exception as error:
            log.exception("gpu_reading_failed", gpu=self._state.gpu.name)
            self._fail("", type(error).__name__, f"the reading failed: {error!r}")
        finally:
            self._called_at = None

    def _read_in_session(self, generation: int) -> None:
        with self._condition:
            self.is_open = self._generation == generation  # otherwise a release was requested
            if not self.is_open:
                return
        self._called_at = self._clock()
        try:
            with self._open() as nvml:
                self._read_until_closed(nvml, generation)
        finally:
            self.is_open = False

    def _read_until_closed(self, nvml: Nvml, generation: int) -> None:
        """Reads at each interval. A lost GPU needs a new session, see `sessions`."""
        is_layout_sure = self._outdated >= MAX_OUTDATED
        reader = GpuReader(nvml, self._state.gpu, self._plan, is_layout_sure=is_layout_sure)
        try:
            while self._generation == generation:
                self._called_at = self._clock()
                reading = reader.read()
                self._called_at = None
                self._publish(reading)
                self._on_reading()
                if reading.is_lost:
                    return
                left = self._interval - self._clock() % self._interval
                self._wait(generation, min(SECOND_READING, left) if reader.needs_second_reading else left)
        finally:
            self._called_at = self._clock()
            reader.close()

    def _publish(self, reading: GpuReading) -> None:
        self._errors.update(reading.errors)
        shown = None if reading.is_lost else reading
        fault = reading.fault if reading.is_lost else None
        self._read_at = self._clock()
        with self._condition:
            self._state = replace(self._state, reading=shown, fault=fault, errors=dict(self._errors))

    def _fail(self, call: str, code: str, fault: str) -> None:
        self._errors[call, code] += 1
        with self._condition:
            self._state = replace(self._state, reading=None, fault=fault, errors=dict(self._errors))

    def _wait(self, generation: int, seconds: float | None) -> None:
        with self._condition:
            self._condition.wait_for(lambda: self._generation != generation, seconds)


def _layout(gpu: Gpu) -> tuple[object, ...]:
    return gpu.index, gpu.mig_enabled, gpu.mig_devices
