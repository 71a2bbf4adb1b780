"""Label syntax, sanitising, and labels that alone cause no write."""

import string

import pytest
from hypothesis import given
from hypothesis import strategies as st

from node_core.domain.labels import (
    key_problem,
    namespace_problem,
    preserve_volatile,
    sanitize,
    split_valid,
    value_problem,
)

KEYS = st.text(string.ascii_lowercase, min_size=1, max_size=4).map(lambda name: f"x/{name}")
LABELS = st.dictionaries(KEYS, st.text(string.ascii_letters, max_size=4), max_size=6)


@pytest.mark.parametrize(
    "key",
    ["a", "nvidia.com/gpu.count", "feature.node.kubernetes.io/cpu-cpuid.AVX512F", "A_b-c.d", "x/" + "n" * 63],
)
def test_a_valid_key_has_no_problem(key: str) -> None:
    assert key_problem(key) is None


@pytest.mark.parametrize(
    ("key", "part"),
    [
        ("", "must begin"),
        ("/name", "DNS subdomain"),
        ("UPPER.com/name", "DNS subdomain"),
        ("a..b/name", "DNS subdomain"),
        ("p" * 254 + "/name", "DNS subdomain"),
        ("x/", "must begin"),
        ("x/-name", "must begin"),
        ("x/na me", "must begin"),
        ("x/name\n", "must begin"),
        ("x/" + "n" * 64, "64 characters"),
        ("a/b/c", "DNS subdomain"),
    ],
)
def test_an_invalid_key_has_a_problem(key: str, part: str) -> None:
    assert part in (key_problem(key) or "")


@pytest.mark.parametrize(
    "key",
    ["a", "example.com/a", "notk8s.io/a", "feature.node.kubernetes.io/a", "x.feature.node.kubernetes.io/a"],
)
def test_rules_may_use_other_domains_and_the_namespaces_for_features(key: str) -> None:
    assert namespace_problem(key) is None


@pytest.mark.parametrize("namespace", ["kubernetes.io", "node.kubernetes.io", "k8s.io", "x.k8s.io"])
def test_the_namespaces_of_kubernetes_are_reserved(namespace: str) -> None:
    assert f"its namespace '{namespace}' belongs to Kubernetes" in (namespace_problem(f"{namespace}/a") or "")


def test_an_empty_value_is_valid_and_a_long_or_malformed_value_is_not() -> None:
    assert value_problem("") is None
    assert value_problem("v" * 63) is None
    assert "64 characters" in (value_problem("v" * 64) or "")
    assert "must begin" in (value_problem("tab\t") or "")
    assert "must begin" in (value_problem("ünï") or "")


def test_invalid_labels_are_separated_from_valid_labels() -> None:
    good, bad = split_valid({"b/x": "1", "a/x": "no way", "bad key": "1"})
    assert good == {"b/x": "1"}
    assert [label.key for label in bad] == ["a/x", "bad key"]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("NVIDIA-TITAN-X-(Pascal)", "NVIDIA-TITAN-X-Pascal"),
        ("some ( thing )else", "some-thing-else"),
        ("some(thing)else", "somethingelse"),
        ("some / thing /else", "some-thing-else"),
        (" input  with multiple   spaces   ", "input-with-multiple-spaces"),
        ("tab\tinside", "tabinside"),
        ("-._", ""),
        ("x" * 70, "x" * 63),
        ("x" * 62 + "-tail", "x" * 62),
    ],
)
def test_names_are_sanitized_like_in_gpu_feature_discovery(text: str, expected: str) -> None:
    assert sanitize(text) == expected


@given(st.text(max_size=200))
def test_every_sanitized_name_is_a_valid_label_value(text: str) -> None:
    assert value_problem(sanitize(text)) is None


def test_a_change_of_only_a_volatile_key_is_ignored() -> None:
    known = {"time": "1", "count": "8"}
    assert preserve_volatile({"time": "2", "count": "8"}, known, frozenset({"time"})) == known
    assert preserve_volatile({"time": "2", "count": "7"}, known, frozenset({"time"})) == {"time": "2", "count": "7"}
    assert preserve_volatile({"time": "2"}, {}, frozenset({"time"})) == {"time": "2"}
