"""Restarts of a runtime, and the checks afterwards."""

import pytest

from gpu_toolkit.model import Process, Runtime
from gpu_toolkit.restart import HEALTHY_SECONDS, Restart
from node_core.errors import HostCommandError, RuntimeConfigError
from node_core.kubelet.cri import RunningContainer
from node_core.values import replace

OLD = Runtime(
    name="containerd", version="2.1", socket="/s", config="/c", cdi=None,
    process=Process(identity="1", command=("c",), program="/c"),
)  # fmt: skip
NEW = replace(OLD, process=Process(identity="2", command=("c",), program="/c"))


class Node:
    """answers: what the runtime is at each read after the restart; the last one stays. None: it does not answer.

    running: the containers at each of these reads; the last ones stay.
    """

    def __init__(
        self, *answers: Runtime | None, running: tuple[str, ...] = ("ab",), young: str = "", done: str = ""
    ) -> None:
        self.answers, self.after, self.young, self.done = list(answers), list(running), young, done
        self.restarts, self.reads, self.now = 0, 0, 1000.0
        self.restart = Restart(
            command=self.command,
            read=self.read,
            running=self.running,
            is_done=lambda container: container in self.done,
            clock=lambda: self.now,
            wall=lambda: self.now,
            sleep=self.sleep,
        )

    def command(self, _: Runtime | None) -> None:
        self.restarts += 1

    def read(self) -> Runtime:
        self.reads += 1
        found = self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]
        if found is None:
            raise RuntimeConfigError("it did not answer")
        return found

    def running(self) -> tuple[RunningContainer, ...]:
        ids = self.after[min(self.reads, len(self.after)) - 1] if self.restarts else "ab"
        return tuple(RunningContainer(id=each, created_at=999.0 if each in self.young else 0.0) for each in ids)

    def sleep(self, seconds: float) -> None:
        self.now += seconds

    def run(self) -> str | None:
        return self.restart.run(OLD, lambda _: None)


def test_a_runtime_that_comes_back_is_healthy() -> None:
    node = Node(None, OLD, replace(NEW, problem="Starting"), NEW)
    assert (node.run(), node.restarts, node.now) == (None, 1, 1001.5)


@pytest.mark.parametrize(
    ("answer", "problem"),
    [
        (None, "it did not answer"),
        (OLD, "the runtime was not restarted"),
        (replace(NEW, problem="Broken: x"), "Broken: x"),
    ],
)
def test_a_runtime_that_does_not_come_back_is_named_after_the_limit(answer: Runtime | None, problem: str) -> None:
    node = Node(answer)
    assert node.run() == problem
    assert node.now == 1000.0 + HEALTHY_SECONDS


def test_a_container_that_just_started_may_end() -> None:
    assert Node(NEW, running=("a",), young="b").run() is None
    assert Node(NEW, running=("a",)).run() == "1 containers that ran before do not run any more"


def test_a_container_may_come_back_later_than_the_runtime() -> None:
    assert Node(NEW, running=("", "a", "ab")).run() is None


def test_a_container_that_has_survived_the_restart_may_end_afterwards() -> None:
    assert Node(replace(NEW, problem="Starting"), NEW, running=("ab", "a")).run() is None


def test_a_container_that_is_still_listed_by_the_old_runtime_has_not_survived() -> None:
    assert Node(OLD, NEW, running=("ab", "a")).run() == "1 containers that ran before do not run any more"


def test_a_job_may_succeed_and_a_pod_may_be_deleted_during_the_restart() -> None:
    assert Node(NEW, running=("a",), done="b").run() is None


def test_a_runtime_that_does_not_know_any_container_of_before_has_lost_them() -> None:
    assert Node(NEW, running=("c",), done="ab").run() == "2 containers that ran before do not run any more"


def test_a_restart_that_fails_is_the_problem() -> None:
    node = Node(NEW)

    def fail(_: Runtime | None) -> None:
        raise HostCommandError("systemctl restart x on the host, status 1")

    assert replace(node.restart, command=fail).run(OLD, lambda _: None) == "systemctl restart x on the host, status 1"
