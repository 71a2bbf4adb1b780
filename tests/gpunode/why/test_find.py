"""Which pod a name means, and what a person without rights reads."""

import pytest

from gpunode.why.find import parse_target
from gpunode.why.workloads import CRON_JOB, DEPLOYMENT, JOB, PODS, WorkloadKind
from node_core.errors import SettingsError
from simulation.apiserver import ApiServer
from tests.gpunode.doctor.test_remote import forbid
from tests.gpunode.why.conftest import Why


@pytest.mark.parametrize(
    ("text", "kind", "name"),
    [
        ("web-0", None, "web-0"),
        ("pod/web-0", PODS, "web-0"),
        ("deploy/web", DEPLOYMENT, "web"),
        ("Deployment.apps/web", DEPLOYMENT, "web"),
        ("jobs/a", JOB, "a"),
        ("cj/a", CRON_JOB, "a"),
    ],
)
def test_a_target_is_a_name_with_or_without_a_kind(text: str, kind: WorkloadKind | None, name: str) -> None:
    assert parse_target(text) == (kind, name)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("depoy/web", r"depoy/web: unknown kind 'depoy' \(did you mean deploy\?\)\. Use pod, Deployment"),
        ("node/a", "node/a: unknown kind 'node'"),
        ("a/b/c", "a/b/c: unknown kind 'a/b'"),
        ("", "'' is not a name of a pod"),
        ("deploy/", "'' is not a name of a Deployment"),
        ("../x", "../x: unknown kind '..'"),
        ("Web", "'Web' is not a name of a pod"),
    ],
)
def test_another_target_is_an_error(text: str, expected: str) -> None:
    with pytest.raises(SettingsError, match=expected):
        parse_target(text)


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        (("wrong-valeu",), "Job, CronJob or ReplicaSet wrong-valeu in the namespace team (did you mean wrong-value?)"),
        (("pod/zzzz",), "there is no Pod zzzz in the namespace team (kubectl get pods -A lists all)"),
        (("deploy/qouta",), "there is no Deployment qouta in the namespace team (did you mean quota?)"),
        (("serve-0", "-n", "other"), "in the namespace other (there is one in team: use -n team)"),
    ],
    ids=["pod", "kind", "workload", "namespace"],
)  # fmt: skip
def test_a_name_that_does_not_exist_is_an_error_with_the_nearest(
    arguments: tuple[str, ...], expected: str, server: ApiServer, why: Why
) -> None:
    result = why(*arguments)
    assert (result.exit_code, result.stdout) == (1, "")
    assert expected in result.stderr
    assert server.writes == 0


def test_the_name_of_a_workload_without_a_kind_is_found_after_pods(why: Why) -> None:
    assert why("deploy/web").stdout == why("web").stdout
    assert why("rs/web-5f6").stdout == why("web").stdout


def test_without_the_right_to_read_pods_the_error_names_it(why: Why, monkeypatch: pytest.MonkeyPatch) -> None:
    forbid(monkeypatch, "/pods/")
    result = why("fits")
    assert (result.exit_code, result.stdout) == (1, "")
    assert "you are not permitted to get pods" in result.stderr
    assert "ClusterRole gpunode-viewer" in result.stderr


def test_without_the_right_to_list_nodes_the_error_names_it(why: Why, monkeypatch: pytest.MonkeyPatch) -> None:
    forbid(monkeypatch, "/api/v1/nodes")
    result = why("fits")
    assert (result.exit_code, result.stdout) == (1, "")
    assert "you are not permitted to list nodes" in result.stderr
    assert "The scheduler states" not in result.stderr
    assert "The scheduler states: 0/10 nodes are available: 1 Insufficient nvidia.com/gpu" in why("in-use").stderr


def test_without_the_right_to_list_all_pods_all_devices_count_as_free(
    why: Why, monkeypatch: pytest.MonkeyPatch
) -> None:
    forbid(monkeypatch, "/api/v1/pods")
    result = why("in-use")
    assert result.exit_code == 0
    assert "so all devices count as free: you are not permitted to list pods" in result.stdout


def test_without_other_rights_the_answer_has_a_note(why: Why, monkeypatch: pytest.MonkeyPatch) -> None:
    forbid(monkeypatch, "/events", "/replicasets")
    result = why("web-5f6-b")
    assert "Not read: you are not permitted to list events" in result.stdout
    assert "Not read: you are not permitted to get replicasets.apps" in result.stdout
    assert "Make this change in ReplicaSet team/web-5f6." in result.stdout


def test_a_guess_of_the_kind_needs_no_right_to_read_it(why: Why, monkeypatch: pytest.MonkeyPatch) -> None:
    forbid(monkeypatch, "/deployments")
    assert why("db").exit_code == 0
    result = why("deploy/web")
    assert (result.exit_code, "you are not permitted to get deployments.apps" in result.stderr) == (1, True)


def test_a_kubeconfig_that_does_not_exist_is_an_error(why: Why) -> None:
    result = why("fits", "--kubeconfig", "/missing")
    assert (result.exit_code, result.stdout) == (1, "")
    assert "Traceback" not in result.stderr


def test_without_the_right_to_read_a_node_its_loss_is_unknown(why: Why, monkeypatch: pytest.MonkeyPatch) -> None:
    forbid(monkeypatch, "/nodes/")
    result = why("node-lost")
    assert result.exit_code == 0
    assert result.stdout.startswith("Pod team/node-lost runs on lost-1.")
    assert "Not read: you are not permitted to get nodes" in result.stdout
