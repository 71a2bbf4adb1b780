"""Signals that arrive while a program imports its modules end it at once, without a traceback.

The kernel ignores a signal to the first process of a container that has no handler for it. Without these handlers, such a container would
end only after its grace period. Source: pid_namespaces(7).
"""

import os
import signal
import sys
import threading
from types import FrameType, TracebackType

EARLY_SIGNALS = (signal.SIGTERM, signal.SIGQUIT)
"""Python itself has a handler for SIGINT, which raises KeyboardInterrupt."""


def end_by_signal(number: int, _frame: FrameType | None) -> None:
    """Ends the process as the signal does by default. The exit status of the first process of a container is 128 + number."""
    signal.signal(number, signal.SIG_DFL)
    os.kill(os.getpid(), number)
    os._exit(128 + number)


def report_uncaught(kind: type[BaseException], error: BaseException, trace: TracebackType | None) -> None:
    """Replaces sys.excepthook: Ctrl-C shows no traceback."""
    if not issubclass(kind, KeyboardInterrupt):
        sys.__excepthook__(kind, error, trace)


def handle_early_signals() -> None:
    """Until the program has its own handlers. A signal that the parent process ignores remains ignored."""
    if sys.excepthook is sys.__excepthook__:
        sys.excepthook = report_uncaught
    if threading.current_thread() is threading.main_thread():
        for number in EARLY_SIGNALS:
            if signal.getsignal(number) is signal.SIG_DFL:
                signal.signal(number, end_by_signal)
