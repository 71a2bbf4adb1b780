"""Settings: one declaration defines the flag, the environment name, the key of the file, the default and the value."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

import pytest

from node_core.decode import decode_struct
from node_core.errors import SettingsError
from node_core.runtime.command import agent_command, parse_command
from node_core.runtime.setting import (
    build,
    file_struct,
    optional_path,
    optional_text,
    setting,
    settings_of,
    values_in,
)


def _even(text: str) -> int:
    if int(text) % 2:
        raise ValueError(f"{text} is not even")
    return int(text)


@dataclass(frozen=True, slots=True, kw_only=True)
class Inner:
    words: tuple[str, ...] = setting("--words WORDS top.inner.words", ("a",))
    quiet: bool = setting("--loud", True, negated=True)


@dataclass(frozen=True, slots=True, kw_only=True)
class Whole:
    """One setting of each kind. computed: not declared."""

    color: Literal["red", "green"] = setting("--color {agent}_COLOR top.color", "red", "Hue.")
    count: int = setting("--count top.count", 2, parse=_even, in_file=int | str)
    place: Path | None = setting("--place", None)
    inner: Inner = field(default_factory=Inner)
    computed: str = "none"


COMMAND = agent_command("whole", Whole, agent="TEST", help="All kinds.", changes={"count": {"default": 4}})


def values(*arguments: str) -> Mapping[str, Any]:
    found = parse_command(COMMAND, arguments, "whole")
    assert found is not None
    return found


def test_without_flags_the_values_are_the_defaults_of_the_fields_or_of_the_program() -> None:
    assert build(Whole, values()) == Whole(count=4)


def test_flags_and_environment_set_nested_fields(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TEST_COLOR", "green")
    monkeypatch.setenv("WORDS", "x, y,x")
    made = build(Whole, values("--count=8", "--place", "/p", "--loud"), computed="later")
    assert made == Whole(
        color="green", count=8, place=Path("/p"), inner=Inner(words=("x", "y"), quiet=False), computed="later"
    )


def test_all_invalid_values_are_reported_together() -> None:
    with pytest.raises(SettingsError) as caught:
        values("--count=3", "--color=Red", "--place=")
    assert caught.value.problems == (
        "--count: 3 is not even",
        "--color: 'Red' is not one of 'red', 'green' (did you mean red?).",
        "--place: is empty: enter a path",
    )


def test_the_structure_of_a_file_follows_from_the_keys() -> None:
    declared = tuple(settings_of(Whole))
    shape = file_struct("top", declared, more=bool | None)
    section = decode_struct({"color": "green", "inner": {"words": ["b"]}, "more": True}, shape, source="f")
    assert values_in(section, "top", declared) == {"color": "green", "words": ("b",)}
    with pytest.raises(SettingsError) as caught:
        decode_struct({"colour": "green", "inner": {"words": "b"}, "count": True}, shape, source="f")
    assert caught.value.problems == (
        "f: colour: unknown key (did you mean color?)",
        "f: inner.words: must be a list, found the text 'b'",
        "f: count: must be a whole number or text, found the boolean true. Put the value in quotes",
    )


def test_an_option_is_declared_once() -> None:
    command = agent_command("twice", Inner, Whole, agent="TEST", help="Inner is in Whole too.")
    names = [option.name for option in command.params]
    assert len(names) == len(set(names))
    assert [each.name for each in settings_of(Inner, Inner)] == [each.name for each in settings_of(Inner)]


def test_a_setting_of_files_alone_has_the_name_of_its_field_and_no_option() -> None:
    @dataclass(frozen=True, slots=True, kw_only=True)
    class Keys:
        some_words: tuple[str, ...] = setting("top.someWords", ())

    (declared,) = settings_of(Keys)
    section = decode_struct({"someWords": ["a"]}, file_struct("top", [declared]), source="f")
    assert values_in(section, "top", [declared]) == {"some_words": ("a",)}
    command = agent_command("keys", Keys, agent="TEST", help="None.")
    assert [option.opts for option in command.params] == [["--version"]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Lists:
    """Lists of known words, of numbers and of any words, and an optional text."""

    kinds: frozenset[Literal["pci", "usb"]] = setting("--kinds KINDS", frozenset({"pci"}), "Kinds of devices.")
    sizes: tuple[Literal[1, 2], ...] = setting("--sizes", (), "Sizes.")
    words: tuple[str, ...] = setting("--words", (), "Words.")
    level: Literal["low", "high"] | None = setting("--level", None, "Level.", any_case=True)
    folder: Path = setting("--folder", Path("/etc"), "Folder.")


LISTS = agent_command("lists", Lists, agent="TEST", help="Lists.")


def lists(*arguments: str) -> Lists:
    found = parse_command(LISTS, arguments, "lists")
    assert found is not None
    return build(Lists, found)


def test_a_list_may_be_given_with_commas_or_with_several_flags_and_an_empty_one_is_the_default() -> None:
    found = lists("--kinds=usb, pci,usb", "--sizes=2", "--sizes", "1", "--words=b,,a,b")
    assert found == Lists(kinds=frozenset({"pci", "usb"}), sizes=(2, 1), words=("b", "a"))
    assert lists("--kinds=", "--sizes=,", "--words= ") == Lists()


def test_an_unknown_word_of_a_list_is_refused_with_all_known_words() -> None:
    with pytest.raises(SettingsError) as caught:
        lists("--kinds=usb,pcie", "--sizes=3")
    assert caught.value.problems == (
        "--kinds: 'pcie' is unknown (did you mean pci?); known values: pci, usb",
        "--sizes: '3' is unknown; known values: 1, 2",
    )


def test_the_help_states_the_known_words_and_the_defaults(capsys: pytest.CaptureFixture[str]) -> None:
    assert parse_command(LISTS, ["--help"], "lists") is None
    text = " ".join(capsys.readouterr().out.split())
    assert "--kinds LIST Kinds of devices. Any of pci, usb. Default: pci." in text
    assert "--sizes LIST Sizes. --words" in text, "numbers are not listed"
    assert "--words LIST Words. --level" in text
    assert "--folder PATH Folder. [default: /etc]" in text


def test_a_choice_in_any_case_and_an_empty_path() -> None:
    assert (lists("--level=HIGH").level, lists().level) == ("high", None)
    with pytest.raises(SettingsError, match="--folder: is empty: enter a path"):
        lists("--folder=")


@pytest.mark.parametrize(
    ("parse", "text", "value"),
    [
        (optional_path, "/a", Path("/a")),
        (optional_path, "", None),
        (optional_text, "a", "a"),
        (optional_text, "", None),
    ],
)
def test_an_empty_optional_value_is_none(parse: Callable[[str], object], text: str, value: object) -> None:
    assert parse(text) == value


def test_a_section_of_a_file_cannot_be_changed() -> None:
    section: Any = decode_struct({"color": "green"}, file_struct("top", tuple(settings_of(Whole))), source="f")
    with pytest.raises(AttributeError):
        section.color = "red"
