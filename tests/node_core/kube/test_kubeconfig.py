"""Clusters and credentials in kubeconfig files."""

import base64
import json
import logging
import os
import threading
from pathlib import Path
from typing import Any

import pytest
from kubernetes import config

from node_core.errors import KubeError
from node_core.kube.kubeconfig import read_kubeconfig

SERVER = "https://api.example:6443"
EXPIRED = "2020-01-01T00:00:00Z"


@pytest.fixture(autouse=True)
def _no_proxy_variables(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("HTTP_PROXY", "HTTPS_PROXY", "NO_PROXY"):
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.lower(), raising=False)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "kubeconfig"


def write(path: Path, user: dict[str, Any], **cluster: Any) -> str:
    config = {
        "clusters": [{"name": "c", "cluster": {"server": SERVER} | cluster}],
        "users": [{"name": "u", "user": user}],
        "contexts": [{"name": "x", "context": {"cluster": "c", "user": "u"}}],
        "current-context": "x",
    }
    path.write_text(json.dumps(config))
    return str(path)


@pytest.mark.parametrize(
    "content", [None, "", "[]", "just text", "{clusters: 5}", "\x00", "{current-context: x, contexts: []}"]
)
def test_an_invalid_kubeconfig_is_a_kube_error(path: Path, content: str | None) -> None:
    if content is not None:
        path.write_text(content)
    with pytest.raises(KubeError, match=f"no usable cluster configuration: {path}: ") as caught:
        read_kubeconfig(str(path))
    assert caught.value.hint == "correct the file, or set another one in --kubeconfig or KUBECONFIG"


@pytest.mark.parametrize("server", [5, None, ["https://a"]], ids=repr)
def test_a_server_that_is_not_text_is_a_kube_error(path: Path, server: Any) -> None:
    with pytest.raises(KubeError, match="no usable cluster configuration"):
        read_kubeconfig(write(path, {"token": "t"}, server=server))


def test_a_pipe_as_kubeconfig_is_an_error(path: Path) -> None:
    os.mkfifo(path)
    with pytest.raises(KubeError, match="not a regular file"):
        read_kubeconfig(str(path))


def test_each_file_must_be_readable(path: Path, tmp_path: Path) -> None:
    valid = write(path, {"token": "t"})
    with pytest.raises(KubeError, match="does not exist"):
        read_kubeconfig(f"{valid}:{tmp_path / 'missing'}")
    with pytest.raises(KubeError, match="not a regular file"):
        read_kubeconfig(f"{valid}:{tmp_path}")


def test_files_are_merged_and_empty_paths_are_ignored(path: Path, tmp_path: Path) -> None:
    config = json.loads(Path(write(path, {"token": "t"})).read_text())
    users = {"users": config.pop("users")}
    path.write_text(json.dumps(config))
    (tmp_path / "users").write_text(json.dumps(users))
    cluster = read_kubeconfig(f"{path}::{tmp_path / 'users'}")
    assert (cluster.server, cluster.authorization()) == (SERVER, "Bearer t")


@pytest.mark.parametrize(
    ("user", "header"),
    [
        ({"token": "t"}, "Bearer t"),
        ({"username": "u", "password": "p"}, f"Basic {base64.b64encode(b'u:p').decode()}"),
        ({}, None),
    ],
    ids=["token", "password", "no credentials"],
)
def test_the_authorization_header_contains_the_credentials(path: Path, user: dict[str, Any], header: str) -> None:
    assert read_kubeconfig(write(path, user)).authorization() == header


def test_an_expired_token_of_a_plugin_is_renewed(path: Path, tmp_path: Path) -> None:
    credential = tmp_path / "credential"

    def issue(token: str) -> None:
        kind = {"apiVersion": "client.authentication.k8s.io/v1", "kind": "ExecCredential"}
        credential.write_text(json.dumps(kind | {"status": {"token": token, "expirationTimestamp": EXPIRED}}))

    plugin = {"apiVersion": "client.authentication.k8s.io/v1", "command": "cat", "args": [str(credential)]}
    issue("first")
    cluster = read_kubeconfig(write(path, {"exec": plugin | {"interactiveMode": "Never"}}))
    issue("second")
    assert cluster.authorization() == "Bearer second"


