"""Files from people: every problem at once, with its path."""

import os
from pathlib import Path

import msgspec
import pytest
import yaml

from node_core.decode import MAX_FILE, _Loader, decode_struct, read_yaml
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


def test_a_good_file_is_decoded() -> None:
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
    assert "f.yaml: inner.name: Expected" in found
    assert "f.yaml: items[1].someCount: Expected" in found
    assert "f.yaml: maybe.nope: unknown key" in found


@pytest.mark.parametrize("data", [[], "text", 3, None])
def test_a_file_that_is_no_mapping_says_so(data: object) -> None:
    assert problems(data) == (f"f.yaml: the file: expected a mapping, got {type(data).__name__}",)


def test_a_list_where_a_mapping_belongs_says_where() -> None:
    assert problems({"title": "t", "inner": [1]}) == ("f.yaml: inner: expected a mapping, got list",)


@pytest.mark.parametrize(
    ("content", "part"),
    [
        (b"a: [", "expected the node content"),
        (b"\xff\xfe\x00", "not a YAML text file"),
        (b"!!python/object/apply:os.system [id]", "could not determine a constructor"),
        (b"[" * 100_000, "not a YAML text file"),
        (b" " * (MAX_FILE + 1), "larger than"),
        (b"a: 2024-13-45", "month must be in"),
        (b"a: !!int foo", "invalid literal"),
        (b"a: 1" + b"0" * 5000, "digits"),
        (b"b: {a: 1, a: 2}", "the key 'a' is there twice"),
        (b"a: &x {k: &y [1]}\nb: {<<: *x, [1]: 2}", "unhashable"),
    ],
    ids=["unclosed", "binary", "hostile", "deep", "huge", "no-date", "no-number", "long-number", "twice", "odd-key"],
)
def test_a_file_that_is_not_yaml_says_so(tmp_path: Path, content: bytes, part: str) -> None:
    path = tmp_path / "f.yaml"
    path.write_bytes(content)
    with pytest.raises(SettingsError, match=part):
        read_yaml(path)


def test_what_is_no_regular_file_is_not_read(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "fifo")
    for path in (tmp_path / "fifo", tmp_path, Path("/dev/zero")):
        with pytest.raises(SettingsError, match="not a regular file"):
            read_yaml(path)


def test_merge_keys_are_no_duplicates(tmp_path: Path) -> None:
    (tmp_path / "f").write_text("base: &base {a: 1}\nuse: {<<: *base, a: 2}\n")
    assert read_yaml(tmp_path / "f")["use"] == {"a": 2}


def test_a_missing_file_and_an_empty_one_differ(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match="No such file"):
        read_yaml(tmp_path / "none.yaml")
    (tmp_path / "empty.yaml").touch()
    assert read_yaml(tmp_path / "empty.yaml") == {}


def test_a_mapping_of_many_keys_takes_no_longer_for_each() -> None:
    names = [yaml.ScalarNode("tag:yaml.org,2002:str", f"{number:06}") for number in range(120_000)]
    mapping = yaml.MappingNode("tag:yaml.org,2002:map", [(name, names[0]) for name in names])
    assert len(_Loader("").construct_mapping(mapping)) == len(names)
