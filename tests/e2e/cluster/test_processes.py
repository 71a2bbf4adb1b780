"""Programs that outlive the process that started them."""

import contextlib
import os
import socket
import sys
from collections.abc import Callable, Iterator
from itertools import count
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.e2e.cluster.errors import ClusterError
from tests.e2e.cluster.processes import (
    Process,
    healthy,
    kill,
    last_lines,
    parse_stat,
    read_processes,
    read_shims,
    recorded,
    select_descendants,
    start,
    wait_until,
)

SLEEP = ("sleep", "600")
MAIN_THREAD_ENDED = """
import ctypes, threading, time
threading.Thread(target=time.sleep, args=(600,)).start()
ctypes.CDLL(None).pthread_exit(None)
"""
ENVIRONMENT = {"PATH": os.defpath, "NAMED": "yes"}

Begin = Callable[..., Process]


@pytest.fixture
def begin(tmp_path: Path) -> Iterator[Begin]:
    """begin(command): starts a command with `log` and `pid` in tmp_path. The command and its descendants end with the test."""
    begun = set[int]()

    def make(*command: str) -> Process:
        started = start(command, ENVIRONMENT, tmp_path / "log", tmp_path / "pid")
        begun.add(started.pid)
        return started

    yield make
    kill(select_descendants(read_processes().values(), begun))
    for pid in begun:
        with contextlib.suppress(ChildProcessError):
            os.waitpid(pid, 0)


def stat(name: str = "a", state: str = "S", threads: int = 1) -> str:
    """A line of /proc/<pid>/stat with the PID 12, the parent 3 and the start time 22."""
    return " ".join([f"12 ({name}) {state} 3", *map(str, range(5, 20)), str(threads), *map(str, range(21, 53))])


def process(pid: int, parent: int) -> Process:
    return Process(pid=pid, parent=parent, started=0, running=True)


def test_a_program_does_not_inherit_the_descriptor_of_a_lock(begin: Begin, tmp_path: Path) -> None:
    with (tmp_path / "lock").open("w") as lock:
        os.set_inheritable(lock.fileno(), True)
        begun = begin(*SLEEP)
        files = {path.resolve() for path in Path(f"/proc/{begun.pid}/fd").iterdir()}
    assert tmp_path / "log" in files
    assert tmp_path / "lock" not in files


@given(name=st.text(st.characters(exclude_categories=["Cs"])))
def test_a_process_name_may_contain_any_character(name: str) -> None:
    assert parse_stat(stat(name)) == Process(pid=12, parent=3, started=22, running=True)


@pytest.mark.parametrize(("state", "running"), [("R", True), ("D", True), ("T", True), ("Z", False), ("X", False)])
def test_a_zombie_is_not_running(state: str, running: bool) -> None:
    assert parse_stat(stat("a b) S", state)).running is running


def test_a_process_runs_until_its_last_thread_ends(tmp_path: Path, begin: Begin) -> None:
    """Otherwise a component is started again while the killed one listens on its port."""
    started = begin(sys.executable, "-c", MAIN_THREAD_ENDED)
    status = Path(f"/proc/{started.pid}/status")
    wait_until("the end of the main thread", lambda: "State:\tZ" in status.read_text(), 60)
    assert recorded(tmp_path / "pid") == started
    kill([started.pid])
    wait_until("the end", lambda: recorded(tmp_path / "pid") is None, 60)


@given(st.lists(st.tuples(st.integers(1, 9), st.integers(1, 9))), st.sets(st.integers(1, 9)))
def test_descendants_are_the_processes_with_a_root_as_ancestor(pairs: list[tuple[int, int]], roots: set[int]) -> None:
    processes = [process(pid, parent) for pid, parent in pairs]
    found = select_descendants(processes, roots)
    assert roots <= found
    for each in processes:
        assert each.parent not in found or each.pid in found
    for pid in found - roots:
        assert any(each.pid == pid and each.parent in found for each in processes)


def test_a_recorded_process_is_returned_until_it_is_killed(tmp_path: Path, begin: Begin) -> None:
    started = begin(*SLEEP)
    assert recorded(tmp_path / "pid") == started
    assert started.pid in select_descendants(read_processes().values(), {os.getpid()})
    kill([started.pid, started.pid])
    wait_until("the end", lambda: recorded(tmp_path / "pid") is None, 60)
    assert started.pid not in read_processes()
    kill([started.pid])


def test_a_later_process_with_the_same_pid_is_not_returned(tmp_path: Path, begin: Begin) -> None:
    started = begin(*SLEEP)
    (tmp_path / "pid").write_text(f"{started.pid} {started.started - 1}")
    assert recorded(tmp_path / "pid") is None


def test_a_started_program_has_its_own_session_environment_and_log(tmp_path: Path, begin: Begin) -> None:
    started = begin("sh", "-c", "echo $NAMED; echo wrong >&2; exec sleep 600")
    wait_until("both lines", lambda: (tmp_path / "log").read_text() == "yes\nwrong\n", 60)
    assert os.getsid(started.pid) == started.pid


def test_shims_are_identified_by_their_socket(tmp_path: Path, begin: Begin) -> None:
    address = str(tmp_path / "containerd.sock")
    started = begin(sys.executable, "-c", "import time; time.sleep(600)", "-address", address)
    wait_until("the program runs", lambda: read_shims(address) == {started.pid}, 60)
    assert read_shims(f"{address}x") == set()


def test_without_a_pid_file_there_is_no_process(tmp_path: Path) -> None:
    assert recorded(tmp_path / "pid") is None


def test_wait_until_returns_when_the_condition_is_true() -> None:
    asked = count()
    wait_until("three", lambda: next(asked) == 3, 60)
    assert next(asked) == 4


def test_a_timeout_is_an_error_with_the_end_of_the_log(tmp_path: Path) -> None:
    log = tmp_path / "log"
    log.write_bytes(b"".join(b"line %d \xff%s\n" % (number, b"x" * 999) for number in range(100)))
    with pytest.raises(ClusterError) as raised:
        wait_until("the impossible", lambda: False, 0, log)
    first, second, *lines = str(raised.value).splitlines()
    assert first == "timeout after 0 s, waiting for the impossible"
    assert second == f"{log}:"
    assert len(lines) == 30
    assert lines[0].startswith("  line 70 ")
    assert all(len(line) == 402 for line in lines)


def test_a_missing_log_has_no_lines(tmp_path: Path) -> None:
    assert last_lines(tmp_path / "log") == last_lines(None) == ""


def test_a_closed_port_is_not_healthy() -> None:
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        assert not healthy(f"http://127.0.0.1:{unused.getsockname()[1]}/healthz")
