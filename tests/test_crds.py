"""The CRD is one that the API server takes what we publish by: every field that we render has its place in the schema."""

from pathlib import Path
from typing import Any

import pytest
import yaml

from node_core.domain.features import Features
from node_core.domain.node_feature import API_VERSION, NodeFeature, render_node_feature

ROOT = Path(__file__).parent.parent / "manifests" / "crds"
TYPES: dict[str, type] = {"object": dict, "array": list, "string": str}


@pytest.fixture(scope="module")
def crd() -> dict[str, Any]:
    found: dict[str, Any] = yaml.safe_load((ROOT / "nodefeature.yaml").read_text())
    return found


def problems(value: Any, schema: dict[str, Any], path: str = "") -> list[str]:
    """What the API server would refuse or silently drop."""
    if not isinstance(value, TYPES[schema["type"]]):
        return [f"{path} is no {schema['type']}"]
    if isinstance(value, list):
        return [
            each for index, item in enumerate(value) for each in problems(item, schema["items"], f"{path}[{index}]")
        ]
    if not isinstance(value, dict) or path == ".metadata":
        return []
    found = [f"{path}.{name} is missing" for name in schema.get("required", ()) if name not in value]
    for name, child in value.items():
        known = schema.get("properties", {}).get(name) or schema.get("additionalProperties")
        found += problems(child, known, f"{path}.{name}") if known else [f"{path}.{name} is unknown"]
    return found


def test_the_kustomization_holds_the_crd_and_the_base_does_not(crd: dict[str, Any]) -> None:
    assert yaml.safe_load((ROOT / "kustomization.yaml").read_text())["resources"] == ["nodefeature.yaml"]
    assert "../crds" not in (ROOT.parent / "base" / "kustomization.yaml").read_text()
    assert (crd["apiVersion"], crd["kind"]) == ("apiextensions.k8s.io/v1", "CustomResourceDefinition")


def test_names_and_version_are_those_that_we_ask_for(crd: dict[str, Any]) -> None:
    names, (version,) = crd["spec"]["names"], crd["spec"]["versions"]
    assert crd["metadata"]["name"] == f"{names['plural']}.{crd['spec']['group']}"
    assert f"{crd['spec']['group']}/{version['name']}" == API_VERSION
    assert (version["served"], version["storage"], crd["spec"]["scope"]) == (True, True, "Namespaced")


@pytest.mark.parametrize(
    "features",
    [
        Features(),
        Features(
            flags={"cpu.cpuid": frozenset({"AVX"})},
            attributes={"kernel.version": {"major": "6"}, "cpu.sst": {}},
            instances={"pci.device": ({"vendor": "10de"},), "usb.device": ()},
        ),
    ],
    ids=["gfd", "host"],
)
def test_the_schema_takes_all_that_we_publish_and_drops_nothing(crd: dict[str, Any], features: Features) -> None:
    schema = crd["spec"]["versions"][0]["schema"]["openAPIV3Schema"]
    wanted = NodeFeature(node_name="n", node_uid="u", labels={"nvidia.com/gpu.count": "8"}, features=features)
    assert problems(render_node_feature(wanted, name="n", namespace="default"), schema) == []


def test_the_check_finds_what_is_wrong(crd: dict[str, Any]) -> None:
    schema = crd["spec"]["versions"][0]["schema"]["openAPIV3Schema"]
    assert problems({}, schema) == [".spec is missing"]
    assert problems({"spec": {"labels": {"a": 1}, "feature": {}}}, schema) == [
        ".spec.labels.a is no string",
        ".spec.feature is unknown",
    ]
