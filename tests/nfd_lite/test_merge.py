"""NodeFeature objects of other writers, merged in NFD's order. Each invalid entry is left out alone."""

from collections.abc import Mapping
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nfd_lite.merge import (
    MAX_ELEMENTS,
    MAX_PROBLEMS,
    MAX_VALUE_LENGTH,
    MergeResult,
    NodeContext,
    NodeFeatureReader,
    is_sound,
    merge_node_features,
)
from node_core.domain.features import Attributes, Features
from node_core.domain.labels import key_problem, value_problem
from node_core.domain.node_feature import VERSION_ANNOTATION

CONTEXT = NodeContext(node_name="n1", namespace="gpunode")


def resolve_label(key: str, value: str, attributes: Mapping[str, Attributes]) -> str:
    """A short form of the validation of labels."""
    if "kubernetes.io" in key and not key.startswith("feature.node.kubernetes.io/"):
        raise ValueError("its namespace belongs to Kubernetes")
    if value.startswith("@"):
        feature, _, element = value[1:].rpartition(".")
        value = attributes.get(feature, {}).get(element, "no such attribute")
    if problem := key_problem(key) or value_problem(value):
        raise ValueError(problem)
    return value


def obj(name: str = "theirs", namespace: str = "default", **spec: Any) -> dict[str, Any]:
    return {"metadata": {"name": name, "namespace": namespace}, "spec": spec}


def attributes(**values: Any) -> dict[str, Any]:
    return {"attributes": {"x.y": {"elements": values}}}


def merge(*objects: Mapping[str, Any], own: Features | None = None) -> MergeResult:
    return merge_node_features(own or Features(), objects, context=CONTEXT, resolve_label=resolve_label)


def test_empty_objects_do_not_change_the_features() -> None:
    own = Features(flags={"cpu.cpuid": frozenset({"AVX"})})
    assert merge(own=own) == MergeResult(features=own, labels={})
    assert merge(obj(), {"metadata": {"name": "bare"}}, own=own) == MergeResult(features=own, labels={})


def test_flags_are_united_attributes_replaced_and_instances_appended() -> None:
    own = Features(
        flags={"cpu.cpuid": frozenset({"AVX"})},
        attributes={"x.y": {"a": "ours", "b": "ours"}},
        instances={"pci.device": ({"vendor": "10de"},)},
    )
    theirs = {
        "flags": {"cpu.cpuid": {"elements": {"SSE": {}}}, "fpga.card": {"elements": {}}},
        "attributes": {"x.y": {"elements": {"b": "theirs"}}},
        "instances": {"pci.device": {"elements": [{"attributes": {"vendor": "8086"}}]}},
    }
    assert merge(obj(features=theirs), own=own) == MergeResult(
        features=Features(
            flags={"cpu.cpuid": frozenset({"AVX", "SSE"}), "fpga.card": frozenset()},
            attributes={"x.y": {"a": "ours", "b": "theirs"}},
            instances={"pci.device": ({"vendor": "10de"}, {"vendor": "8086"})},
        ),
        labels={},
    )


def test_objects_are_merged_by_own_namespace_name_and_namespace() -> None:
    objects = [
        obj("b", "a-space", features=attributes(v="4"), labels={"l": "4"}),
        obj("z", "gpunode", features=attributes(v="1"), labels={"l": "1"}),
        obj("a", "z-space", features=attributes(v="3"), labels={"l": "3"}),
        obj("a", "b-space", features=attributes(v="2"), labels={"l": "2"}),
    ]
    for count in range(1, 5):
        merged = merge(*(each for each in objects if int(each["spec"]["labels"]["l"]) <= count))
        assert merged.features.attributes == {"x.y": {"v": str(count)}}
        assert merged.labels == {"feature.node.kubernetes.io/l": str(count)}


def test_labels_get_the_default_prefix_and_a_full_key_takes_precedence() -> None:
    said = {"a": "bare", "feature.node.kubernetes.io/a": "full", "vendor.com/b": "1"}
    assert merge(obj(labels=said)).labels == {"feature.node.kubernetes.io/a": "full", "vendor.com/b": "1"}


def test_a_label_can_refer_to_an_attribute_of_any_object() -> None:
    merged = merge(obj("a", labels={"l": "@x.y.v"}), obj("b", features=attributes(v="7")))
    assert merged.labels == {"feature.node.kubernetes.io/l": "7"}


def test_a_refused_label_is_reported_and_does_not_replace_an_earlier_label() -> None:
    merged = merge(
        obj("a", labels={"vendor.com/l": "good"}),
        obj("b", labels={"vendor.com/l": "not a value", "kubernetes.io/os": "plan9", "fine": "1"}),
    )
    assert merged.labels == {"vendor.com/l": "good", "feature.node.kubernetes.io/fine": "1"}
    assert [(each.object, each.where) for each in merged.problems] == [
        ("default/b", "spec.labels.kubernetes.io/os"),
        ("default/b", "spec.labels.vendor.com/l"),
    ]


def test_only_the_object_of_an_nfd_worker_is_ignored() -> None:
    workers = obj("n1", "node-feature-discovery", features=attributes(v="old"))
    workers["metadata"]["annotations"] = {VERSION_ANNOTATION: "v0.19.0"}
    assert merge(workers).features == Features()
    assert merge(obj("n1", features=attributes(v="new"))).features.attributes == {"x.y": {"v": "new"}}