PLUGIN = {"apiVersion": "client.authentication.k8s.io/v1", "interactiveMode": "Never"}


@pytest.mark.parametrize(
    ("plugin", "why"),
    [
        ({"command": "missing-plugin"}, "No such file or directory: 'missing-plugin'"),
        ({"command": "sh", "args": ["-c", "echo log in first >&2; exit 3"]}, "process returned 3. log in first"),
        ({"command": "echo"}, "failed to decode process output"),
        ({"command": "echo", "args": ["[]"]}, "malformed response"),
        ({"command": 5}, "expected str, bytes or os.PathLike object, not int"),
    ],
    ids=["missing", "fails", "empty", "no credentials", "no text"],
)
def test_an_exec_plugin_that_fails_is_named(path: Path, plugin: dict[str, Any], why: str) -> None:
    handlers = list(logging.getLogger().handlers)
    with pytest.raises(KubeError, match="the exec plugin fails: ") as caught:
        read_kubeconfig(write(path, {"exec": PLUGIN | plugin}))
    assert logging.getLogger().handlers == handlers
    assert why in caught.value.message
    assert "exec: " not in caught.value.message
    assert caught.value.hint == "install the program that users[].exec.command names, or run it to see why it fails"


def test_a_failed_plugin_is_not_an_error_if_there_is_another_credential(path: Path) -> None:
    user = {"exec": PLUGIN | {"command": "missing-plugin"}, "username": "u", "password": "p"}
    assert read_kubeconfig(write(path, user)).authorization() is not None


def test_a_plugin_that_cannot_renew_its_token_is_named(path: Path, tmp_path: Path) -> None:
    credential = tmp_path / "credential"
    kind = {"apiVersion": "client.authentication.k8s.io/v1", "kind": "ExecCredential"}
    credential.write_text(json.dumps(kind | {"status": {"token": "t", "expirationTimestamp": EXPIRED}}))
    cluster = read_kubeconfig(write(path, {"exec": PLUGIN | {"command": "cat", "args": [str(credential)]}}))
    credential.unlink()
    with pytest.raises(KubeError, match="the exec plugin fails: process returned 1"):
        cluster.authorization()


def test_errors_of_other_threads_are_not_those_of_the_plugin(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    load: Any = config.load_kube_config

    def load_while_another_thread_fails(**options: Any) -> None:
        other = threading.Thread(target=logging.error, args=("of another thread",))
        other.start()
        other.join()
        load(**options)

    monkeypatch.setattr(config, "load_kube_config", load_while_another_thread_fails)
    assert read_kubeconfig(write(path, {})).authorization() is None


def test_certificates_are_files_with_the_decoded_content(path: Path) -> None:
    names = ("certificate-authority-data", "client-certificate-data", "client-key-data")
    authority, certificate, key = (base64.b64encode(name.encode()).decode() for name in names)
    user = {"client-certificate-data": certificate, "client-key-data": key}
    cluster = read_kubeconfig(write(path, user, **{"certificate-authority-data": authority}))
    files = (cluster.ca_file, cluster.certificate_file, cluster.key_file)
    assert tuple(Path(file or "").read_text() for file in files) == names


def test_a_server_is_verified_under_its_own_name_by_default(path: Path) -> None:
    cluster = read_kubeconfig(write(path, {}))
    assert (cluster.is_verified, cluster.server_name, cluster.proxy) == (True, None, None)
    cluster = read_kubeconfig(write(path, {}, **{"insecure-skip-tls-verify": True, "tls-server-name": "other"}))
    assert (cluster.is_verified, cluster.server_name) == (False, "other")


@pytest.mark.parametrize(
    ("no_proxy", "proxy"),
    [("", "http://proxy:3128"), ("other.example", "http://proxy:3128"), ("api.example", None), ("*", None)],
)
def test_the_proxy_is_used_unless_no_proxy_contains_the_server(
    path: Path, monkeypatch: pytest.MonkeyPatch, no_proxy: str, proxy: str | None
) -> None:
    monkeypatch.setenv("NO_PROXY", no_proxy)
    assert read_kubeconfig(write(path, {}, **{"proxy-url": "http://proxy:3128"})).proxy == proxy
