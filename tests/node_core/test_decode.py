"""Files of users: all problems are reported at once, with their paths."""

import io
import os
from pathlib import Path
from typing import Any

import msgspec
import pytest
import yaml

from node_core.decode import (
    MAX_FILE,
    MAX_HINTS,
    Document,
    _Loader,
    decode_struct,
    parse_first_document,
    parse_yaml,
    read_input,
    read_yaml,
)
from node_core.errors import SettingsError


class Inner(msgspec.Struct, frozen=True, rename="camel"):
    some_count: int = 0
    name: str | None = None


class Outer(msgspec.Struct, frozen=True):
    title: str
    inner: Inner = Inner()
    items: tuple[Inner, ...] = ()
    maybe: Inner | None = None


def problems(data: object) -> tuple[str, ...]:
    with pytest.raises(SettingsError) as caught:
        decode_struct(data, Outer, source="f.yaml")
    return caught.value.problems


def test_a_valid_file_is_decoded() -> None:
    data = {"title": "t", "inner": {"someCount": 3}, "items": [{"name": "a"}], "maybe": None}
    assert decode_struct(data, Outer, source="f") == Outer(
        title="t", inner=Inner(some_count=3), items=(Inner(name="a"),)
    )


def test_every_problem_is_reported_at_once_with_its_path() -> None:
    bad = {"titel": "t", "inner": {"someCuont": 1, "name": 5}, "items": [{}, {"someCount": "x"}], "maybe": {"nope": 1}}
    found = "\n".join(problems(bad))
    assert "f.yaml: titel: unknown key (did you mean title?)" in found
    assert "f.yaml: title: is missing" in found
    assert "f.yaml: inner.someCuont: unknown key (did you mean someCount?)" in found
    assert "f.yaml: inner.name: must be text, found the number 5. Put the value in quotes" in found
    assert "f.yaml: items[1].someCount: must be a whole number, found the text 'x'" in found
    assert "f.yaml: maybe.nope: unknown key" in found


def test_similar_keys_are_searched_only_for_the_first_problems() -> None:
    found = problems({"title": "t", **{f"titel{number}": 1 for number in range(MAX_HINTS + 50)}})
    assert len(found) == MAX_HINTS + 50
    assert sum("did you mean title?" in each for each in found) == MAX_HINTS


@pytest.mark.parametrize(
    ("data", "got"), [([], "a list"), ("text", "text"), (3, "the number 3: put the value in quotes"), (None, "nothing")]
)
def test_a_file_without_a_mapping_is_an_error(data: object, got: str) -> None:
    assert problems(data) == (f"f.yaml: the document: expected a mapping, got {got}",)


def test_a_list_instead_of_a_mapping_is_an_error_with_its_path() -> None:
    assert problems({"title": "t", "inner": [1]}) == ("f.yaml: inner: expected a mapping, got a list",)


@pytest.mark.parametrize(
    ("content", "part"),
    [
        (b"a: [", "a value is missing, or a bracket or brace is not closed"),
        (b"\xff\xfe\x00", "not a UTF-8 text file"),
        (b"!!python/object/apply:os.system [id]", "this tag .!. is not allowed"),
        (b"a: 1\n---\nb: 2", "expected one document, got 2"),
        (b"[" * 100_000, "nested deeper than 100 levels"),
        (b" " * (MAX_FILE + 1), "larger than"),
        (b"a: 2024-13-45", "a date or a number that is not valid"),
        (b"a: !!int foo", "a date or a number that is not valid"),
        (b"a: 1" + b"0" * 5000, "a date or a number that is not valid"),
        (b"b: {a: 1, a: 2}", "the key 'a' appears twice"),
        (b"a: &x {k: &y [1]}\nb: {<<: *x, [1]: 2}", "a list or a mapping cannot be a key"),
    ],
    ids=[
        "unclosed",
        "binary",
        "hostile",
        "two",
        "deep",
        "huge",
        "no-date",
        "no-number",
        "long-number",
        "twice",
        "invalid-key",
    ],
)
def test_a_file_that_is_not_yaml_is_an_error(tmp_path: Path, content: bytes, part: str) -> None:
    path = tmp_path / "f.yaml"
    path.write_bytes(content)
    with pytest.raises(SettingsError, match=part):
        read_yaml(path)


