"""Features from NodeFeature objects in files."""

import json

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from nfd_lite.rules.saved_features import parse_saved_features
from node_core.domain.features import Features
from node_core.domain.node_feature import NodeFeature, render_features, render_node_feature
from node_core.errors import SettingsError

FEATURES = Features(
    flags={"cpu.cpuid": frozenset({"AVX", "SSE"})},
    attributes={"kernel.version": {"full": "5.15.0", "major": "5"}, "cpu.rdt": {}},
    instances={"pci.device": ({"vendor": "10de"}, {}), "usb.device": ()},
)


@pytest.mark.parametrize("write", [yaml.safe_dump, json.dumps], ids=["yaml", "json"])
def test_an_object_and_its_features_have_the_same_result(write: type[str]) -> None:
    expected = NodeFeature(node_name="n", node_uid="u", labels={"x": "1"}, features=FEATURES)
    whole = render_node_feature(expected, name="n", namespace="default")
    assert parse_saved_features(write(render_features(FEATURES)), "f") == FEATURES
    assert parse_saved_features(write(whole), "f") == FEATURES


@pytest.mark.parametrize("text", ["{}", "flags: {}\nattributes:\ninstances: {}", "spec: {features: {}}"])
def test_an_empty_object_has_no_features(text: str) -> None:
    assert parse_saved_features(text, "f") == Features()


@pytest.mark.parametrize(
    ("text", "problems"),
    [
        ("", ["expected one document with the features of a node, got 0"]),
        ("{}\n---\n{}", ["expected one document with the features of a node, got 2"]),
        ("[]", ["the document: expected a mapping, got a list"]),
        ("flag: {}", ["flag: unknown key (did you mean flags?)"]),
        ("spec: {}", ["spec.features: is missing"]),
        ("spec: ", ["spec: expected a mapping, got nothing"]),
        ("spec: {features: []}", ["spec.features: expected a mapping, got a list"]),
        ("flags: {a.b: [x]}", ["flags.a.b: expected a mapping, got a list"]),
        ("flags: {a.b: {x: {}}}", ["flags.a.b.x: unknown key", "flags.a.b.elements: is missing"]),
        (
            "attributes: {a.b: {elements: {x: 1, y: yes}}}",
            [
                "attributes.a.b.elements.x: expected text, got the number 1: put the value in quotes",
                "attributes.a.b.elements.y: expected text, got the boolean true: put the value in quotes",
            ],
        ),
        (
            "instances: {a.b: {elements: [{x: y}]}}",
            ["instances.a.b.elements[0].x: unknown key", "instances.a.b.elements[0].attributes: is missing"],
        ),
    ],
)
def test_every_problem_is_told_with_its_path(text: str, problems: list[str]) -> None:
    with pytest.raises(SettingsError) as raised:
        parse_saved_features(text, "f")
    assert list(raised.value.problems) == [f"f: {problem}" for problem in problems]


WORD = st.text(min_size=1).filter(lambda text: text.isprintable())
VALUES = st.dictionaries(WORD, WORD, max_size=3)


@given(
    st.builds(
        Features,
        flags=st.dictionaries(WORD, st.frozensets(WORD, max_size=3), max_size=3),
        attributes=st.dictionaries(WORD, VALUES, max_size=3),
        instances=st.dictionaries(WORD, st.lists(VALUES, max_size=3).map(tuple), max_size=3),
    )
)
def test_rendered_features_are_parsed_back(features: Features) -> None:
    assert parse_saved_features(yaml.safe_dump(render_features(features), allow_unicode=True), "f") == features
