"""The schemas of the CRDs contain every field that the agents publish and every field of rules."""

import re
from pathlib import Path
from typing import Any

import msgspec
import pytest
import yaml

from gpu_operator.feature_groups.groups import GroupResult
from gpu_operator.feature_groups.status import plan_status, render_status
from gpu_operator.feature_groups.views import RULE_FIELDS
from gpu_operator.spec import API_VERSION as DRIVER_API
from gpu_operator.spec import UNSUPPORTED, DriverSpec
from nfd_lite.rules.model import Op
from nfd_lite.topology.node_topology import API_VERSION as TOPOLOGY_API
from node_core.domain.features import Features
from node_core.domain.node_feature import API_VERSION, NodeFeature, render_node_feature
from node_core.domain.taints import EFFECTS
from node_core.schema import item_type, struct_of
from simulation.apiserver.resources import resource_named
from tests.gpu_operator.feature_groups.objects import group

ROOT = Path(__file__).parent.parent / "manifests" / "crds"
TYPES: dict[str, type] = {"object": dict, "array": list, "string": str, "integer": int}


def read(name: str) -> dict[str, Any]:
    found: dict[str, Any] = yaml.safe_load((ROOT / f"{name}.yaml").read_text())
    return found


def schema_of(crd: dict[str, Any]) -> dict[str, Any]:
    found: dict[str, Any] = crd["spec"]["versions"][0]["schema"]["openAPIV3Schema"]
    return found


@pytest.fixture(scope="module")
def crd() -> dict[str, Any]:
    return read("nodefeature")


@pytest.fixture(scope="module")
def rule_crd() -> dict[str, Any]:
    return read("nodefeaturerule")


def problems(value: Any, schema: dict[str, Any], path: str = "") -> list[str]:
    """Returns the fields that the API server would refuse or silently drop."""
    if schema.get("x-kubernetes-int-or-string"):
        is_valid = isinstance(value, int) or (isinstance(value, str) and re.search(schema["pattern"], value))
        return [] if is_valid else [f"{path} is not a quantity"]
    if not isinstance(value, TYPES[schema["type"]]):
        return [f"{path} is not of the type {schema['type']}"]
    if "enum" in schema and value not in schema["enum"]:
        return [f"{path} is not one of {', '.join(schema['enum'])}"]
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


def test_only_the_kustomization_of_the_crds_lists_the_crds() -> None:
    files = {path.name for path in ROOT.iterdir()} - {"kustomization.yaml"}
    assert set(yaml.safe_load((ROOT / "kustomization.yaml").read_text())["resources"]) == files
    assert "../crds" not in (ROOT.parent / "base" / "kustomization.yaml").read_text()


@pytest.mark.parametrize(
    ("file", "api"),
    [
        ("nodefeature", API_VERSION),
        ("nodefeaturerule", API_VERSION),
        ("noderesourcetopology", TOPOLOGY_API),
        ("nodefeaturegroup", API_VERSION),
        ("nvidiadriver", DRIVER_API),
    ],
)
def test_the_crd_has_the_names_scope_and_version_that_the_agents_use(file: str, api: str) -> None:
    crd = read(file)
    names, (version,) = crd["spec"]["names"], crd["spec"]["versions"]
    assert (crd["apiVersion"], crd["kind"]) == ("apiextensions.k8s.io/v1", "CustomResourceDefinition")
    assert crd["metadata"]["name"] == f"{names['plural']}.{crd['spec']['group']}"
    assert f"{crd['spec']['group']}/{version['name']}" == api
    assert (version["served"], version["storage"]) == (True, True)
    resource = resource_named(crd["metadata"]["name"])
    assert (names["kind"], names["listKind"]) == (resource.kind, f"{resource.kind}List")
    assert (tuple(names.get("shortNames", ())), crd["spec"]["scope"] == "Namespaced") == (
        resource.short,
        resource.namespaced,
    )


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
def test_the_schema_accepts_everything_that_the_agents_publish(crd: dict[str, Any], features: Features) -> None:
    schema = schema_of(crd)
    wanted = NodeFeature(
        node_name="n",
        node_uid="u",
        labels={"nvidia.com/gpu.count": "8"},
        features=features,
        annotations={"example.com/a": "1"},
    )
    assert problems(render_node_feature(wanted, name="n", namespace="default"), schema) == []


def test_the_validation_detects_problems(crd: dict[str, Any]) -> None:
    schema = schema_of(crd)
    assert problems({}, schema) == [".spec is missing"]
    assert problems({"spec": {"labels": {"a": 1}, "feature": {}}}, schema) == [
        ".spec.labels.a is not of the type string",
        ".spec.feature is unknown",
    ]