def test_only_a_regular_file_is_read(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "fifo")
    for path in (tmp_path / "fifo", tmp_path, Path("/dev/zero")):
        with pytest.raises(SettingsError, match="not a regular file"):
            read_yaml(path)


def test_merge_keys_are_not_duplicates(tmp_path: Path) -> None:
    (tmp_path / "f").write_text("base: &base {a: 1}\nuse: {<<: *base, a: 2}\n")
    assert read_yaml(tmp_path / "f")["use"] == {"a": 2}


def test_a_missing_file_and_an_empty_one_differ(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match="does not exist"):
        read_yaml(tmp_path / "none.yaml")
    (tmp_path / "empty.yaml").touch()
    assert read_yaml(tmp_path / "empty.yaml") == {}


def test_a_mapping_with_many_keys_is_loaded_in_linear_time() -> None:
    names = [yaml.ScalarNode("tag:yaml.org,2002:str", f"{number:06}") for number in range(120_000)]
    mapping = yaml.MappingNode("tag:yaml.org,2002:map", [(name, names[0]) for name in names])
    assert len(_Loader("").construct_mapping(mapping)) == len(names)


def test_aliases_that_expand_to_too_many_values_are_refused() -> None:
    """Ten values. Each value is a list that contains the previous value ten times: ten thousand million values."""
    lines = ["a0: &a0 x", *(f"a{i}: &a{i} [{', '.join([f'*a{i - 1}'] * 10)}]" for i in range(1, 11))]
    assert "f: line 7: contains more than 1048576 values" in parse_problem("\n".join(lines))


def test_merge_keys_that_expand_to_too_many_values_are_refused() -> None:
    lines = ["a0: &a0 {k: v}", *(f"a{i}: &a{i} {{<<: [{', '.join([f'*a{i - 1}'] * 10)}]}}" for i in range(1, 11))]
    assert "contains more than 1048576 values" in parse_problem("\n".join(lines))


@pytest.mark.parametrize("text", ["a: &a [*a]", "a: &a {b: {c: *a}}"])
def test_a_value_that_contains_itself_is_refused(text: str) -> None:
    assert parse_problem(text) == "f: line 1: the alias *a is inside of the value that it stands for"


def parse_problem(text: str) -> str:
    with pytest.raises(SettingsError) as caught:
        parse_yaml(Document(source="f", content=text.encode()))
    (problem,) = caught.value.problems
    return problem


def test_standard_input_and_pipes_are_read(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.stdin", io.TextIOWrapper(io.BytesIO(b"a: 1")))
    assert read_input("-").content == b"a: 1"
    reading, writing = os.pipe()
    os.write(writing, b"b: 2")
    os.close(writing)
    assert read_input(f"/dev/fd/{reading}").content == b"b: 2"
    os.close(reading)


@pytest.mark.parametrize(
    ("file", "why"),
    [("/nonexistent", "does not exist"), ("/", "is a folder, not a file"), ("a\0b", "is not the name of a file")],
)
def test_an_input_that_cannot_be_read_is_an_error(file: str, why: str) -> None:
    with pytest.raises(SettingsError, match=why):
        read_input(file)


def test_at_most_one_byte_more_than_the_maximum_is_read(tmp_path: Path) -> None:
    (tmp_path / "f").write_bytes(b"#" * 5 * MAX_FILE)
    found = read_input(str(tmp_path / "f"))
    assert len(found.content) == MAX_FILE + 1
    with pytest.raises(SettingsError, match=f"is larger than {MAX_FILE} bytes"):
        parse_yaml(found)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("a: 1\n", ({"a": 1}, False)),
        ("a: 1\n---\n", ({"a": 1}, False)),
        ("a: 1\n---\nb: 2\n", ({"a": 1}, True)),
        ("a: 1\n---\n- [\n", ({"a": 1}, True)),
        ('{"a": 1}\n{"b": 2}\n', ({"a": 1}, True)),
        ("---\n---\na: 1\n", (None, True)),
        ("", (None, False)),
    ],
)
def test_only_the_first_document_is_read(text: str, expected: tuple[Any, bool]) -> None:
    assert parse_first_document(Document(source="f", content=text.encode())) == expected


def test_a_first_document_that_is_not_valid_is_an_error() -> None:
    with pytest.raises(SettingsError, match="f: line 2"):
        parse_first_document(Document(source="f", content=b"a: [\n---\nb: 1\n"))
