"""The settings of nfd-lite-topology: flags as in manifests of nfd-topology-updater, and the config file."""

from pathlib import Path
from typing import Any

import pytest

from nfd_lite.topology.__main__ import command, parse
from nfd_lite.topology.settings import STATE_DIR, TopologySettings, topology_settings
from node_core.errors import SettingsError
from node_core.runtime.command import parse_command


def parsed(*arguments: str, node: str = "n1") -> TopologySettings:
    values = parse_command(command, list(arguments), "nfd-lite-topology")
    assert values is not None
    return topology_settings(values, node)


def problems(*arguments: str) -> str:
    with pytest.raises(SettingsError) as caught:
        parsed(*arguments)
    return "\n".join(caught.value.problems)


def test_the_defaults_are_those_of_nfd_topology_updater() -> None:
    found = parsed()
    assert found.namespace == "*"
    assert found.has_fingerprint
    assert not found.no_publish
    assert found.state_dir == STATE_DIR
    assert found.socket == Path("/var/lib/kubelet/pod-resources/kubelet.sock")


def test_every_flag_of_nfd_topology_updater_is_accepted() -> None:
    """Source: the command line reference of nfd-topology-updater."""
    found = parsed(
        *("-no-publish", "-oneshot", "-sleep-interval=3s", "-watch-namespace=rte", "-port=8081", "-v=4"),
        "-kubelet-config-uri=file:///kubelet/config.yaml",
        "-api-auth-token-file=/token",
        "-podresources-socket=/kubelet.sock",
        "-pods-fingerprint=false",
        "-kubelet-state-dir=",
        "-kubeconfig=/kubeconfig",
    )
    assert (found.no_publish, found.oneshot, found.namespace, found.has_fingerprint) == (True, True, "rte", False)
    assert (found.config_uri, found.token_file) == ("file:///kubelet/config.yaml", Path("/token"))
    assert (found.socket, found.state_dir) == (Path("/kubelet.sock"), None)


@pytest.mark.parametrize(
    ("arguments", "uri"),
    [
        ([], "file:///var/lib/kubelet/config.yaml"),
        (["--kubelet-state-dir=/k"], "file:///k/config.yaml"),
        (["--node-address=10.0.0.1"], "https://10.0.0.1:10250/configz"),
        (["--node-address=fd00::1"], "https://[fd00::1]:10250/configz"),
        (["--node-address=10.0.0.1", "--kubelet-config-uri=file:///c"], "file:///c"),
        (["--kubelet-state-dir="], ""),
    ],
)
def test_the_configuration_of_the_kubelet_has_a_default(arguments: list[str], uri: str) -> None:
    assert parsed(*arguments).config_uri == uri


@pytest.mark.parametrize(
    "text",
    [
        "config.yaml",
        "/config.yaml",
        "ftp://a/b",
        "http://a:10255/configz",
        "file://host/path",
        "https://",
        "file:config",
    ],
)
def test_a_text_that_is_not_a_uri_is_refused(text: str) -> None:
    assert "--kubelet-config-uri" in problems(f"--kubelet-config-uri={text}")


def test_a_program_without_any_configuration_of_the_kubelet_is_refused() -> None:
    with pytest.raises(SettingsError, match="--kubelet-config-uri: is missing"):
        parse(["--node-name=n1", "--kubelet-state-dir=", "--lock-dir="])


def test_a_program_needs_the_name_of_the_node_except_to_print() -> None:
    with pytest.raises(SettingsError, match="--node-name: is missing"):
        parse(["--lock-dir="])
    assert parse(["--lock-dir=", "--no-publish"]) is not None


@pytest.mark.parametrize(
    ("text", "excluded"),
    [
        ("excludeList: {n1: [cpu], n2: [memory], '*': [hugepages-2Mi, cpu]}", {"cpu", "hugepages-2Mi"}),
        ("excludeList: {n2: [memory]}", set()),
        ("excludeList: {}", set()),
        ("excludeList:", set()),
        ("", set()),
        ("# excludeList:\n", set()),
    ],
)
def test_resources_are_excluded_for_the_node_and_for_all_nodes(text: str, excluded: set[str], tmp_path: Path) -> None:
    (tmp_path / "conf").write_text(text)
    assert parsed(f"--config={tmp_path}/conf").excluded == excluded


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("excludelist: {}", "excludeList"),
        ("excludeList: [cpu]", "excludeList"),
        ("excludeList: {n1: cpu}", "excludeList.n1"),
        ("excludeList: {n1: [[cpu]]}", "excludeList.n1[0]"),
        ("excludeList: {n1: [cpu]", "line 2"),
    ],
)
def test_a_wrong_file_is_refused_with_the_path_of_the_value(text: str, why: str, tmp_path: Path) -> None:
    (tmp_path / "conf").write_text(text)
    assert why in problems(f"--config={tmp_path}/conf")


def test_values_of_the_environment_are_read(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NODE_ADDRESS", "10.0.0.9")
    monkeypatch.setenv("NFD_TOPOLOGY_WATCH_NAMESPACE", "team")
    found: Any = parsed()
    assert (found.node_address, found.namespace) == ("10.0.0.9", "team")
