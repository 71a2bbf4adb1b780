"""If logs cannot be written, the program loses lines and continues."""

import io
import json
import os
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import TextIO

import pytest
import structlog

from node_core.runtime.http import render_metrics
from node_core.runtime.log import configure_log
from node_core.runtime.log_sink import LogSink
from node_core.runtime.metrics import Metrics
from node_core.runtime.readiness import Readiness


@pytest.fixture
def stream(tmp_path: Path) -> Iterator[TextIO]:
    with (tmp_path / "log").open("w") as file:
        yield file


def lead_to(target: str | Path, stream: TextIO) -> None:
    """Redirects the descriptor of the stream to another file."""
    with Path(target).open("a") as other:
        os.dup2(other.fileno(), stream.fileno())


def test_on_a_full_disk_lines_are_lost_and_one_line_reports_their_number(tmp_path: Path, stream: TextIO) -> None:
    configure_log("json", "info", stream)
    log = structlog.get_logger()
    log.info("first")
    lead_to("/dev/full", stream)
    log.info("second")
    log.info("third")
    lead_to(tmp_path / "log", stream)
    log.info("fourth")
    log.info("fifth")
    lines = [json.loads(line) for line in (tmp_path / "log").read_text().splitlines()]
    assert [line["event"] for line in lines] == ["first", "log_lines_lost", "fourth", "fifth"]
    assert lines[1]["count"] == 2
    assert lines[1].keys() == {"event", "count", "level", "timestamp"}


def test_the_descriptor_is_that_of_the_stream_or_an_error(stream: TextIO) -> None:
    assert LogSink(stream).fileno() == stream.fileno()
    with pytest.raises(io.UnsupportedOperation, match="standard error is closed"):
        LogSink(None).fileno()


def test_lines_to_a_pipe_without_a_reader_are_lost() -> None:
    reader, writer = os.pipe()
    os.close(reader)
    with os.fdopen(writer, "w") as stream:
        sink = LogSink(stream)
        print("one", "two", sep="\n", file=sink)
    assert (sink.pop_lost_count(), sink.pop_lost_count()) == (2, 0)


@pytest.mark.parametrize("is_open", [False, True], ids=["none", "closed"])
def test_lines_to_a_closed_stream_are_lost(is_open: bool) -> None:
    stream = io.StringIO() if is_open else None
    sink = LogSink(stream)
    if stream is not None:
        stream.close()
    assert sink.write("lost\n") == 5
    assert (sink.pop_lost_count(), sink.isatty()) == (1, False)


def test_no_line_reaches_the_descriptor_of_a_closed_stream(tmp_path: Path) -> None:
    with (tmp_path / "log").open("w") as other:
        stream = os.fdopen(
            other.fileno(), "w", closefd=False
        )  # the number remains in use, as if another file had been opened
        sink = LogSink(stream)
        stream.close()
        sink.write("lost\n")
    assert (sink.pop_lost_count(), (tmp_path / "log").read_text()) == (1, "")


def test_a_partly_written_line_does_not_damage_the_next_line() -> None:
    written = bytearray()
    results: list[int | OSError] = [2, OSError("disk full")]

    def write(data: bytes) -> int:
        result = results.pop(0) if results else len(data)
        if isinstance(result, OSError):
            raise result
        written.extend(data[:result])
        return result

    sink = LogSink(None)
    sink._write_some = write
    sink.write("cut off\n")
    sink.write("whole\n")
    assert written.decode() == "cu\n1 log lines were lost\nwhole\n"


def test_lost_lines_are_counted_in_a_metric(monkeypatch: pytest.MonkeyPatch) -> None:
    sink = LogSink(None)
    monkeypatch.setattr(sys, "stderr", sink)
    metrics = Metrics()
    for total in (b"1.0", b"2.0"):
        sink.write("lost\n")
        assert b"gpunode_log_lines_lost_total " + total in render_metrics(Readiness(), metrics)[1]


EVERYTHING_ELSE = """
import logging, os, sys, threading, warnings
from node_core.runtime.log import configure_log
configure_log("json")
{breaks}
class Broken:
    def __del__(self): raise ValueError("unraisable")
thread = threading.Thread(target=lambda: 1 / 0)
thread.start(); thread.join()
del Broken
warnings.warn("a warning")
logging.getLogger("kubernetes").error("an error")
logging.basicConfig()
logging.getLogger("kubernetes").error("another")
print("alive", sys.stderr.pop_lost_count() > 3)
"""


@pytest.mark.parametrize(
    "breaks",
    [
        "os.close(2)",
        "os.dup2(os.open('/dev/full', os.O_WRONLY), 2)",
        "r, w = os.pipe(); os.dup2(w, 2); os.close(w); os.close(r)",
    ],
    ids=["closed", "full", "no-reader"],
)
def test_warnings_and_hooks_and_pythons_own_logging_cannot_fail_either(breaks: str) -> None:
    done = subprocess.run(
        [sys.executable, "-c", EVERYTHING_ELSE.format(breaks=breaks)], capture_output=True, text=True, check=False
    )
    assert (done.stdout, done.stderr) == ("alive True\n", "")


def test_no_other_file_gets_the_descriptor_of_standard_error() -> None:
    script = """
import os
from node_core.runtime.log import configure_log
configure_log("json")
print(os.readlink("/proc/self/fd/2"))
"""
    shell = ["sh", "-c", 'exec "$@" 2>&-', "sh", sys.executable, "-c", script]
    assert subprocess.run(shell, stdout=subprocess.PIPE, text=True, check=True).stdout == "/dev/null\n"


def test_a_finalizer_that_writes_during_a_write_does_not_block_the_log() -> None:
    class Interrupted(io.StringIO):
        is_first = True

        def write(self, text: str) -> int:
            if self.is_first:
                self.is_first = False
                sink.write("finalizer\n")
            return super().write(text)

    stream = Interrupted()
    sink = LogSink(stream)
    writer = threading.Thread(target=sink.write, args=("line\n",), daemon=True)
    writer.start()
    writer.join(60)
    assert stream.getvalue() == "finalizer\nline\n"
