"""Label syntax, sanitising, and the law that an error never removes a label."""

import string

import pytest
from hypothesis import given
from hypothesis import strategies as st

from node_core.domain.labels import (
    Collected,
    key_problem,
    merge_collected,
    sanitize,
    settle,
    split_valid,
    value_problem,
)

KEYS = st.text(string.ascii_lowercase, min_size=1, max_size=4).map(lambda name: f"x/{name}")
LABELS = st.dictionaries(KEYS, st.text(string.ascii_letters, max_size=4), max_size=6)


@pytest.mark.parametrize(
    "key",
    ["a", "nvidia.com/gpu.count", "feature.node.kubernetes.io/cpu-cpuid.AVX512F", "A_b-c.d", "x/" + "n" * 63],
)
def test_a_key_that_kubernetes_takes_has_no_problem(key: str) -> None:
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
def test_a_key_that_kubernetes_refuses_says_why(key: str, part: str) -> None:
    assert part in (key_problem(key) or "")


def test_the_empty_value_is_taken_and_a_long_or_odd_one_refused() -> None:
    assert value_problem("") is None
    assert value_problem("v" * 63) is None
    assert "64 characters" in (value_problem("v" * 64) or "")
    assert "must begin" in (value_problem("tab\t") or "")
    assert "must begin" in (value_problem("ünï") or "")


def test_what_would_be_refused_is_left_out_and_the_rest_goes_on() -> None:
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
def test_names_are_written_as_gpu_feature_discovery_writes_them(text: str, expected: str) -> None:
    assert sanitize(text) == expected


@given(st.text(max_size=200))
def test_every_sanitised_name_is_a_label_value(text: str) -> None:
    assert value_problem(sanitize(text)) is None


def test_a_failed_collector_keeps_its_own_keys_and_no_others() -> None:
    failed = Collected(name="nvml", labels=None, owns=("x/gpu",))
    fine = Collected(name="machine", labels={"x/machine": "new"}, owns=("x/machine",))
    known = {"x/gpu.count": "8", "x/machine": "old", "x/foreign": "1"}
    assert merge_collected([failed, fine], known) == {"x/gpu.count": "8", "x/machine": "new"}


def test_a_successful_look_that_finds_nothing_removes_its_labels() -> None:
    assert merge_collected([Collected(name="nvml", labels={}, owns=("x/",))], {"x/gpu": "1"}) == {}


@given(LABELS, LABELS)
def test_merging_is_idempotent_under_failure(labels: dict[str, str], known: dict[str, str]) -> None:
    parts = [Collected(name="a", labels=labels, owns=("x/a",)), Collected(name="b", labels=None, owns=("x/",))]
    once = merge_collected(parts, known)
    assert merge_collected(parts, once) == once
    assert known.keys() <= once.keys()


def test_a_failed_collector_of_free_keys_keeps_what_no_other_collector_owns() -> None:
    failed = Collected(name="local", labels=None, rest=True)
    fine = Collected(name="cpu", labels={"x/cpu": "new"}, owns=("x/cpu",))
    known = {"x/cpu": "old", "x/cpu-gone": "1", "vendor.io/mine": "2"}
    assert merge_collected([fine, failed], known) == {"x/cpu": "new", "vendor.io/mine": "2"}


def test_what_is_found_wins_over_free_keys_that_are_kept() -> None:
    rules = Collected(name="rules", labels={"vendor.io/mine": "3"}, rest=True)
    failed = Collected(name="local", labels=None, rest=True)
    assert merge_collected([rules, failed], {"vendor.io/mine": "2"}) == {"vendor.io/mine": "3"}


def test_a_volatile_key_alone_causes_no_change() -> None:
    known = {"time": "1", "count": "8"}
    assert settle({"time": "2", "count": "8"}, known, frozenset({"time"})) == known
    assert settle({"time": "2", "count": "7"}, known, frozenset({"time"})) == {"time": "2", "count": "7"}
    assert settle({"time": "2"}, {}, frozenset({"time"})) == {"time": "2"}
