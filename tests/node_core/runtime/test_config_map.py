"""Configs in a ConfigMap: its entries, and the current config while the ConfigMap is missing."""

import base64
import contextlib
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from structlog.testing import capture_logs

from node_core.decode import Document
from node_core.errors import KubeError, SettingsError
from node_core.runtime.config_map import ConfigMapName, ConfigMapSource, parse_config_map, parse_config_map_name
from node_core.runtime.config_selector import ConfigSelector, NamedConfigs
from node_core.runtime.informers import CollectionInformer, NodeInformer, config_map_informer
from node_core.runtime.named_config import LABEL, NamedConfigOptions
from node_core.runtime.services import Services
from simulation.apiserver import ApiServer
from simulation.apiserver.resources import resource_named
from simulation.apiserver.writes import Target, Writer
from tests.waiting import until

NAME = ConfigMapName("kube-system", "configs")
LIST = ("list", "/api/v1/namespaces/{namespace}/configmaps")


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("configs", "'configs' is not of the form NAMESPACE/NAME"),
        ("/configs", "'' is not a name of a namespace"),
        ("a.b/configs", r"'a\.b' is not a name of a namespace"),
        ("a" * 64 + "/configs", "is not a name of a namespace"),
        ("a/", "'' is not a name of an object"),
        ("a/b/c", "'b/c' is not a name of an object"),
        ("a/../secrets", "is not a name of an object"),
        ("a/B", "'B' is not a name of an object"),
    ],
)
def test_an_invalid_name_of_a_configmap_is_refused(text: str, why: str) -> None:
    with pytest.raises(ValueError, match=why):
        parse_config_map_name(text)


def test_a_name_is_rendered_unchanged() -> None:
    assert str(parse_config_map_name("a-1/b.c")) == "a-1/b.c"


def test_each_entry_of_data_and_binary_data_is_a_config() -> None:
    obj = {"data": {"b": "text", "a": ""}, "binaryData": {"c": base64.b64encode(b"\xff").decode()}}
    found = parse_config_map(obj, "ConfigMap n/c")
    assert list(found) == ["a", "b", "c"]
    assert found["b"] == Document(source="ConfigMap n/c, b", content=b"text")
    assert (found["a"].content, found["c"].content) == (b"", b"\xff")


@pytest.mark.parametrize("obj", [{}, {"data": None}, {"data": {}, "binaryData": {}}])
def test_a_configmap_may_be_empty(obj: Mapping[str, Any]) -> None:
    assert parse_config_map(obj, "c") == {}


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(st.characters()),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner, max_size=3),
)


@given(JSON, JSON)
def test_a_malformed_configmap_is_parsed_or_refused(data: Any, binary: Any) -> None:
    with contextlib.suppress(SettingsError):
        found = parse_config_map({"data": data, "binaryData": binary}, "c")
        assert all(isinstance(each.content, bytes) for each in found.values())


@pytest.fixture
def server(tmp_path: Path) -> Iterator[ApiServer]:
    with ApiServer() as running:
        running.write_kubeconfig(tmp_path / "kubeconfig")
        yield running


class Bench:
    """Configs whose settings are their text. The test calls the informer's callbacks in place of an API server."""

    def __init__(self, informer: CollectionInformer, services: Services) -> None:
        self.informer = informer
        self.services = services
        options = NamedConfigOptions(place=NAME)
        named: NamedConfigs[Document | None] = NamedConfigs(
            source=ConfigMapSource(NAME, informer), options=options, read=lambda config: config
        )
        self.configs: ConfigSelector[Document | None] = ConfigSelector(None, named, agent="gfd", services=services)

    def apply(self, data: Mapping[str, str], label: str = "") -> tuple[bool, bytes | None]:
        """Sets the data of the ConfigMap. Returns whether the settings are new, and the current settings."""
        self.informer._observe({str(NAME): {"metadata": {}, "data": dict(data)}})
        return self.select(label)

    def select(self, label: str = "") -> tuple[bool, bytes | None]:
        before = self.configs.settings
        is_new = self.configs.select(lambda: {LABEL: label} if label else {}) != before
        return is_new, None if self.configs.settings is None else self.configs.settings.content


