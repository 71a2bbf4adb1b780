"""A process that waits for NVML's events through pynvml and a C library. `python -m tests.nvml.watching LIBRARY COUNT DELAY PATIENCE`.

Prints one line for each Xid (with the count), change and failure. Ends after COUNT Xids; if COUNT is negative: after that number of
changes; if 0: after a failure; if `stuck`: a second after the session starts. DELAY: additional seconds before the end.
PATIENCE: maximum seconds until the sessions are closed.
"""

import sys
import threading

import structlog

from gpu_core.domain.evidence import XidEvent
from gpu_core.nvml.events import EventWatch
from gpu_core.nvml.real import SESSIONS, open_nvml
from node_core.errors import NodeError, NvmlError


class Printed:
    """Prints events. enough: see COUNT above."""

    def __init__(self, enough: int) -> None:
        self.left = enough
        self.done = threading.Event()

    def xid(self, event: XidEvent) -> None:
        print("xid", event.gpu, event.xid, event.gpu_instance, event.compute_instance, event.count)
        self._step(-event.count, self.left > 0)

    def changed(self, sentence: str) -> None:
        print("changed", sentence)
        self._step(1, self.left < 0)

    def failed(self, error: NodeError | None) -> None:
        print("failed", error.code if isinstance(error, NvmlError) else None)
        self._step(0, self.left == 0)

    def _step(self, step: int, counts: bool) -> None:
        if counts:
            self.left += step
            if self.left == 0:
                self.done.set()


def main(library: str, enough: str, delay: str, patience: str) -> None:
    structlog.configure(logger_factory=structlog.PrintLoggerFactory(sys.stderr))
    printed = Printed(1 if enough == "stuck" else int(enough))
    watch = EventWatch(
        lambda: open_nvml(library),
        printed.xid,
        printed.changed,
        printed.failed,
        wait_alone=SESSIONS.wait_until_none,
        wait=0.05,
        pauses=lambda _: 0.01,
    )
    watch.start()
    if enough == "stuck":
        while not watch._is_open:
            printed.done.wait(0.01)
        printed.done.wait(1.0)
    else:
        printed.done.wait()
    threading.Event().wait(float(delay))
    print("released", watch.release(float(patience)))
    watch.stop()


if __name__ == "__main__":
    main(*sys.argv[1:])
