"""The formats of the log."""

import io
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
import structlog

from gfd.__main__ import command
from node_core.runtime.command import parse_command
from node_core.runtime.log import LogFormat, configure_log
from node_core.version import VERSION

CODE = """
import sys, structlog
from node_core.runtime.log import configure_log
configure_log("console", stream=sys.stdout)
try:
    1 / 0
except ZeroDivisionError:
    structlog.get_logger().exception("failed")
"""


def test_a_traceback_in_the_console_format_is_plain_text_even_if_rich_is_installed() -> None:
    done = subprocess.run([sys.executable, "-W", "error", "-c", CODE], capture_output=True, text=True, check=True)
    assert "Traceback (most recent call last):\n" in done.stdout
    assert done.stdout.endswith("ZeroDivisionError: division by zero\n")


FOREIGN = """
import logging, sys, threading, warnings
import structlog
from node_core.runtime.log import capture_library_messages, configure_log, flush_log
configure_log("json", fields={"agent": "gfd", "node": "n1"})
capture_library_messages()
logging.getLogger("kubernetes.config").error("[Errno 2] No such file: %s", "aws")
logging.error("%d is not a number", "x")
warnings.warn("old TLS")
thread = threading.Thread(target=lambda: 1 / 0, name="worker")
thread.start()
thread.join()
for _ in range(3):
    structlog.get_logger().warning("fault", why="x")
structlog.get_logger().info("own", agent="nfd-lite")
flush_log()
raise ValueError("the end")
"""


def test_every_line_is_json_with_agent_and_node_also_those_of_libraries_and_uncaught_exceptions() -> None:
    done = subprocess.run([sys.executable, "-c", FOREIGN], capture_output=True, text=True, check=False)
    lines = [json.loads(line) for line in done.stderr.splitlines()]
    assert [line["event"] for line in lines] == [
        *["library_message"] * 3, "uncaught_exception", "fault", "own", "fault", "uncaught_exception",
    ]  # fmt: skip
    assert (lines[0]["library"], lines[0]["why"]) == ("kubernetes.config", "[Errno 2] No such file: aws")
    assert "%d is not a number" in lines[1]["why"]
    assert (lines[2]["library"], "old TLS" in lines[2]["why"]) == ("py.warnings", True)
    assert (lines[3]["thread"], "ZeroDivisionError" in lines[3]["exception"]) == ("worker", True)
    assert (lines[6]["repeated"], "the end" in lines[7]["exception"]) == (2, True)
    assert [line["agent"] for line in lines] == ["gfd"] * 5 + ["nfd-lite"] + ["gfd"] * 2
    assert {line["node"] for line in lines} == {"n1"}
    assert done.returncode == 1


class Output(io.StringIO):
    """A stream that is a terminal, or is not."""

    def __init__(self, *, is_terminal: bool) -> None:
        super().__init__()
        self.is_terminal = is_terminal

    def isatty(self) -> bool:
        return self.is_terminal


@pytest.mark.parametrize(
    ("form", "is_terminal", "is_json"),
    [("auto", True, False), ("auto", False, True), ("json", True, True), ("console", False, False)],
)
def test_the_format_depends_on_the_terminal_only_if_it_is_auto(
    form: LogFormat, is_terminal: bool, is_json: bool
) -> None:
    output = Output(is_terminal=is_terminal)
    configure_log(form, "info", output)
    structlog.get_logger().info("started")
    assert "started" in output.getvalue()
    assert output.getvalue().startswith("{") is is_json
    assert ("\x1b[" in output.getvalue()) is (is_terminal and not is_json)


def test_the_level_may_be_written_in_any_case(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LOG_FORMAT", "JSON")
    values = parse_command(command, ["--log-level", "INFO"], "gfd")
    assert values is not None
    assert (values["log_level"], values["log_format"]) == ("info", "json")


def test_a_start_logs_version_node_and_changed_settings(tmp_path: Path) -> None:
    (tmp_path / "config").write_text("flags: {migStrategy: mixed, gfd: {noTimestamp: false}}\n")
    run = [sys.executable, "-m", "gfd", "--oneshot", "--publish", "stdout", "--simulate", "t4x1", "--node-name", "n1",
           "--config-file", str(tmp_path / "config"), "--log-format", "json", "--sleep-interval", "60s",
           "--lock-dir", str(tmp_path)]  # fmt: skip
    environment = {"PATH": os.environ["PATH"], "GFD_FAIL_ON_INIT_ERROR": "false"}
    done = subprocess.run(run, capture_output=True, text=True, check=True, env=environment)
    start, _, gpus, *_ = (json.loads(line) for line in done.stderr.splitlines())
    assert (start["event"], start["version"], start["agent"], start["node"]) == ("starting", VERSION, "gfd", "n1")
    assert start["settings"] == {
        "oneshot": "true", "publish": "stdout", "simulate": "t4x1", "node-name": "n1", "mig-strategy": "mixed",
        "config-file": str(tmp_path / "config"), "log-format": "json", "fail-on-init-error": "false",
        "lock-dir": str(tmp_path),
    }  # fmt: skip
    assert gpus["event"] == "gpus_discovered"
    assert (gpus["count"], gpus["simulated"]) == (1, True)
    assert gpus["gpus"][0].startswith("GPU 0 (GPU-")
