"""Programs with a limit of time."""

import os
import signal
import subprocess

import pytest

from node_core.host.limited_program import LIMIT, Ended, run_limited

ENV = {"PATH": "/usr/bin:/bin"}


def test_both_outputs_and_the_status_are_returned() -> None:
    ended = run_limited(("sh", "-c", "echo out; printf '\\377' >&2; exit 3"), env=ENV, seconds=60)
    assert ended == Ended(status=3, output="out\n", errors="\ufffd")


def test_of_a_large_output_the_end_is_returned() -> None:
    ended = run_limited(("sh", "-c", f"head -c {LIMIT} /dev/zero; echo end"), env=ENV, seconds=60)
    assert (len(ended.output), ended.output[-5:]) == (LIMIT, "\0end\n")


def test_a_program_that_stays_in_the_background_with_the_output_is_not_awaited() -> None:
    ended = run_limited(("sh", "-c", "sleep 1000 & echo $!"), env=ENV, seconds=60)
    os.kill(int(ended.output), signal.SIGKILL)
    assert ended.status == 0


def test_a_program_that_does_not_end_is_killed_with_what_it_has_started() -> None:
    killed: list[int] = []

    def kill(pid: int) -> None:
        killed.append(pid)
        os.killpg(pid, signal.SIGKILL)

    with pytest.raises(subprocess.TimeoutExpired):
        run_limited(("sh", "-c", "sleep 1000 & wait"), env=ENV, seconds=0.01, kill=kill)
    assert len(killed) == 1


@pytest.mark.filterwarnings("ignore:subprocess:ResourceWarning")
def test_a_program_that_cannot_be_killed_is_left_behind() -> None:
    """As a program that the driver blocks in the kernel."""
    left: list[int] = []
    with pytest.raises(subprocess.TimeoutExpired):
        run_limited(("sleep", "1000"), env=ENV, seconds=0.01, kill=left.append, kill_seconds=0.01)
    os.killpg(left[0], signal.SIGKILL)
