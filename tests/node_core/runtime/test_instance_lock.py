"""The lock of an agent: one process of each agent on a node."""

import os
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from structlog.testing import capture_logs

from node_core.runtime.instance_lock import RETRY, InstanceLock, wait_alone
from node_core.runtime.mailbox import Mailbox
from node_core.runtime.messages import AgentMessage, Stop
from node_core.runtime.readiness import Readiness

Make = Callable[..., InstanceLock]


@pytest.fixture
def make(tmp_path: Path) -> Iterator[Make]:
    locks: list[InstanceLock] = []

    def make_lock(agent: str = "gfd", node: str = "n") -> InstanceLock:
        locks.append(InstanceLock(tmp_path / "run", agent, node))
        return locks[-1]

    yield make_lock
    for lock in locks:
        lock.release()


def test_the_second_agent_reports_the_process_that_owns_the_lock(make: Make, tmp_path: Path) -> None:
    first, second = make(), make()
    assert first.acquire() is None
    path = tmp_path / "run" / "gfd.n.lock"
    assert second.acquire() == f"another process (pid {os.getpid()}) serves this node: waiting for {path}"


def test_the_owner_can_acquire_its_lock_again(make: Make) -> None:
    lock = make()
    assert [lock.acquire(), lock.acquire()] == [None, None]


def test_a_released_lock_can_be_acquired(make: Make) -> None:
    first, second = make(), make()
    first.acquire()
    first.release()
    first.release()
    assert second.acquire() is None
    assert first.acquire() is not None


@pytest.mark.parametrize(("agent", "node"), [("nfd-lite", "n"), ("gfd", "m")])
def test_agents_of_another_kind_or_node_do_not_wait(make: Make, agent: str, node: str) -> None:
    make().acquire()
    assert make(agent, node).acquire() is None


@pytest.mark.parametrize(
    ("content", "pid"), [(b"", "unknown"), (b" \n", "unknown"), (b"1\xff", "1\ufffd"), (b"7" * 100, "7" * 32)]
)
def test_any_content_of_the_lock_file_is_accepted(make: Make, tmp_path: Path, content: bytes, pid: str) -> None:
    make().acquire()
    (tmp_path / "run" / "gfd.n.lock").write_bytes(content)
    assert f"(pid {pid})" in (make().acquire() or "")


def test_the_pid_replaces_a_longer_content_of_the_file(make: Make, tmp_path: Path) -> None:
    (tmp_path / "run").mkdir()
    path = tmp_path / "run" / "gfd.n.lock"
    path.write_text("9" * 100)
    make().acquire()
    assert path.read_text() == str(os.getpid())


def test_an_agent_without_a_usable_folder_runs_without_a_lock_and_logs_this_once(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    lock = InstanceLock(tmp_path / "file", "gfd", "n")
    with capture_logs() as logs:
        assert [lock.acquire(), lock.acquire()] == [None, None]
    assert [entry["event"] for entry in logs] == ["instance_lock_unavailable"]
    lock.release()


class WaitingMailbox(Mailbox[AgentMessage]):
    """Calls a function in place of each wait."""

    def __init__(self, on_wait: Callable[[], bool]) -> None:
        super().__init__()
        self.on_wait = on_wait
        self.waits: list[tuple[type, float]] = []

    def wait_for(self, kind: type[AgentMessage], timeout: float) -> bool:
        self.waits.append((kind, timeout))
        return self.on_wait()


def test_an_agent_reports_the_other_process_until_the_lock_is_released(make: Make) -> None:
    now = [0.0]
    first, readiness = make(), Readiness(lambda: now[0])
    first.acquire()
    readiness.beat("gfd")
    seen: list[str] = []

    def wait() -> bool:
        seen.append(readiness.problems()["gfd/instance"] or "")
        now[0] += 200  # two waits are longer than the limit without a heartbeat
        assert readiness.stuck() == ()
        if len(seen) == 3:
            first.release()
        return False

    mailbox = WaitingMailbox(wait)
    assert wait_alone(make(), "gfd", mailbox, readiness)
    assert [f"pid {os.getpid()}" in problem for problem in seen] == [True] * 3
    assert mailbox.waits == [(Stop, RETRY)] * 3
    assert readiness.problems() == {"gfd/instance": None}


def test_stop_ends_the_wait_for_the_lock(make: Make) -> None:
    make().acquire()
    mailbox: Mailbox[AgentMessage] = Mailbox()
    mailbox.post(Stop())
    readiness = Readiness()
    assert not wait_alone(make(), "gfd", mailbox, readiness)
    assert readiness.problems()["gfd/instance"] is not None
    assert mailbox.get(0) == Stop()


def test_an_agent_without_a_lock_does_not_wait() -> None:
    mailbox, readiness = WaitingMailbox(lambda: True), Readiness()
    assert wait_alone(None, "gfd", mailbox, readiness)
    assert (mailbox.waits, readiness.problems()) == ([], {"gfd/instance": None})
