"""Configures structlog for the process. The log is written to standard error: one JSON object per line, or coloured text on a terminal.

Lines of libraries, Python warnings and uncaught exceptions become lines of the same format.
"""

import logging
import sys
import threading
import time
from collections.abc import Callable, Mapping
from typing import Any, Literal, TextIO, cast

import structlog

from node_core.domain.log_folding import Line, LogFolder
from node_core.early_signals import report_uncaught
from node_core.runtime.log_sink import LogSink, guard_standard_error

LogFormat = Literal["auto", "json", "console"]
Render = Callable[[Line], str]
LIBRARY_EVENT = "library_message"


def configure_log(
    form: LogFormat = "auto",
    level: str = "info",
    stream: TextIO | None = None,
    *,
    fields: Mapping[str, str] | None = None,
    clock: Callable[[], float] = time.monotonic,
) -> None:
    """Configures the log. auto: console on a terminal, otherwise JSON. `--publish stdout` needs standard output. Logging never raises.

    fields: added to each line that does not have them. clock: monotonic seconds.
    """
    sink = guard_standard_error() if stream is None else LogSink(stream)
    console = form == "console" or (form == "auto" and sink.isatty())
    renderer: structlog.typing.Processor = (
        structlog.dev.ConsoleRenderer(colors=sink.isatty(), exception_formatter=structlog.dev.plain_traceback)
        if console
        else structlog.processors.JSONRenderer()
    )
    stamp = structlog.processors.TimeStamper(fmt="iso", utc=True)

    def render(line: Line) -> str:
        return str(renderer(None, "", stamp(None, "", dict(line))))

    def add_fields(_: Any, __: str, entry: structlog.typing.EventDict) -> structlog.typing.EventDict:
        return {**entry, **{key: value for key, value in (fields or {}).items() if key not in entry}}

    sink.notice = lambda count: (
        f"{render(add_fields(None, '', {'event': 'log_lines_lost', 'count': count, 'level': 'warning'}))}\n"
    )
    structlog.configure(
        processors=[
            structlog.contextvars.merge_contextvars,
            structlog.processors.add_log_level,
            add_fields,
            structlog.processors.format_exc_info,
            _Folding(render, clock),
        ],
        wrapper_class=structlog.make_filtering_bound_logger(logging.getLevelNamesMapping()[level.upper()]),
        logger_factory=structlog.WriteLoggerFactory(file=cast("TextIO", sink)),
        cache_logger_on_first_use=False,
    )


class _Folding:
    """The last processor: folds repeated lines, and renders the others. Callable from any thread."""

    def __init__(self, render: Render, clock: Callable[[], float]) -> None:
        self._folder = LogFolder()
        self._render = render
        self._clock = clock
        self._lock = threading.RLock()  # a finalizer that runs during a call may log as well

    def __call__(self, _: Any, __: str, entry: structlog.typing.EventDict) -> str:
        with self._lock:
            lines = self._folder.add(dict(entry), self._clock())
        if not lines:
            raise structlog.DropEvent
        return "\n".join(map(self._render, lines))

    def flush(self) -> str:
        with self._lock:
            return "".join(f"{self._render(line)}\n" for line in self._folder.flush())


def flush_log() -> None:
    """Logs the number of all repeated lines. Called before the process ends."""
    last = structlog.get_config()["processors"][-1]
    if isinstance(last, _Folding):
        sys.stderr.write(last.flush())


def capture_library_messages() -> None:
    """Sends messages of libraries, Python warnings and uncaught exceptions to the log, in the format of the log."""
    root = logging.getLogger()
    if not any(isinstance(handler, _LibraryHandler) for handler in root.handlers):
        root.addHandler(_LibraryHandler(logging.WARNING))
    logging.captureWarnings(capture=True)
    if sys.excepthook in (sys.__excepthook__, report_uncaught):
        sys.excepthook = _log_uncaught
    if threading.excepthook is threading.__excepthook__:
        threading.excepthook = _log_uncaught_in_thread


class _LibraryHandler(logging.Handler):
    def emit(self, record: logging.LogRecord) -> None:
        try:
            message = record.getMessage().strip()
        except (TypeError, ValueError, LookupError) as error:  # the library formats its message wrongly
            message = f"{record.msg} ({error})"
        structlog.get_logger().log(
            record.levelno, LIBRARY_EVENT, library=record.name, why=message, exc_info=record.exc_info
        )


def _log_uncaught(*error: Any) -> None:
    if issubclass(error[0], KeyboardInterrupt):
        return
    structlog.get_logger().error("uncaught_exception", exc_info=error)


def _log_uncaught_in_thread(failure: Any) -> None:
    if failure.exc_type is not SystemExit:
        error = (failure.exc_type, failure.exc_value, failure.exc_traceback)
        structlog.get_logger().error(
            "uncaught_exception", thread=failure.thread and failure.thread.name, exc_info=error
        )
