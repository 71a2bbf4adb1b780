"""Merged and hidden features."""

import pytest

from node_core.domain.features import Features, exclude_features, merge_features

KINDS = Features.__struct_fields__
VALUES = {"flags": frozenset({"x"}), "attributes": {"x": "1"}, "instances": ({"x": "1"},)}
EMPTY = {"flags": frozenset[str](), "attributes": dict[str, str](), "instances": ()}


def make_features(kind: str, *names: str, value: object = None) -> Features:
    options = {kind: dict.fromkeys(names, VALUES[kind] if value is None else value)}
    return Features(**options)  # type: ignore[arg-type]


@pytest.mark.parametrize("kind", KINDS)
def test_a_later_part_replaces_a_feature_and_retains_others(kind: str) -> None:
    first = make_features(kind, "cpu.a", "cpu.b")
    later = make_features(kind, "cpu.b", "pci.c", value=EMPTY[kind])
    merged = getattr(merge_features((first, later)), kind)
    assert merged == {"cpu.a": VALUES[kind], "cpu.b": EMPTY[kind], "pci.c": EMPTY[kind]}
    assert getattr(merge_features((later, first)), kind)["cpu.b"] == VALUES[kind]


def test_features_of_the_same_name_and_different_kinds_are_separate() -> None:
    parts = tuple(make_features(kind, "local.feature") for kind in KINDS)
    assert merge_features(parts) == Features(**{kind: {"local.feature": VALUES[kind]} for kind in KINDS})  # type: ignore[arg-type]


def test_without_parts_no_feature_exists() -> None:
    assert merge_features(()) == Features()


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize(
    ("hidden", "shown"),
    [
        ((), {"cpu.a", "cpu.ab", "pci.a"}),
        (("cpu.a",), {"cpu.ab", "pci.a"}),
        (("cpu.a*",), {"pci.a"}),
        (("cpu.*", "pci.a"), set()),
        (("*",), set()),
        (("cpu",), {"cpu.a", "cpu.ab", "pci.a"}),
        (("a*", "*.a"), {"cpu.a", "cpu.ab", "pci.a"}),
    ],
    ids=[
        "nothing",
        "a name",
        "a prefix",
        "a prefix and a name",
        "everything",
        "a name without its suffix",
        "stars inside",
    ],
)
def test_names_and_prefixes_hide_features(kind: str, hidden: tuple[str, ...], shown: set[str]) -> None:
    features = exclude_features(make_features(kind, "cpu.a", "cpu.ab", "pci.a"), hidden)
    assert features == make_features(kind, *shown)


@pytest.mark.parametrize("kind", KINDS)
def test_a_feature_without_elements_remains_present(kind: str) -> None:
    empty = make_features(kind, "cpu.a", value=EMPTY[kind])
    assert exclude_features(merge_features((empty,)), ("cpu.b",)) == empty
