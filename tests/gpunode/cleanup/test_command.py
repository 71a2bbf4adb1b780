"""`gpunode cleanup` as a person runs it, and as a pod that stays."""

import subprocess
import sys

import pytest

from gpunode.cleanup.agent import CleanupAgent
from gpunode.cleanup.clean import Outcome
from gpunode.cleanup.command import render
from node_core.kube.client import NodeApi
from node_core.runtime.mailbox import Mailbox
from node_core.runtime.messages import AgentMessage, Stop
from node_core.runtime.readiness import Readiness
from node_core.runtime.services import Services
from tests.gpunode.conftest import NODE, Cluster


def gpunode(*arguments: str) -> "subprocess.CompletedProcess[str]":
    command = [sys.executable, "-m", "gpunode", "cleanup", *arguments]
    return subprocess.run(command, capture_output=True, text=True, check=False)


def flags(cluster: Cluster) -> list[str]:
    return [*cluster.flags("gpunode"), "--namespace", "default"]


def label(cluster: Cluster) -> None:
    door = NodeApi(NODE, kubeconfig=str(cluster.directory / "kubeconfig"), user_agent="test")
    door.apply_labels("gfd", {"nvidia.com/gpu.count": "8"}, force=False)


def test_it_says_what_is_gone_and_the_second_time_that_nothing_was_there(cluster: Cluster) -> None:
    label(cluster)
    done = gpunode(*flags(cluster))
    assert (done.returncode, done.stdout, done.stderr) == (0, "gone: labels and annotations of gfd\n", "")
    assert gpunode(*flags(cluster)).stdout == "nothing of ours was there\n"


def test_what_is_left_is_an_error_with_its_reason(cluster: Cluster) -> None:
    cluster.server.fail_next(1000, status=403)
    done = gpunode(*flags(cluster))
    assert done.returncode == 1
    assert "it is not known whether agents run here: GET /api/v1/namespaces/default/pods: HTTP 403" in done.stderr
    assert "Traceback" not in done.stderr


def test_wrong_flags_are_said_before_anything_is_done(cluster: Cluster) -> None:
    done = gpunode("--node-name=", "--kubeconfig", str(cluster.directory / "kubeconfig"))
    assert done.returncode == 2
    assert "--node-name: is missing" in done.stderr


def test_outside_of_a_pod_the_namespace_is_not_guessed(cluster: Cluster) -> None:
    label(cluster)
    done = gpunode(*cluster.flags("gpunode"))
    assert (done.returncode, done.stdout) == (2, "")
    assert "--namespace: is missing: name the namespace of the agents, usually gpunode" in done.stderr
    assert cluster.labels["nvidia.com/gpu.count"] == "8"


def test_a_pod_is_ready_when_nothing_is_left(cluster: Cluster) -> None:
    label(cluster)
    process = cluster.start("gpunode", "cleanup", "--stay", "--http-address", "127.0.0.1:0", "--namespace=default")
    cluster.until(lambda: '"event": "taken_away"' in cluster.log(0))
    assert "nvidia.com/gpu.count" not in cluster.labels
    assert process.poll() is None
    process.terminate()
    assert process.wait(timeout=10) == 0


class Scripted:
    """Goes whose outcomes are known. The last one comes again."""

    def __init__(self, *outcomes: Outcome) -> None:
        self._outcomes = list(outcomes)
        self.goes = 0

    def __call__(self) -> Outcome:
        self.goes += 1
        return self._outcomes[min(self.goes, len(self._outcomes)) - 1]


class Waits(Mailbox[AgentMessage]):
    """Waits for nothing, notes what is said meanwhile, and has the word to stop at the fourth wait."""

    def __init__(self, readiness: Readiness) -> None:
        super().__init__()
        self._readiness = readiness
        self.seen: list[str | None] = []

    def holds(self, kind: type[AgentMessage], timeout: float) -> bool:
        self.seen.append(self._readiness.problems()["cleanup/done"])
        return len(self.seen) == 4


def test_the_agent_tries_again_until_all_is_gone_and_then_no_more() -> None:
    readiness = Readiness()
    waits = Waits(readiness)
    go = Scripted(Outcome(problems=("a: refused",)), Outcome(taken=("a",)))
    agent = CleanupAgent(go, Services(readiness=readiness), waits)
    assert readiness.problems()["cleanup/done"] == "has not happened yet"
    agent.run()
    assert waits.seen == ["a: refused", None, None, None]
    assert go.goes == 2


def test_the_agent_ends_when_it_is_told_to() -> None:
    agent = CleanupAgent(Scripted(Outcome(problems=("a",))), Services())
    agent.mailbox.post(Stop())
    agent.run()


@pytest.mark.parametrize(
    ("outcome", "text"),
    [
        (Outcome(), "nothing of ours was there\n"),
        (Outcome(taken=("a", "b")), "gone: a\ngone: b\n"),
        (Outcome(problems=("a",)), ""),
    ],
    ids=["nothing", "some", "failed"],
)
def test_what_people_read(outcome: Outcome, text: str) -> None:
    assert render(outcome) == text
