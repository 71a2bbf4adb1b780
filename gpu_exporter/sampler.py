"""Samples all GPUs in the background. A scrape only reads the last readings from memory."""

import threading
import time
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping

from gpu_core.domain.inventory import Fault, Gpu, GpuUuid, Inventory
from gpu_exporter.gpu_thread import GpuThread
from gpu_exporter.reading import Sample

RELEASE_SECONDS = 2.0
STOP_SECONDS = 0.2
"""Maximum seconds that `release` and `stop` wait for the threads of all GPUs."""
POLL_SECONDS = 0.01


class Sampler:
    """A BackgroundService, a user of NVML that releases it on request, and a holder of sessions.

    create_thread: creates the thread of a GPU, with `on_reading`. on_sample: called when all GPUs were read, in one of these threads.
    """

    def __init__(
        self,
        create_thread: Callable[..., GpuThread],
        *,
        on_sample: Callable[[], None] = lambda: None,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        self._create_thread, self._on_sample, self._sleep = create_thread, on_sample, sleep
        self._lock = threading.Lock()
        self._threads: dict[GpuUuid, GpuThread] = {}
        self._removed: tuple[GpuThread, ...] = ()
        self._faults: tuple[Fault, ...] = ()
        self._is_released = self._is_ending = False

    def start(self) -> None:
        """Does nothing: the first discovery starts the threads."""

    def follow(self, inventory: Inventory) -> None:
        """Starts a thread for each new GPU, and ends those of removed GPUs. A GPU that cannot be read retains its thread."""
        with self._lock:
            threads = dict(self._threads)
            for gpu in inventory.gpus:
                if gpu.uuid in threads:
                    threads[gpu.uuid].follow(gpu)
                elif not self._is_ending:
                    threads[gpu.uuid] = self._start(gpu)
            present = {gpu.uuid for gpu in inventory.gpus} | {fault.uuid for fault in inventory.faults}
            is_complete = None not in present  # otherwise the fault may be any missing GPU
            removed = [threads.pop(uuid) for uuid in [*threads] if is_complete and uuid not in present]
            for thread in removed:
                thread.stop()
            self._threads = threads  # replaced, because other threads iterate
            self._removed = (*(thread for thread in self._removed if thread.is_open), *removed)
            self._faults = tuple(_select_unknown(inventory.faults, threads, present))

    def sample(self) -> Sample:
        """Returns the present states. Neither waits nor calls NVML. Callable from any thread."""
        states = (thread.state() for thread in self._threads.values())
        return Sample(gpus=tuple(sorted(states, key=lambda state: state.gpu.index)), faults=self._faults)

    def yield_session(self) -> None:
        """See sessions.SessionHolder."""
        for thread in self._threads.values():
            thread.close_session()

    def release(self) -> bool:
        """See release.NvmlUser."""
        with self._lock:
            self._is_released = True
            for thread in self._threads.values():
                thread.release()
        for _ in range(round(RELEASE_SECONDS / POLL_SECONDS)):
            if not self._is_any_open():
                return True
            self._sleep(POLL_SECONDS)
        return not self._is_any_open()

    def acquire(self) -> None:
        with self._lock:
            self._is_released = False
            for thread in self._threads.values():
                thread.acquire()

    def stop(self) -> None:
        """Does not wait for a call that hangs."""
        with self._lock:
            self._is_ending = True
            threads = tuple(self._threads.values())
        for thread in threads:
            thread.stop()
        for thread in threads:
            thread.join(STOP_SECONDS / len(threads))

    def liveness_problem(self) -> str | None:
        """See StoppableThread."""
        problems = (thread.liveness_problem() for thread in self._threads.values())
        return next(filter(None, problems), None)

    def _start(self, gpu: Gpu) -> GpuThread:
        thread = self._create_thread(gpu, on_reading=self._complete)
        if self._is_released:
            thread.release()
        thread.start()
        return thread

    def _complete(self) -> None:
        """The last GPU completes the sample. A GPU that hangs does not delay the others."""
        if not any(thread.is_reading for thread in self._threads.values()):
            self._on_sample()

    def _is_any_open(self) -> bool:
        """The thread of a removed GPU may hang with an open session."""
        return any(thread.is_open for thread in (*self._threads.values(), *self._removed))


def _select_unknown(
    faults: Iterable[Fault], threads: Mapping[GpuUuid, GpuThread], present: Collection[GpuUuid | None]
) -> Iterator[Fault]:
    """The faults of GPUs without a thread. A fault without UUID belongs to the missing GPU that had this index."""
    missing = {thread.state().gpu.index for uuid, thread in threads.items() if uuid not in present}
    return (
        each for each in faults if each.uuid not in threads and (each.uuid is not None or each.index not in missing)
    )
