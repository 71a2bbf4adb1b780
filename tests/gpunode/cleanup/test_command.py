"""`gpunode cleanup`, once and with --stay."""

import pytest
from click.testing import Result

from gpunode.cleanup.agent import cleanup_loop
from gpunode.cleanup.clean import Outcome
from gpunode.cleanup.command import render
from node_core.kube.client import NodeApi
from node_core.runtime.mailbox import Mailbox
from node_core.runtime.messages import AgentMessage, Stop
from node_core.runtime.readiness import Readiness
from node_core.runtime.services import Services
from tests.gpunode.conftest import NODE, Cluster
from tests.gpunode.verbs import run_verb


def gpunode(*arguments: str) -> Result:
    return run_verb("cleanup", *arguments)


def flags(cluster: Cluster) -> list[str]:
    return [*cluster.flags("gpunode"), "--namespace", "default", f"--mig-state-dir={cluster.directory / 'records'}"]


def label(cluster: Cluster) -> None:
    door = NodeApi(NODE, kubeconfig=str(cluster.directory / "kubeconfig"), user_agent="test")
    door.apply_labels("gfd", {"nvidia.com/gpu.count": "8"}, force=False)


def test_cleanup_prints_what_it_removed_and_then_that_there_is_nothing_to_remove(cluster: Cluster) -> None:
    label(cluster)
    done = gpunode(*flags(cluster))
    assert (done.exit_code, done.stdout, done.stderr) == (0, "removed: labels and annotations of gfd\n", "")
    assert gpunode(*flags(cluster)).stdout == "nothing to remove\n"


def test_a_failed_cleanup_prints_the_reason_and_exits_with_1(cluster: Cluster) -> None:
    cluster.server.fail_next(1000, status=403)
    done = gpunode(*flags(cluster))
    assert done.exit_code == 1
    (line,) = done.stderr.splitlines()
    assert line.startswith("cannot read the Node n1: GET /api/v1/nodes/n1: HTTP 403")


def test_a_missing_node_is_one_error(cluster: Cluster) -> None:
    (cluster.directory / "lock").mkdir()
    (cluster.directory / "lock" / "gfd.n3.lock").touch()
    done = gpunode(*flags(cluster), "--node-name=n3")
    assert (done.exit_code, done.stdout) == (1, "")
    assert done.stderr == (
        "cannot read the Node n3: the cluster has no such Node, so nothing was removed (compare --node-name with `kubectl get nodes`."
        " To remove only files of this machine, use --only host)\n"
    )
    assert (cluster.directory / "lock" / "gfd.n3.lock").exists()


@pytest.mark.exhaustive
def test_a_dry_run_prints_what_would_be_removed_and_removes_nothing(cluster: Cluster) -> None:
    label(cluster)
    (cluster.directory / "lock").mkdir()
    state = cluster.directory / "lock" / f"gfd.{NODE}.lock"
    state.touch()
    cluster.server.forget_requests()
    done = gpunode(*flags(cluster), "--dry-run")
    lines = ["labels and annotations of gfd", f"state in {cluster.directory}/lock"]
    assert (done.exit_code, done.stderr) == (0, "")
    assert done.stdout.splitlines() == [f"would remove: {line}" for line in lines]
    assert cluster.server.writes == 0
    assert cluster.labels["nvidia.com/gpu.count"] == "8"
    assert state.exists()
    assert state.read_bytes() == b""
    assert gpunode(*flags(cluster)).stdout.splitlines() == [f"removed: {line}" for line in lines]


def test_a_dry_run_cannot_stay(cluster: Cluster) -> None:
    done = gpunode(*flags(cluster), "--dry-run", "--stay")
    assert (done.exit_code, done.stderr) == (
        2,
        "gpunode cleanup: --dry-run: cannot be used with --stay. Remove one of them\n",
    )


