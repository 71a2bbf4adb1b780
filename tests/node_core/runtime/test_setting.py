"""Settings: one declaration defines the flag, the environment name, the key of the file, the default and the value."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

import pytest

from node_core.decode import decode_struct
from node_core.errors import SettingsError
from node_core.runtime.command import agent_command, parse_command
from node_core.runtime.setting import build, file_struct, setting, settings_of, values_in


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