@pytest.fixture
def bench(server: ApiServer, tmp_path: Path) -> Bench:
    assert server.url
    node = NodeInformer("n1", kubeconfig=str(tmp_path / "kubeconfig"), user_agent="t")
    services = Services()
    return Bench(config_map_informer(node, NAME.namespace, NAME.name, agent="gfd", services=services), services)


def test_before_the_first_list_no_config_is_selected_and_only_the_list_is_not_completed(bench: Bench) -> None:
    with capture_logs() as logs:
        assert bench.select("four") == (False, None)
    assert bench.configs.problem is None
    assert [line["event"] for line in logs] == ["ready"]
    assert bench.services.readiness.problems() == {"gfd/config": None, "gfd/config-map": "not completed yet"}


def test_settings_follow_the_label_and_the_entries(bench: Bench) -> None:
    assert bench.apply({"default": "1", "four": "4"}) == (True, b"1")
    assert bench.select("four") == (True, b"4")
    assert bench.apply({"default": "2", "four": "4"}, "four") == (False, b"4")
    assert bench.apply({"default": "2", "four": "5"}, "four") == (True, b"5")
    assert bench.apply({"four": "5"}) == (False, b"5")
    assert bench.configs.problem is None


@pytest.mark.parametrize("status", [0, 401, 403, 410, 500])
def test_while_the_api_server_fails_the_config_remains_and_one_line_reports_the_failure(
    bench: Bench, status: int
) -> None:
    bench.apply({"default": "1"})
    with capture_logs() as logs:
        for _ in range(5):
            bench.informer._observe_error(KubeError("no", status=status))
            assert bench.select() == (False, b"1")
    assert [line["why"] for line in logs] == ["no"]
    assert bench.configs.problem is None


def test_a_configmap_that_is_forbidden_from_the_start_is_reported_once(bench: Bench) -> None:
    with capture_logs() as logs:
        for _ in range(5):
            bench.informer._observe_error(KubeError("forbidden", status=403))
            assert bench.select() == (False, None)
    assert [line["check"] for line in logs if line["event"] == "not_ready"] == ["gfd/config-map"]


def test_the_config_remains_if_its_entry_or_its_configmap_is_deleted(bench: Bench) -> None:
    bench.apply({"default": "1", "four": "4"}, "four")
    assert bench.apply({"default": "1"}, "four") == (False, b"4")
    assert "'four', which does not exist" in str(bench.configs.problem)
    bench.informer._observe({})
    assert bench.select("four") == (False, b"4")
    assert (
        str(bench.configs.problem)
        == "the ConfigMap kube-system/configs does not exist; the previous config remains in use"
    )
    assert bench.apply({"four": "4"}, "four") == (False, b"4")
    assert bench.configs.problem is None


def test_the_config_remains_if_the_configmap_is_malformed(bench: Bench) -> None:
    bench.apply({"default": "1"})
    bench.informer._observe({str(NAME): {"metadata": {}, "data": ["default"]}})
    assert bench.select() == (False, b"1")
    assert "ConfigMap kube-system/configs cannot be parsed" in str(bench.configs.problem)


def write(server: ApiServer, name: str, namespace: str = NAME.namespace, **data: str) -> None:
    body = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": name}, "data": data}
    target = Target(resource=resource_named("configmaps"), namespace=namespace)
    server.api.create(target, body, Writer(manager="kubectl"))


def test_only_the_named_configmap_is_watched(server: ApiServer, bench: Bench) -> None:
    write(server, NAME.name, default="1")
    write(server, "other", default="2")
    write(server, NAME.name, "default", default="3")
    server.forget_requests()
    bench.informer.start()
    try:
        until(lambda: bench.select() == (True, b"1"))
        write(server, "another", default="4")
        change = {"data": {"default": "5"}}
        server.store.mutate("configmaps", NAME.name, lambda obj: obj | change, namespace=NAME.namespace)
        until(lambda: bench.select() == (True, b"5"))
    finally:
        bench.informer.stop()
    assert (bench.informer.state or {}).keys() == {str(NAME)}
    assert server.requests[LIST] == 1


def test_a_process_that_runs_once_reads_the_configmap_once(server: ApiServer, bench: Bench) -> None:
    write(server, NAME.name, default="1")
    server.forget_requests()
    bench.informer.list_once()
    assert bench.select() == (True, b"1")
    assert sum(server.requests.values()) == 1