@pytest.mark.exhaustive
def test_only_host_needs_no_cluster(cluster: Cluster) -> None:
    label(cluster)
    (cluster.directory / "lock").mkdir()
    (cluster.directory / "lock" / f"gfd.{NODE}.lock").touch()
    files = ["--lock-dir", str(cluster.directory / "lock"), "--cdi-dir", str(cluster.directory / "cdi")]
    files += ["--kubelet-socket", str(cluster.kubelet.socket), "--mig-state-dir", str(cluster.directory / "records")]
    done = gpunode(*files, f"--node-name={NODE}", "--only=host", "--kubeconfig=/missing")
    assert (done.exit_code, done.stdout) == (0, f"removed: state in {cluster.directory}/lock\n")
    assert cluster.labels["nvidia.com/gpu.count"] == "8"


def test_a_missing_flag_is_reported_before_anything_is_removed(cluster: Cluster) -> None:
    done = gpunode("--node-name=", "--kubeconfig", str(cluster.directory / "kubeconfig"))
    assert done.exit_code == 2
    assert "--node-name: is missing" in done.stderr


def test_outside_a_pod_the_namespace_has_no_default(cluster: Cluster) -> None:
    label(cluster)
    done = gpunode(*cluster.flags("gpunode"))
    assert (done.exit_code, done.stdout) == (2, "")
    assert "--namespace: is missing. Set the namespace of the agents, usually gpunode" in done.stderr
    assert cluster.labels["nvidia.com/gpu.count"] == "8"


@pytest.mark.exhaustive
def test_with_stay_the_process_runs_until_sigterm(cluster: Cluster) -> None:
    label(cluster)
    records = f"--mig-state-dir={cluster.directory / 'records'}"
    process = cluster.start(
        "gpunode", "cleanup", "--stay", "--http-address", "127.0.0.1:0", "--namespace=default", records
    )
    cluster.until(lambda: '"event": "removed"' in cluster.log(0))
    assert "nvidia.com/gpu.count" not in cluster.labels
    assert process.poll() is None
    process.terminate()
    assert process.wait(timeout=60) == 0


class ScriptedCleanup:
    """Returns the specified outcomes, then the last one again."""

    def __init__(self, *outcomes: Outcome) -> None:
        self._outcomes = list(outcomes)
        self.calls = 0

    def __call__(self) -> Outcome:
        self.calls += 1
        return self._outcomes[min(self.calls, len(self._outcomes)) - 1]


class RecordingMailbox(Mailbox[AgentMessage]):
    """Advances the clock instead of waiting, records the readiness check at each wait, and returns Stop at the fourth wait."""

    def __init__(self) -> None:
        super().__init__()
        self.now = 0.0
        self.readiness = Readiness()
        self.seen: list[str | None] = []

    def get(self, timeout: float | None = None) -> AgentMessage | None:
        self.seen.append(self.readiness.problems()["cleanup/done"])
        self.now += timeout or 0.0
        return Stop() if len(self.seen) == 4 else None


def test_cleanup_retries_until_it_succeeds() -> None:
    mailbox = RecordingMailbox()
    clean = ScriptedCleanup(Outcome(problems=("a: refused",)), Outcome(removed=("a",)))
    loop = cleanup_loop(clean, Services(readiness=mailbox.readiness, clock=lambda: mailbox.now), mailbox)
    loop.run()
    assert mailbox.seen == ["not completed yet", "a: refused", None, None]
    assert clean.calls == 2


def test_stop_ends_the_loop_before_the_first_cleanup() -> None:
    clean = ScriptedCleanup(Outcome(problems=("a",)))
    loop = cleanup_loop(clean, Services())
    loop.mailbox.post(Stop())
    loop.run()
    assert clean.calls == 0


@pytest.mark.parametrize(
    ("outcome", "text"),
    [
        (Outcome(), "nothing to remove\n"),
        (Outcome(removed=("a", "b")), "removed: a\nremoved: b\n"),
        (Outcome(problems=("a",)), ""),
        (Outcome(removed=("a",), retained=("label b",)), "removed: a\nstays: label b\n"),
    ],
    ids=["nothing", "some", "failed", "retained"],
)
def test_the_printed_outcome(outcome: Outcome, text: str) -> None:
    assert render(outcome) == text
