"""Hostile YAML causes a short error without a delay."""

from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from node_core.decode import MAX_DEPTH, MAX_FILE, parse_documents
from node_core.errors import SettingsError

BOMB = "a: &a [x, x]\n" + "".join(
    f"{new}: &{new} [*{old}, *{old}]\n" for old, new in zip("abcdefgh", "bcdefghi", strict=True)
)


def test_documents_are_parsed_in_order_without_empty_documents() -> None:
    assert parse_documents("a: 1\n---\n---\n- b\n---\nc\n...\n", "f") == ({"a": 1}, ["b"], "c")
    assert parse_documents('{"a": ["b", null]}', "f") == ({"a": ["b", None]},)
    assert parse_documents("# nothing\n", "f") == ()


@pytest.mark.parametrize(
    ("text", "why"),
    [
        pytest.param(BOMB, "f: line 2: an alias (*) is not allowed here", id="aliases"),
        pytest.param("a: &a\n  b: *a", "f: line 2: an alias", id="a loop"),
        pytest.param(
            "a: !!python/object:os.system []", "f: line 1: a tag (!) is not allowed here", id="a tag of Python"
        ),
        pytest.param("a: !!binary x", "a tag (!) is not allowed here", id="a tag of YAML"),
        pytest.param("[" * 200, "f: line 1: nested deeper than 100 levels", id="depth"),
        pytest.param("[" * 200_000, "nested deeper than 100 levels", id="much depth"),
        pytest.param("- " * 200 + "x", "nested deeper than 100 levels", id="depth of blocks"),
        pytest.param("? " * 200 + "x", "nested deeper than 100 levels", id="depth of keys"),
        pytest.param("x" * (MAX_FILE + 1), "f: is larger than 1048576 characters", id="size"),
        pytest.param("a: 1\na: 2", "the key 'a' appears twice", id="a key twice"),
        pytest.param("- {b: {a: 1, 'a': 2}}", "the key 'a' appears twice", id="a key twice below"),
        pytest.param("a: [", "f: ", id="no end"),
        pytest.param("\x00", "f: ", id="a control character"),
        pytest.param("? [a]\n: b", "a list or a mapping cannot be a key", id="a list for a key"),
        pytest.param("a: 2026-13-45", "f: contains a date or a number that is not valid", id="a date that is none"),
        pytest.param("a: " + "1" * 5000, "f: contains a date or a number that is not valid", id="a number without end"),
        pytest.param("a: =", "`=` alone is not a value", id="a value of YAML 1.1"),
        pytest.param("\ud800", "f: ", id="half of a character"),
    ],
)
def test_an_unsafe_text_is_an_error(text: str, why: str) -> None:
    with pytest.raises(SettingsError) as raised:
        parse_documents(text, "f")
    assert why in str(raised.value)


def test_a_text_with_many_keys_is_parsed() -> None:
    (document,) = parse_documents("".join(f"key{number}: x\n" for number in range(20_000)), "f")
    assert len(document) == 20_000


@given(st.text() | st.text(alphabet="[]{}:,-?!&*<>=|'\"%@ \n\tab01_.~"))
def test_any_text_is_parsed_or_a_settings_error(text: str) -> None:
    with suppress(SettingsError):
        parse_documents(text, "f")


def test_the_maximum_nesting_is_exact() -> None:
    assert len(parse_documents("[" * MAX_DEPTH + "]" * MAX_DEPTH, "f")) == 1
    with pytest.raises(SettingsError):
        parse_documents("[" * (MAX_DEPTH + 1) + "]" * (MAX_DEPTH + 1), "f")
