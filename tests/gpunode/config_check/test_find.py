"""Config files in files, manifests and values of charts."""

import json

import pytest
import yaml

from gpunode.config_check.find import Kind, find_configs
from node_core.decode import Document, parse_yaml
from node_core.errors import SettingsError

NVIDIA = "version: v1\nflags: {migStrategy: mixed}\n"
WORKER = "core: {sleepInterval: 60s}\n"
MAP = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "c"}, "data": {"b": NVIDIA, "a": WORKER}}


def find(content: object, kind: Kind | None = None) -> dict[str, Kind]:
    text = content if isinstance(content, str) else json.dumps(content)
    document = Document(source="f", content=text.encode())
    return {each.document.source: each.kind for each in find_configs(document, kind)}


def refusal(content: object) -> str:
    with pytest.raises(SettingsError) as caught:
        find(content)
    return "\n".join(caught.value.problems)


@pytest.mark.parametrize(
    ("text", "kind"),
    [
        (NVIDIA, Kind.NVIDIA),
        ("sharing: {mps: {}}", Kind.NVIDIA),
        ("pools: []\nreserved: []", Kind.NVIDIA),
        (WORKER, Kind.NFD),
        ("sources: {pci: {}}", Kind.NFD),
        ("extraLabelNs: [a.example]\nresyncPeriod: 1h", Kind.NFD),
        ("leaderElection: {}", Kind.NFD),
        ("shareing: {}\nversion: v1", Kind.NVIDIA),
        ("flag: {}", Kind.NVIDIA),
        ("cor: {}", Kind.NFD),
    ],
)
def test_the_keys_of_a_file_show_its_kind_also_if_they_are_misspelt(text: str, kind: Kind) -> None:
    assert find(text) == {"f": kind}


@pytest.mark.parametrize(
    "text", ["", "[]", "a", "null", "x: 1", "1: 2", "core: {}\nflags: {}", "flags: {}\na: 1\nb: 2"]
)
def test_a_file_without_a_clear_kind_is_refused_and_can_be_forced(text: str) -> None:
    assert refusal(text) == "f: is not recognised as a config file. Use --kind nvidia or --kind nfd"
    assert find(text, Kind.NFD) == {"f": Kind.NFD}


def test_a_config_map_contains_a_file_for_each_key() -> None:
    expected = {"f: ConfigMap c, a": Kind.NFD, "f: ConfigMap c, b": Kind.NVIDIA}
    assert find(MAP) == expected
    assert find({"apiVersion": "v1", "kind": "List", "items": [MAP, {"kind": "Pod"}]}) == expected


def test_a_manifest_of_several_documents_is_read() -> None:
    pod = {"apiVersion": "v1", "kind": "Pod"}
    assert len(find(yaml.safe_dump_all([pod, MAP, None, MAP | {"metadata": {"name": "d"}}]))) == 4


def test_an_object_of_the_nfd_operator_contains_nfd_worker_conf() -> None:
    spec = {"workerConfig": {"configData": WORKER}}
    data = {"apiVersion": "nfd.openshift.io/v1", "kind": "NodeFeatureDiscovery", "spec": spec}
    assert find(data) == {"f: spec.workerConfig.configData": Kind.NFD}


@pytest.mark.parametrize(
    ("values", "places"),
    [
        (
            {"config": {"map": {"a": NVIDIA, "b": {"version": "v1"}, "c": ""}}, "resources": {}},
            ["config.map.a", "config.map.b"],
        ),
        ({"devicePlugin": {"config": {"data": {"a": NVIDIA}}}}, ["devicePlugin.config.data.a"]),
        (
            {"worker": {"config": {"core": {}}}, "master": {"config": {"noPublish": True}}},
            ["worker.config", "master.config"],
        ),
        ({"nfd": {"config": {"core": {}}, "worker": {"config": {"sources": {}}}}}, ["nfd.config", "nfd.worker.config"]),
        ({"node-feature-discovery": {"worker": {"config": {"sources": {}}}}}, ["node-feature-discovery.worker.config"]),
    ],
)
def test_values_of_charts_contain_files_as_text_or_as_values(values: object, places: list[str]) -> None:
    assert list(find(values)) == [f"f: {each}" for each in places]


def test_values_keep_their_content() -> None:
    values = {"nfd": {"config": {"sources": {"pci": {"deviceClassWhitelist": ["02", "0300"]}}}}}
    (found,) = find_configs(Document(source="f", content=json.dumps(values).encode()))
    assert parse_yaml(found.document) == values["nfd"]["config"]


@pytest.mark.parametrize(
    ("content", "why"),
    [
        (
            {"apiVersion": "nvidia.com/v1", "kind": "ClusterPolicy"},
            "f: contains ClusterPolicy, but no ConfigMap with config files",
        ),
        ({"apiVersion": "v1", "kind": "List", "items": []}, "f: contains List, but no"),
        (MAP | {"data": None}, "f: contains ConfigMap, but no"),
        (MAP | {"data": {"a": 5}}, "f: ConfigMap c cannot be parsed"),
        (MAP | {"data": {"a": "[", "b": "core: {}", "c": "x"}}, "f: ConfigMap c, a: line 2"),
        (MAP | {"data": {"a": "[", "b": "core: {}", "c": "x"}}, "f: ConfigMap c, c: is not recognised"),
        ("a: [", "f: line 2, column 1: a value is missing"),
        ("a: 1\n---\nb: 1", "f: expected one document, got 2"),
        ("a" * (1 << 21), "f: is larger than 1048576 bytes"),
        ("a: &a [*a]", "f: line 1: the alias *a is inside of the value"),
    ],
)
def test_a_document_without_config_files_is_refused(content: object, why: str) -> None:
    assert why in refusal(content)
