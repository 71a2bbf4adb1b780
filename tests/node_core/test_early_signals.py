"""Signals that arrive while a program still imports its modules. The tests stop the program at one of its imports."""

import json
import os
import signal
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import pytest

from tests.exhaustive import params
from tests.nvml.build import IN_CI
from tests.signals import DEFAULT_SIGNALS

STOPPED = """
import runpy, sys

class Stop:
    def find_spec(self, name, *_):
        if name == {module!r}:
            sys.meta_path.remove(self)
            print("stopped", flush=True)
            sys.stdin.readline()

sys.meta_path.insert(0, Stop())
sys.argv = {arguments!r}
runpy.run_module(sys.argv[0], run_name="__main__", alter_sys=True)
"""
PROGRAMS = [["nfd_lite", "--help"], ["gfd", "--help"], ["device_plugin", "--help"], ["gpunode", "run", "--help"]]
NEW_NAMESPACE = ("unshare", "--map-root-user", "--pid", "--fork", "--kill-child")


def can_unshare() -> bool:
    return (
        sys.platform == "linux"
        and subprocess.run([*NEW_NAMESPACE, "true"], capture_output=True, check=False).returncode == 0
    )


def start(arguments: Sequence[str], module: str, prefix: Sequence[str] = ()) -> subprocess.Popen[str]:
    """Starts a program, and returns when the program has begun to import the module."""
    code = STOPPED.format(module=module, arguments=list(arguments))
    process = subprocess.Popen(
        [*DEFAULT_SIGNALS, *prefix, sys.executable, "-c", code],
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
    )  # fmt: skip
    assert process.stdout is not None
    assert process.stdout.readline() == "stopped\n"
    return process


def child_of(process: subprocess.Popen[str]) -> int:
    (child,) = Path(f"/proc/{process.pid}/task/{process.pid}/children").read_text().split()
    return int(child)


@pytest.mark.skipif(not can_unshare() and not IN_CI, reason="needs a PID namespace")
@pytest.mark.parametrize("arguments", PROGRAMS, ids=" ".join)
@pytest.mark.parametrize("number", params([signal.SIGTERM, signal.SIGQUIT], ids=["SIGTERM", "SIGQUIT"]))
def test_the_first_process_of_a_container_ends_at_once(arguments: list[str], number: signal.Signals) -> None:
    """The kernel ignores a signal to such a process that has no handler."""
    process = start(arguments, "click", NEW_NAMESPACE)
    os.kill(child_of(process), number)
    _, errors = (
        process.communicate()
    )  # closes standard input: a program that ignores the signal continues, and prints its help
    assert (process.returncode, errors) == (128 + number, "")


@pytest.mark.parametrize("arguments", params([(each,) for each in PROGRAMS], ids=map(" ".join, PROGRAMS)))
def test_another_process_ends_by_the_signal(arguments: list[str]) -> None:
    process = start(arguments, "click")
    process.send_signal(signal.SIGTERM)
    _, errors = process.communicate()
    assert (process.returncode, errors) == (-signal.SIGTERM, "")


@pytest.mark.parametrize(
    ("arguments", "module", "status"),
    params(
        [
            (["gfd", "--help"], "click", -signal.SIGINT),
            (["gpunode", "cleanup", "--help"], "gpunode.cleanup.command", 130),
            (["gpunode", "demo"], "gpunode.demo.stage", 130),
            (["gpunode", "demo"], "gpunode.demo.command", 130),
            (["gpunode", "demo"], "structlog", -signal.SIGINT),
            (["gpunode", "demo"], "click", -signal.SIGINT),
        ],
        fast=3,
        ids=["agent", "command", "demo at work", "demo", "demo at its first import", "demo at its second import"],
    ),
)
def test_ctrl_c_shows_no_traceback(arguments: list[str], module: str, status: int) -> None:
    process = start(arguments, module)
    process.send_signal(signal.SIGINT)
    _, errors = process.communicate()
    assert (process.returncode, errors) == (status, "")


def test_a_signal_that_is_ignored_remains_ignored() -> None:
    code = """
import json, signal
signal.signal(signal.SIGTERM, signal.SIG_IGN)
import node_core.startup
print(json.dumps([signal.getsignal(signal.SIGTERM) == signal.SIG_IGN, signal.getsignal(signal.SIGINT) == signal.default_int_handler]))
"""
    done = subprocess.run([*DEFAULT_SIGNALS, sys.executable, "-c", code], check=True, capture_output=True, text=True)
    assert json.loads(done.stdout) == [True, True]
