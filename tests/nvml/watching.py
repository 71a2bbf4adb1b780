"""A process that listens to NVML's events through pynvml and a C library. `python -m tests.nvml.watching LIBRARY COUNT DELAY`.

Prints what is told, one line each: Xids with their count, changes, failures; ends after so many Xids (their counts together), or changes
where COUNT is negative, or failures where it is 0, or when a call hangs where it is `stuck`. DELAY: seconds to listen on after that.
"""

import sys
import threading

import structlog

from node_core.domain.evidence import XidEvent
from node_core.errors import NodeError, NvmlError
from node_core.host.nvml.events import EventWatch
from node_core.host.nvml.real import SESSIONS, open_nvml


class Printed:
    """enough: how many Xids to wait for, or changes where it is negative, or failures where it is 0."""

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


def main(library: str, enough: str, delay: str) -> None:
    structlog.configure(logger_factory=structlog.PrintLoggerFactory(sys.stderr))
    printed = Printed(1 if enough == "stuck" else int(enough))
    watch = EventWatch(
        lambda: open_nvml(library),
        printed.xid,
        printed.changed,
        printed.failed,
        alone=SESSIONS.wait_until_none,
        wait=0.05,
        pauses=lambda _: 0.01,
    )
    watch.start()
    while not (printed.done.wait(0.05) or (enough == "stuck" and watch.stuck_for())):
        pass
    threading.Event().wait(float(delay))
    print("released", watch.release(0.5))
    watch.stop()


if __name__ == "__main__":
    main(*sys.argv[1:])
