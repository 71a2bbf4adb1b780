"""Any text parses or raises TemplateError. Any template with any data renders within the limits or raises TemplateError."""

from contextlib import suppress
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from gotemplate.errors import TemplateError
from gotemplate.functions import FUNCTIONS
from gotemplate.run import Limits
from gotemplate.template import parse_template
from tests.exhaustive import many

LIMITS = Limits(steps=2000, size=5000)

values = st.recursive(
    st.none() | st.booleans() | st.integers(-(1 << 63), (1 << 63) - 1) | st.floats() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.sampled_from("abxy"), inner, max_size=4),
    max_leaves=12,
)
data = st.dictionaries(st.sampled_from("abxy"), values, max_size=4)
LANGUAGE = """{{ }} {{- -}} {{/* */}} ( ) | . , = := $ $x .a .b.x if else end range with define template block break continue nil true
    "a" `b` 'c' 1 -2 0x1F 1.5 1e3 "%d" "%5.2f %v %q" "2006-01-02" "1h" "(a|b)*" ">=1.2 <2" and or"""
pieces = st.sampled_from([*LANGUAGE.split(), "\n", " ", "text", "é", "\x00", "\udc80"])
words = pieces | st.sampled_from(sorted(FUNCTIONS))
scalars = st.sampled_from(
    ["1", "-1", "0", "1.5", '"a"', '"2"', '"é x"', '""', "true", ".a", ".b", ".x", ".y", "nil", "$", "(list 1 .a)"]
)


def render(text: str, value: dict[str, Any]) -> None:
    with suppress(TemplateError):
        assert len(parse_template(text).render(value, LIMITS)) <= LIMITS.size


@given(st.text(max_size=60), data)
def test_any_text_renders_or_raises_a_template_error(text: str, value: dict[str, Any]) -> None:
    render(text, value)
    render("{{" + text + "}}", value)


@many(400)
@given(st.lists(words, max_size=25), data)
def test_any_sequence_of_words_renders_or_raises_a_template_error(chosen: list[str], value: dict[str, Any]) -> None:
    render(" ".join(chosen), value)
    render("{{ range $k, $v := . }}{{ " + " ".join(chosen) + " }}{{ end }}", value)


@many(600)
@given(st.sampled_from(sorted(FUNCTIONS)), st.lists(scalars, max_size=5), data)
def test_any_function_with_any_arguments_returns_or_raises_a_template_error(
    name: str, arguments: list[str], value: dict[str, Any]
) -> None:
    render("{{ " + " ".join([name, *arguments]) + " }}", {"a": None, "b": "b", "x": [1], "y": {"a": "b"}} | value)


@given(values)
def test_json_that_is_parsed_and_written_again_is_equal(value: Any) -> None:
    template = parse_template("{{ $j := toJson .v }}{{ eq $j (mustFromJson $j | toJson) }}")
    with suppress(TemplateError):
        assert template.render({"v": value}) == "true" or _has_large_integers(value)


def _has_large_integers(value: Any) -> bool:
    """As in Go, integers that do not fit in a float64 change."""
    if isinstance(value, dict):
        return any(map(_has_large_integers, value.values()))
    if isinstance(value, list):
        return any(map(_has_large_integers, value))
    return isinstance(value, int) and abs(value) > 1 << 53


@given(st.text(max_size=40))
def test_an_encoded_text_is_equal_after_decoding(text: str) -> None:
    template = parse_template("{{ b64enc .s | b64dec }}{{ b32enc .s | b32dec }}")
    assert template.render({"s": text}) == text * 2


@given(st.text(max_size=40), st.integers(0, 40))
def test_the_two_parts_of_a_cut_string_join_to_the_same_string(text: str, at: int) -> None:
    at = min(at, len(text.encode()))
    template = parse_template(f"{{{{ slice .s 0 {at} }}}}{{{{ slice .s {at} }}}}")
    assert template.render({"s": text}) == text