TERM = {
    "feature": "pci.device",
    "matchExpressions": {"vendor": {"op": "In", "value": ["10de"]}},
    "matchName": {"op": "Exists"},
}
FULL_RULE = {
    "name": "all fields of a rule",
    "labels": {"a": "@pci.device.class"},
    "labelsTemplate": "{{ range .pci.device }}b-{{ .vendor }}=true\n{{ end }}",
    "annotations": {"c": "any text"},
    "vars": {"d": "1"},
    "varsTemplate": "e=2",
    "taints": [{"key": "example.com/f", "value": "1", "effect": effect} for effect in EFFECTS],
    "extendedResources": {"example.com/g": "1k"},
    "matchFeatures": [TERM, {"feature": "kernel.version"}],
    "matchAny": [{"matchFeatures": [TERM]}, {"matchFeatures": []}],
}


def test_the_schema_of_rules_accepts_every_field_of_a_rule(rule_crd: dict[str, Any]) -> None:
    body = {
        "apiVersion": API_VERSION,
        "kind": "NodeFeatureRule",
        "metadata": {"name": "r"},
        "spec": {"rules": [FULL_RULE, {"name": "bare"}]},
    }
    assert problems(body, schema_of(rule_crd)) == []
    fields = schema_of(rule_crd)["properties"]["spec"]["properties"]["rules"]["items"]["properties"]
    assert fields.keys() == FULL_RULE.keys()


@pytest.mark.parametrize("op", [*(op for op in Op if op), "Equals"])
def test_the_schema_accepts_exactly_the_operators_of_the_engine(rule_crd: dict[str, Any], op: str) -> None:
    for term in ({"matchExpressions": {"x": {"op": op, "type": "version"}}}, {"matchName": {"op": op, "value": []}}):
        rule = {"name": "r", "matchFeatures": [{"feature": "a.b", **term}]}
        for each in (rule, {"name": "r", "matchAny": [{"matchFeatures": rule["matchFeatures"]}]}):
            found = problems({"spec": {"rules": [each]}}, schema_of(rule_crd))
            assert bool(found) is (op == "Equals"), found


@pytest.mark.parametrize(
    ("rule", "problem"),
    [
        ({}, "name is missing"),
        ({"name": "r", "taints": [{"key": "a"}]}, "effect is missing"),
        ({"name": "r", "matchFeatures": [{}]}, "feature is missing"),
        ({"name": "r", "matchAny": [{}]}, "matchFeatures is missing"),
        ({"name": "r", "extendedResources": {"a": 1}}, "is not of the type string"),
        ({"name": "r", "label": {}}, "label is unknown"),
    ],
    ids=["name", "taint", "term", "any", "amount", "misspelt"],
)
def test_the_schema_refuses_invalid_rules(rule_crd: dict[str, Any], rule: dict[str, Any], problem: str) -> None:
    (found,) = problems({"spec": {"rules": [rule]}}, schema_of(rule_crd))
    assert problem in found


def schema_fields(struct: type[msgspec.Struct]) -> dict[str, Any]:
    """Returns the fields of a struct by name, with the fields of the structs below them."""
    return {
        each.encode_name: schema_fields(below)
        if (below := struct_of(each.type) or struct_of(item_type(each.type)))
        else None
        for each in msgspec.structs.fields(struct)
    }


def missing_fields(fields: dict[str, Any], schema: dict[str, Any], path: str) -> list[str]:
    inside = schema.get("items", schema).get("properties", {})
    missing = [f"{path}.{name}" for name in fields if name not in inside]
    below = [(name, each) for name, each in fields.items() if each and name in inside]
    return missing + [
        problem for name, each in below for problem in missing_fields(each, inside[name], f"{path}.{name}")
    ]


def test_the_schema_of_drivers_has_the_fields_that_gpu_operator_reads_and_no_other_field() -> None:
    spec = schema_of(read("nvidiadriver"))["properties"]["spec"]
    assert missing_fields(schema_fields(DriverSpec), spec, "spec") == []
    assert set(spec["properties"]) == set(schema_fields(DriverSpec)) | set(UNSUPPORTED)
    assert spec["x-kubernetes-preserve-unknown-fields"], "an unknown field is named in the status, not dropped"


def test_the_schema_of_groups_accepts_every_field_of_a_rule_and_what_the_controller_writes() -> None:
    schema = schema_of(read("nodefeaturegroup"))
    made = group(FULL_GROUP_RULE)
    written = render_status(made, plan_status(made, GroupResult(members=("a",), verdicts={})), "2026-01-01T00:00:00Z")
    body = {"metadata": {"name": "g"}, "spec": {"featureGroupRules": [FULL_GROUP_RULE]}, "status": written["status"]}
    assert problems(body, schema) == []
    fields = schema["properties"]["spec"]["properties"]["featureGroupRules"]["items"]["properties"]
    assert fields.keys() == set(RULE_FIELDS)
    assert fields == {
        key: each
        for key, each in schema_of(read("nodefeaturerule"))["properties"]["spec"]["properties"]["rules"]["items"][
            "properties"
        ].items()
        if key in RULE_FIELDS
    } | {"vars": fields["vars"]}


FULL_GROUP_RULE = {key: value for key, value in FULL_RULE.items() if key in RULE_FIELDS}
