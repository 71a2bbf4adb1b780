"""Sentences about values that do not match a schema, and hints for keys in the wrong place."""

import datetime as dt
from enum import StrEnum
from typing import Annotated, Any, Literal

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec import Meta

from node_core.decode import decode_struct
from node_core.errors import SettingsError
from node_core.schema import mismatch, without_nulls


class Color(StrEnum):
    RED = "red"


class Item(msgspec.Struct, frozen=True):
    name: str
    size: Annotated[int, Meta(ge=1)] = 1


class Section(msgspec.Struct, frozen=True):
    items: list[Item] = []
    deep: bool = False
    anything: Any = None


class File(msgspec.Struct, frozen=True):
    first: Section = Section()
    second: Section = Section()
    only: str = ""
    colors: dict[Annotated[int, Meta(ge=1)], Color] = {}
    words: str | list[str] = ""


def problems(data: object) -> list[str]:
    with pytest.raises(SettingsError) as caught:
        decode_struct(data, File, source="f")
    return [each.removeprefix("f: ") for each in caught.value.problems]


@pytest.mark.parametrize(
    ("value", "into", "sentence"),
    [
        ("4", int, "must be a whole number, found the text '4'. Remove the quotes"),
        ("four", int | None, "must be a whole number, found the text 'four'"),
        (4.5, int, "must be a whole number, found the number 4.5"),
        (True, int, "must be a whole number, found the boolean true"),
        ("true", bool, "must be true or false, found the text 'true'. Remove the quotes"),
        (300, str, "must be text, found the number 300. Put the value in quotes"),
        (True, str, "must be text, found the boolean true. Put the value in quotes"),
        (dt.date(2024, 1, 2), str, "must be text, found the date 2024-01-02"),
        ("", int, "must be a whole number, found an empty text"),
        ([1], str, "must be text, found a list"),
        ({"a": 1}, list[str], "must be a list, found a mapping"),
        ("a", dict[str, str] | None, "must be a mapping, found the text 'a'"),
        ("mixd", Literal["none", "mixed"], "must be none or mixed, found the text 'mixd' (did you mean mixed?)"),
        (1, Literal[0], "must be 0, found the number 1"),
        ("rde", Color, "must be red, found the text 'rde' (did you mean red?)"),
        ("x", Literal["none"] | list[str], "must be none or a list, found the text 'x'"),
        (0, Annotated[int, Meta(ge=1)], "must be a whole number from 1 up, found the number 0"),
        (99, Annotated[int, Meta(ge=1, le=64)], "must be a whole number from 1 to 64, found the number 99"),
        (9, Annotated[int, Meta(ge=0, lt=8)], "must be a whole number from 0 to 7, found the number 9"),
        (-1.5, Annotated[float, Meta(gt=0)], "must be a number above 0, found the number -1.5"),
        ("x", Annotated[int, Meta(ge=1)], "must be a whole number from 1 up, found the text 'x'"),
        ("", Annotated[str, Meta(min_length=1)], "must not be empty"),
        ("abc", Annotated[str, Meta(max_length=2)], "must have at most 2 characters, but has 3"),
        ("x", Annotated[str, Meta(pattern="^y$", description="a y")], "must be a y, found the text 'x'"),
        (5, Annotated[str, Meta(pattern="^y$", description="a y")], "must be a y, found the number 5. Put the value in quotes"),
    ],
    ids=str,
)  # fmt: skip
def test_the_error_for_a_mismatch_contains_the_expected_type_the_value_and_a_hint(
    value: object, into: Any, sentence: str
) -> None:
    assert mismatch(value, into) == sentence


def test_a_problem_names_the_item_of_a_list_and_the_key_of_a_mapping() -> None:
    assert problems({"first": {"items": [{"name": "a"}, {"name": 2}]}, "colors": {1: "red", 0: "blue"}, "words": ["a", 2]}) == [
        "first.items[1].name: must be text, found the number 2. Put the value in quotes",
        "colors.0: this key must be a whole number from 1 up, found the number 0",
        "colors.0: must be red, found the text 'blue'",
        "words[1]: must be text, found the number 2. Put the value in quotes",
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("data", "problem"),
    [
        ({"first": {"only": "x"}}, "first.only: unknown key. It belongs in the top level of the file"),
        ({"size": 2}, "size: unknown key. It belongs in `first.items[]` or `second.items[]`"),
        ({"deep": True}, "deep: unknown key. It belongs in `first` or `second`"),
        ({"Only": "x"}, "Only: unknown key (did you mean only?)"),
        ({"frist": {}}, "frist: unknown key (did you mean first?)"),
        ({"deeep": True}, "deeep: unknown key (did you mean first.deep?)"),
        ({"first": {"itmes": []}}, "first.itmes: unknown key (did you mean items?)"),
        ({"first": {"colours": {}}}, "first.colours: unknown key (did you mean colors at the top level of the file?)"),
        ({"zzz": 1}, "zzz: unknown key"),
        ({"deepest": 1}, "deepest: unknown key"),
    ],
)
def test_an_unknown_key_has_a_hint_from_the_whole_schema(data: object, problem: str) -> None:
    assert problems(data) == [problem]


@pytest.mark.parametrize(
    ("kind", "where"),
    [("ConfigMap", "one key of its `data`"), ("NodeFeatureDiscovery", "its `spec.workerConfig.configData`")],
)
def test_an_object_in_place_of_the_file_that_it_contains_is_one_problem(kind: str, where: str) -> None:
    data = {"apiVersion": "v1", "kind": kind, "metadata": {"name": "c"}, "data": {"config.yaml": "first: {}"}}
    assert problems(data) == [f"is a {kind}. Write the text of {where} to the file"]


def test_null_is_absent_everywhere() -> None:
    data = {
        "first": None, "second": {"items": None, "deep": None}, "only": None, "colors": {1: None}, "words": None,
    }  # fmt: skip
    assert decode_struct(data, File, source="f") == File()
    assert decode_struct({"first": {"items": [{"name": "a", "size": None}]}}, File, source="f").first.items == [
        Item(name="a")
    ]
    assert problems({"first": {"items": [{"name": None}]}}) == ["first.items[0].name: is missing"]
    assert problems({"first": {"items": [None]}}) == ["first.items[0]: expected a mapping, got nothing"]


def test_a_null_in_a_value_of_any_type_stays() -> None:
    assert without_nulls({"first": {"anything": {"x": None}}}, File) == {"first": {"anything": {"x": None}}}


VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=4),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(["first", "items", "name", "size", "only", "colors", "words"]), inner, max_size=3
        )
    ),
    max_leaves=10,
)


@given(VALUES)
def test_the_message_of_a_library_is_never_shown(data: object) -> None:
    try:
        decode_struct(data, File, source="f")
    except SettingsError as error:
        assert not any("`int`" in each or "`str`" in each or "Expected" in each for each in error.problems)  # noqa: PT017
