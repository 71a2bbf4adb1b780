"""Hostile YAML ends in a sentence, at once."""

from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nfd_lite.rules.documents import MAX_TEXT, parse_documents
from node_core.errors import SettingsError

BOMB = "a: &a [x, x]\n" + "".join(
    f"{new}: &{new} [*{old}, *{old}]\n" for old, new in zip("abcdefgh", "bcdefghi", strict=True)
)


def test_documents_in_their_order_without_empty_ones() -> None:
    assert parse_documents("a: 1\n---\n---\n- b\n---\nc\n...\n", "f") == ({"a": 1}, ["b"], "c")
    assert parse_documents('{"a": ["b", null]}', "f") == ({"a": ["b", None]},)
    assert parse_documents("# nothing\n", "f") == ()


@pytest.mark.parametrize(
    ("text", "why"),
    [
        pytest.param(BOMB, "f: line 2: an alias (*) is not taken here", id="aliases"),
        pytest.param("a: &a\n  b: *a", "f: line 2: an alias", id="a loop"),
        pytest.param("a: !!python/object:os.system []", "f: line 1: a tag (!) is not taken here", id="a tag of Python"),
        pytest.param("a: !!binary x", "a tag (!) is not taken here", id="a tag of YAML"),
        pytest.param("[" * 200, "f: line 1: nested deeper than 100 levels", id="depth"),
        pytest.param("[" * 200_000, "nested deeper than 100 levels", id="much depth"),
        pytest.param("- " * 200 + "x", "nested deeper than 100 levels", id="depth of blocks"),
        pytest.param("? " * 200 + "x", "nested deeper than 100 levels", id="depth of keys"),
        pytest.param("x" * (MAX_TEXT + 1), "f: is larger than 1048576 characters", id="size"),
        pytest.param("a: 1\na: 2", "the key 'a' is there twice", id="a key twice"),
        pytest.param("- {b: {a: 1, 'a': 2}}", "the key 'a' is there twice", id="a key twice below"),
        pytest.param("a: [", "f: ", id="no end"),
        pytest.param("\x00", "f: ", id="a control character"),
        pytest.param("? [a]\n: b", "unhashable key", id="a list for a key"),
        pytest.param("a: 2026-13-45", "f: month must be in 1..12", id="a date that is none"),
        pytest.param("a: " + "1" * 5000, "f: Exceeds the limit", id="a number without end"),
        pytest.param("a: =", "could not determine a constructor", id="a value of YAML 1.1"),
        pytest.param("\ud800", "f: ", id="half of a character"),
    ],
)
def test_a_text_that_is_refused(text: str, why: str) -> None:
    with pytest.raises(SettingsError) as raised:
        parse_documents(text, "f")
    assert why in str(raised.value)


def test_many_keys_are_read() -> None:
    (document,) = parse_documents("".join(f"key{number}: x\n" for number in range(20_000)), "f")
    assert len(document) == 20_000


@given(st.text() | st.text(alphabet="[]{}:,-?!&*<>=|'\"%@ \n\tab01_.~"))
def test_any_text_is_read_or_refused(text: str) -> None:
    with suppress(SettingsError):
        parse_documents(text, "f")
