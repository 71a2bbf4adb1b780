"""Which kubeconfig files a verb reads."""

from pathlib import Path

import pytest

from gpunode.cluster import connection
from gpunode.cluster.connection import connect, find_kubeconfig
from node_core.errors import KubeError
from tests.node_core.kube.test_kubeconfig import write


@pytest.fixture(autouse=True)
def _no_service_account(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(connection, "SERVICE_ACCOUNT", tmp_path / "missing")


def test_the_flag_takes_precedence(tmp_path: Path) -> None:
    (tmp_path / "a").touch()
    assert find_kubeconfig("flag", {"KUBECONFIG": str(tmp_path / "a")}) == "flag"


def test_missing_files_of_the_variable_are_ignored(tmp_path: Path) -> None:
    (tmp_path / "a").touch()
    assert find_kubeconfig(None, {"KUBECONFIG": f"{tmp_path}/b::{tmp_path}/a"}) == f"{tmp_path}/a"


def test_the_file_in_the_home_directory_is_the_default(tmp_path: Path) -> None:
    file = tmp_path / ".kube/config"
    file.parent.mkdir()
    file.touch()
    assert find_kubeconfig(None, {"HOME": str(tmp_path)}) == str(file)


def test_a_pod_uses_its_service_account(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(connection, "SERVICE_ACCOUNT", tmp_path)
    (tmp_path / "token").touch()
    assert find_kubeconfig(None, {"HOME": str(tmp_path)}) is None


@pytest.mark.parametrize("environment", [{}, {"HOME": "/missing"}, {"KUBECONFIG": "/missing/a:/missing/b"}], ids=str)
def test_without_a_file_the_error_states_which_files_were_searched(environment: dict[str, str]) -> None:
    with pytest.raises(KubeError, match=r"there is no kubeconfig file: .*(not set|/missing)") as caught:
        find_kubeconfig(None, environment)
    assert "--kubeconfig" in str(caught.value)


@pytest.mark.parametrize(
    ("context", "flag", "namespace"), [(None, None, "team"), ("x", None, "default"), (None, "flag", "flag")]
)
def test_the_namespace_is_that_of_the_flag_or_of_the_context(
    tmp_path: Path, context: str | None, flag: str | None, namespace: str
) -> None:
    path = tmp_path / "kubeconfig"
    text = write(path, {"token": "t"}).replace("kubeconfig", "kubeconfig")
    config = path.read_text()
    second = '{"name": "y", "context": {"cluster": "c", "user": "u", "namespace": "team"}}'
    config = config.replace('"contexts": [', f'"contexts": [{second}, ').replace(
        '"current-context": "x"', '"current-context": "y"'
    )
    path.write_text(config)
    assert connect(text, context, flag).namespace == namespace


def test_an_unknown_context_is_an_error_with_the_nearest_name(tmp_path: Path) -> None:
    text = write(tmp_path / "kubeconfig", {"token": "t"})
    path = tmp_path / "kubeconfig"
    path.write_text(
        path.read_text().replace('"name": "x"', '"name": "prod-eu"').replace('context": "x"', 'context": "prod-eu"')
    )
    with pytest.raises(
        KubeError, match=r"there is no context 'prod' \(did you mean prod-eu\?\) \(the contexts are prod-eu\)"
    ):
        connect(text, "prod")
