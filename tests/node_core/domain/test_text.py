"""Text of users and programs in logs and terminals."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from node_core.domain.text import to_printable


@pytest.mark.parametrize("text", ["", "GPU-0 is lost: Xid 79.", "Grüße, 世界", "a?b"])
def test_printable_text_does_not_change(text: str) -> None:
    assert to_printable(text) == text


@pytest.mark.parametrize(
    ("text", "printable"),
    [
        ("a\nb\r\nc", "a?b??c"),
        ("\x1b[31mred\x07", "?[31mred?"),
        ("a\tb\x00", "a?b?"),
        ("a\u2028b\u0085c", "a?b?c"),
        ("\u202eabc\u200b", "?abc?"),
        ("\udcff", "?"),
    ],
    ids=["line breaks", "terminal", "tab and zero", "Unicode line breaks", "direction and no width", "not Unicode"],
)
def test_each_control_character_becomes_a_question_mark(text: str, printable: str) -> None:
    assert to_printable(text) == printable


@given(st.text())
def test_the_result_is_one_printable_line_of_the_same_length(text: str) -> None:
    printable = to_printable(text)
    assert printable.isprintable()
    assert len(printable) == len(text)
