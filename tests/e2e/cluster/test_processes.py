"""Programs that outlive who started them."""

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

REST = " ".join(map(str, range(5, 53)))  # fields 5 and on: the 22nd is the start time
SLEEP = ("sleep", "600")
ENVIRONMENT = {"PATH": os.defpath, "NAMED": "yes"}

Begin = Callable[..., Process]


@pytest.fixture
def begin(tmp_path: Path) -> Iterator[Begin]:
    """begin(command): started, with `log` and `pid` in tmp_path; it ends with the test, and so does what it started."""
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


def process(pid: int, parent: int) -> Process:
    return Process(pid=pid, parent=parent, started=0, running=True)


@given(name=st.text(st.characters(exclude_categories=["Cs"])))
def test_a_process_may_have_any_name(name: str) -> None:
    assert parse_stat(f"12 ({name}) S 3 {REST}") == Process(pid=12, parent=3, started=22, running=True)


@pytest.mark.parametrize(("state", "running"), [("R", True), ("D", True), ("T", True), ("Z", False), ("X", False)])
def test_a_zombie_does_not_run(state: str, running: bool) -> None:
    assert parse_stat(f"12 (a b) S) {state} 3 {REST}").running is running


@given(st.lists(st.tuples(st.integers(1, 9), st.integers(1, 9))), st.sets(st.integers(1, 9)))
def test_descendants_are_whoever_leads_back_to_a_root(pairs: list[tuple[int, int]], roots: set[int]) -> None:
    processes = [process(pid, parent) for pid, parent in pairs]
    found = select_descendants(processes, roots)
    assert roots <= found
    for each in processes:
        assert each.parent not in found or each.pid in found
    for pid in found - roots:
        assert any(each.pid == pid and each.parent in found for each in processes)


def test_what_was_started_is_found_again_until_it_is_killed(tmp_path: Path, begin: Begin) -> None:
    started = begin(*SLEEP)
    assert recorded(tmp_path / "pid") == started
    assert started.pid in select_descendants(read_processes().values(), {os.getpid()})
    kill([started.pid, started.pid])
    wait_until("the end", lambda: recorded(tmp_path / "pid") is None, 10)
    assert started.pid not in read_processes()
    kill([started.pid])


def test_a_process_that_got_the_number_later_is_another(tmp_path: Path, begin: Begin) -> None:
    started = begin(*SLEEP)
    (tmp_path / "pid").write_text(f"{started.pid} {started.started - 1}")
    assert recorded(tmp_path / "pid") is None


def test_it_has_its_own_session_environment_and_log(tmp_path: Path, begin: Begin) -> None:
    started = begin("sh", "-c", "echo $NAMED; echo wrong >&2; exec sleep 600")
    wait_until("both lines", lambda: (tmp_path / "log").read_text() == "yes\nwrong\n", 10)
    assert os.getsid(started.pid) == started.pid


def test_shims_are_known_by_the_socket_that_they_call(tmp_path: Path, begin: Begin) -> None:
    address = str(tmp_path / "containerd.sock")
    started = begin(sys.executable, "-c", "import time; time.sleep(600)", "-address", address)
    assert read_shims(address) == {started.pid}
    assert read_shims(f"{address}x") == set()


def test_nothing_was_started_where_nothing_is_written(tmp_path: Path) -> None:
    assert recorded(tmp_path / "pid") is None


def test_waiting_ends_as_soon_as_it_is_so() -> None:
    asked = count()
    wait_until("three", lambda: next(asked) == 3, 60)
    assert next(asked) == 4


def test_waiting_in_vain_shows_the_end_of_the_log(tmp_path: Path) -> None:
    log = tmp_path / "log"
    log.write_bytes(b"".join(b"line %d \xff%s\n" % (number, b"x" * 999) for number in range(100)))
    with pytest.raises(ClusterError) as raised:
        wait_until("the impossible", lambda: False, 0, log)
    first, second, *lines = str(raised.value).splitlines()
    assert first == "the impossible: not within 0 s"
    assert second == f"{log}:"
    assert len(lines) == 30
    assert lines[0].startswith("  line 70 ")
    assert all(len(line) == 402 for line in lines)


def test_a_log_that_is_not_there_has_no_lines(tmp_path: Path) -> None:
    assert last_lines(tmp_path / "log") == last_lines(None) == ""


def test_what_does_not_answer_is_not_healthy() -> None:
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        assert not healthy(f"http://127.0.0.1:{unused.getsockname()[1]}/healthz")
