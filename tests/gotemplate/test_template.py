"""The data, the threads and the text of `render`."""

import copy
from concurrent.futures import ThreadPoolExecutor
from types import MappingProxyType
from typing import Any

import pytest

from gotemplate.errors import TemplateError
from gotemplate.template import parse_template


def test_a_template_does_not_change_the_data_of_the_caller() -> None:
    data = {"d": {"a": {"b": "c"}, "l": [1]}}
    before = copy.deepcopy(data)
    change = '{{ $_ := set .d "x" 1 }}{{ $_ := unset .d.a "b" }}{{ $_ := set . "y" 2 }}{{ $_ := mergeOverwrite .d (dict "l" 3) }}{{ .y }}'
    assert parse_template(change).render(data) == "2"
    assert data == before


def test_one_template_renders_in_many_threads_at_once() -> None:
    template = parse_template("{{ $s := 0 }}{{ range .l }}{{ $s = add $s . }}{{ end }}{{ $s }}")
    with ThreadPoolExecutor(8) as pool:
        outputs = list(pool.map(lambda number: template.render({"l": [number] * 100}), range(40)))
    assert outputs == [str(100 * number) for number in range(40)]


def test_mappings_and_tuples_are_accepted_as_data() -> None:
    assert (
        parse_template("{{ .m.a }}{{ .t }}").render(MappingProxyType({"m": MappingProxyType({"a": 1}), "t": (1, 2)}))
        == "1[1 2]"
    )


@pytest.mark.parametrize(
    ("data", "message"),
    [
        ({"a": {1: 2}}, "the data contain a mapping with a key that is not a string"),
        ({"a": object()}, "the data contain a value of the type object, which templates cannot use"),
        ({"a": b"bytes"}, "the data contain a value of the type bytes, which templates cannot use"),
        ({"a": 1 << 63}, "the data contain 0x8000000000000000, which does not fit in 64 bits"),
    ],
)
def test_data_without_a_go_type_are_an_error(data: Any, message: str) -> None:
    with pytest.raises(TemplateError) as caught:
        parse_template("").render(data)
    assert str(caught.value) == message


def test_data_that_contain_themselves_are_an_error() -> None:
    data: dict[str, Any] = {}
    data["again"] = data
    with pytest.raises(TemplateError, match="nested too deep"):
        parse_template("").render(data)


def test_broken_unicode_becomes_the_replacement_character() -> None:
    assert parse_template("\udcff{{ .s }}").render({"s": "a\ud800b"}) == "\ufffda\ufffdb"


def test_the_parts_of_a_cut_character_are_joined_if_they_are_adjacent() -> None:
    assert parse_template("{{ slice .s 0 1 }}{{ slice .s 1 }}|{{ slice .s 0 1 }}").render({"s": "é"}) == "é|\ufffd"