@pytest.mark.parametrize(
    ("features", "where"),
    [
        ("text", "spec.features"),
        ({"flags": []}, "spec.features.flags"),
        ({"flags": {"a.b": 5}}, "spec.features.flags.a.b"),
        ({"flags": {"a.b": {"elements": "x"}}}, "spec.features.flags.a.b.elements"),
        ({"flags": {"": {"elements": {}}}}, "spec.features.flags"),
        ({"flags": {"a.b": {"elements": {"x" * 254: {}}}}}, "spec.features.flags.a.b.elements"),
        ({"flags": {"a.b": {"elements": {"x\ny": {}}}}}, "spec.features.flags.a.b.elements"),
        ({"attributes": {"a.b": {"elements": {"k": 5}}}}, "spec.features.attributes.a.b.elements.k"),
        ({"attributes": {"a.b": {"elements": {"k": "v" * 4097}}}}, "spec.features.attributes.a.b.elements.k"),
        ({"attributes": {"rule.matched": {"elements": {"k": "v"}}}}, "spec.features.attributes.rule.matched"),
        ({"attributes": {"Rule.Matched": {"elements": {"k": "v"}}}}, "spec.features.attributes.Rule.Matched"),
        ({"instances": {"a.b": {"elements": {}}}}, "spec.features.instances.a.b.elements"),
        ({"instances": {"a.b": {"elements": [5]}}}, "spec.features.instances.a.b.elements[0]"),
        (
            {"instances": {"a.b": {"elements": [{"attributes": {"k": None}}]}}},
            "spec.features.instances.a.b.elements[0].attributes.k",
        ),
    ],
    ids=[
        "features no map", "flags no map", "feature no map", "elements no map", "empty name", "long name", "line break",
        "value no string", "long value", "spoofed rule", "spoofed rule in capitals", "instances no list",
        "instance no map", "null",
    ],
)  # fmt: skip
def test_invalid_entries_are_left_out_alone(features: Any, where: str) -> None:
    merged = merge(obj("odd", features=features, labels={"l": "1"}), obj("sound", features=attributes(v="1")))
    assert [(each.object, each.where) for each in merged.problems] == [("default/odd", where)]
    assert merged.features.attributes["x.y"] == {"v": "1"}
    assert merged.labels == {"feature.node.kubernetes.io/l": "1"}
    assert MAX_VALUE_LENGTH == 4096


def test_an_object_with_too_many_elements_is_ignored_alone() -> None:
    much = {str(number): "" for number in range(MAX_ELEMENTS)}
    merged = merge(obj("a", features=attributes(**much)), obj("b", features=attributes(v="1")))
    assert merged.features.attributes == {"x.y": {"v": "1"}}
    assert [each.object for each in merged.problems] == ["default/a"]


def test_objects_beyond_the_total_limit_are_ignored() -> None:
    much: Any = {str(number): {} for number in range(MAX_ELEMENTS - 1)}
    objects = [obj(f"o{number:02}", features={"flags": {f"a.{number}": {"elements": much}}}) for number in range(12)]
    merged = merge(*objects)
    assert len(merged.features.flags) == 10
    assert [each.object for each in merged.problems] == ["default/o10", "default/o11"]


def test_many_problems_of_one_object_are_counted() -> None:
    merged = merge(obj(labels={f"k{number}": "not a value" for number in range(MAX_PROBLEMS + 5)}))
    assert len(merged.problems) == MAX_PROBLEMS + 1
    assert merged.problems[-1].why == "5 more problems"


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=12,
)
KEYS = st.sampled_from(["flags", "attributes", "instances", "elements", "labels", "a.b", "rule.matched"])
NEAR = st.recursive(JSON, lambda inner: st.dictionaries(KEYS, inner, max_size=4), max_leaves=20)


@given(st.dictionaries(st.sampled_from(["features", "labels"]), NEAR), NEAR)
def test_any_object_is_merged_into_valid_features_or_reported(spec: dict[str, Any], other: Any) -> None:
    merged = merge(obj(**spec), {"metadata": {"name": "other"}, "spec": other}, obj("sound", labels={"l": "1"}))
    assert merged.labels["feature.node.kubernetes.io/l"] == "1"
    assert all(key_problem(key) is None and value_problem(value) is None for key, value in merged.labels.items())
    texts = [
        *merged.features.attributes.values(),
        *(each for all_ in merged.features.instances.values() for each in all_),
    ]
    assert all(isinstance(value, str) for each in texts for value in each.values())
    assert "rule.matched" not in {*merged.features.attributes, *merged.features.flags, *merged.features.instances}


@given(st.dictionaries(st.text(max_size=3) | st.integers(), st.text(max_size=3) | st.integers(), max_size=3))
def test_a_map_is_checked_as_a_whole_as_its_elements_are(value: dict[Any, Any]) -> None:
    reader = NodeFeatureReader({"metadata": {"name": "x"}})
    valid = {
        key: each
        for key, each in value.items()
        if isinstance(key, str) and len(key) > 0 and key.isprintable() and isinstance(each, str)
    }
    assert reader._texts("w", value) == valid
    assert is_sound(value) is (bool(value) and valid == value)


@pytest.mark.parametrize(("name", "value", "is_valid"), [(253, 4096, True), (254, 1, False), (1, 4097, False)])
def test_the_lengths_of_a_map_are_limited(name: int, value: int, is_valid: bool) -> None:
    assert is_sound({"a": "b", "n" * name: "v" * value}) is is_valid
