"""Which labels of a pod are exported, and under which names."""

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gpu_exporter.pods.labels import parse_label_pattern, render_label_name, select_labels

LABELS = {"app.kubernetes.io/name": "trainer", "team": "a", "1st": "x", "pod": "fake"}


def test_without_a_pattern_all_labels_are_selected_under_names_of_prometheus() -> None:
    assert select_labels(LABELS, ()) == {"app_kubernetes_io_name": "trainer", "team": "a", "_1st": "x", "pod": "fake"}


@pytest.mark.parametrize(
    ("patterns", "names"),
    [(["^team$"], ["team"]), (["kubernetes", "t"], ["_1st", "app_kubernetes_io_name", "team"]), (["^$"], [])],
)
def test_a_label_is_selected_if_a_pattern_matches_a_part_of_its_key(patterns: list[str], names: list[str]) -> None:
    assert sorted(select_labels(LABELS, [parse_label_pattern(each) for each in patterns])) == names


def test_a_label_never_replaces_a_reserved_one_or_another_of_the_same_name() -> None:
    assert select_labels(LABELS, (), reserved={"pod", "team"}).keys() == {"app_kubernetes_io_name", "_1st"}
    assert select_labels({"a.b": "dot", "a-b": "dash", "a/b": "slash"}, ()) == {"a_b": "dash"}


@pytest.mark.parametrize("text", ["(", "a**", "\ud800", "(?<=a)b"])
def test_a_pattern_that_is_none_is_an_error_with_the_pattern(text: str) -> None:
    with pytest.raises(ValueError, match="is not a regular expression: "):
        parse_label_pattern(text)


@given(st.text())
def test_every_key_has_a_name_that_prometheus_accepts(key: str) -> None:
    assert re.fullmatch("[a-zA-Z_][a-zA-Z0-9_]*", render_label_name(key))
