"""Settings as data. A dataclass field declares the flags, environment names, config file keys, parser, help and default of a setting.

The command line with --help, the schema of config files and docs/reference/settings.md are built from these declarations.
The order of precedence is: flag, environment variable, config file, default.
"""

import functools
import inspect
import types
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import MISSING, field, fields, is_dataclass
from pathlib import Path
from typing import Any, Literal, TypeVar, Union, get_args, get_origin

import click
import msgspec

from node_core.schema import suggest
from node_core.values import replace

Settings = TypeVar("Settings")
_META = "gpunode.setting"


class Setting(msgspec.Struct, frozen=True, kw_only=True):
    """The declaration of a setting. name: the name of the value, from the first flag.

    env: environment names. `{agent}` stands for the prefix of the program. keys: paths in config files.
    in_file: the type in config files, for msgspec. None: the type that `_file_type` returns for the field.
    parse: converts a value of a flag, the environment or a file; raises ValueError. shown: the default in --help and docs.
    choices: all values, if the type does not define the values. fixed: the value cannot change while the process runs.
    negated: the flag is the opposite of the field. any_case: upper and lower case of the values are equal.
    find_idle: returns a sentence for each part of the value that has no effect.
    heading: of the group in --help; empty for the HEADING of the class.
    """

    name: str
    flags: tuple[str, ...]
    help: str | None
    env: tuple[str, ...] = ()
    keys: tuple[str, ...] = ()
    in_file: Any = None
    type: Any = str
    parse: Callable[[Any], Any] | None = None
    default: Any = None
    shown: str | None = None
    choices: tuple[Any, ...] = ()
    metavar: str | None = None
    fixed: bool = False
    negated: bool = False
    any_case: bool = False
    find_idle: Callable[[Any], Iterable[str]] | None = None
    heading: str = ""


def setting(where: str, default: Any, help: str | None = None, **more: Any) -> Any:  # noqa: A002 - as click calls it
    """Returns a dataclass field that declares a Setting. where: flags, environment names and config file keys, separated by spaces.

    A flag begins with a dash, and a key contains a dot: `--mps-root MPS_ROOT flags.mpsRoot`. A setting that exists only in config files
    has no flag, and uses the name of the field. more: other fields of Setting.
    """
    words = where.split()
    flags = tuple(word for word in words if word.startswith("-"))
    keys = tuple(word for word in words if word not in flags and "." in word)
    env = tuple(word for word in words if word not in (*flags, *keys))
    name = flags[0].strip("-").replace("-", "_") if flags else ""
    declared = Setting(name=name, flags=flags, help=help, env=env, keys=keys, **more)
    return field(default=default, metadata={_META: declared})


def settings_of(*classes: type) -> Iterator[Setting]:
    """Lists the settings of these classes and of nested settings classes, with type and default. Lists each name once."""
    known: set[str] = set()
    for each in (each for cls in classes for each in _settings_of(cls)):
        if each.name not in known:
            known.add(each.name)
            yield each


def build(cls: type[Settings], values: Mapping[str, Any], **computed: Any) -> Settings:
    """Builds an instance from the values of a command line. computed: values of other fields, or values that replace declared values."""
    return cls(**{**_declared_values(cls, values), **computed})


class GroupedOption(click.Option):
    """A click option that --help shows below a heading."""

    def __init__(self, *arguments: Any, heading: str = "", **more: Any) -> None:
        super().__init__(*arguments, **more)
        self.heading = heading


class SettingOption(GroupedOption):
    """The click option of a setting."""

    setting: Setting


def make_option(declared: Setting, agent: str) -> SettingOption:
    """Builds the click option of a setting. agent: the prefix of environment names."""
    option = SettingOption(
        [*declared.flags, declared.name],
        envvar=[name.format(agent=agent) for name in declared.env] or None,
        default=declared.shown or _shown(declared.default),
        help=_help(declared),
        metavar=declared.metavar or ("LIST" if _is_list(declared) else None),
        show_envvar=True,
        show_default=True,
        heading=declared.heading,
        **_click_type(declared),
    )
    option.setting = declared
    return option


def parse_path(text: str) -> Path:
    """Parses a path. Raises ValueError for an empty text."""
    if not str(text):
        raise ValueError("is empty: enter a path")
    return Path(text)


def optional_path(text: str) -> Path | None:
    """Parses a path. Returns None for an empty text."""
    return Path(text) if str(text) else None


def optional_text(text: str) -> str | None:
    """Returns the text, or None for an empty text."""
    return text or None


class Parsed(click.ParamType[Any]):
    """A click type for a parser that raises ValueError. Values that are not text are already parsed, or are values of a file."""

    def __init__(self, parse: Callable[[Any], Any], name: str = "text") -> None:
        self.name = name
        self._parse = parse

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        try:
            return self._parse(value)
        except ValueError as error:
            self.fail(str(error), param, ctx)


class _Choice(click.Choice[Any]):
    """A click type for fixed values. An error names the most similar value."""

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        try:
            return super().convert(value, param, ctx)
        except click.BadParameter as error:
            hint = suggest(str(value), map(str, self.choices))
            raise click.BadParameter(f"{error.message.removesuffix('.')}{hint}.", ctx, param) from None


class _Switch(click.ParamType[bool]):
    """A click type for true or false."""

    name = "boolean"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> bool:
        try:
            return bool(click.BOOL.convert(value, param, ctx))
        except click.BadParameter:
            self.fail(f"{value!r} is not true or false", param, ctx)


class _Words(click.ParamType[str]):
    """Text of one or more words. In environment variables, commas separate the words, not spaces."""

    name = "list"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> str:  # noqa: ARG002
        return str(value)

    def split_envvar_value(self, rv: str) -> Sequence[str]:
        return [rv]


def _settings_of(cls: Any, heading: str = "") -> Iterator[Setting]:
    """heading: of the settings of classes without a HEADING."""
    for each in fields(cls):
        owner = next(base for base in cls.__mro__ if each.name in inspect.get_annotations(base))
        of_class = getattr(owner, "HEADING", heading)
        if (declared := each.metadata.get(_META)) is not None:
            kind = _without_none(each.type)
            choices = declared.choices or (get_args(kind) if get_origin(kind) is Literal else ())
            default = not each.default if declared.negated else _default(each)
            in_file = declared.in_file or _file_type(kind)
            name = declared.name or each.name
            found = {"type": kind, "default": default, "choices": choices, "in_file": in_file}
            yield replace(declared, name=name, heading=declared.heading or of_class, **found)
        elif is_dataclass(each.type):
            yield from _settings_of(each.type, of_class)


def _declared_values(cls: Any, values: Mapping[str, Any]) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for each in fields(cls):
        if (declared := each.metadata.get(_META)) is not None:
            if (name := declared.name or each.name) in values:
                value = values[name]
                found[each.name] = not value if declared.negated else value
        elif isinstance(each.type, type) and is_dataclass(each.type) and any(_settings_of(each.type)):
            found[each.name] = build(each.type, values)
    return found


def _file_type(kind: Any) -> Any:
    return bool if kind is bool else tuple[str, ...] if get_origin(kind) in (tuple, frozenset) else str


def _default(each: Any) -> Any:
    if each.default_factory is not MISSING:
        return each.default_factory()
    return None if each.default is MISSING else each.default


def _without_none(kind: Any) -> Any:
    """Returns `X` for `X | None`."""
    if get_origin(kind) in (Union, types.UnionType):
        rest = [each for each in get_args(kind) if each is not type(None)]
        return rest[0] if len(rest) == 1 else kind
    return kind


def _shown(default: Any) -> Any:
    return str(default) if isinstance(default, Path) else default if isinstance(default, str | bool) else None


def _help(declared: Setting) -> str | None:
    if not _is_list(declared):
        return declared.help
    known = (
        f" Any of {', '.join(map(str, known))}."
        if (known := _literals(get_args(declared.type)[0])) and str in map(type, known)
        else ""
    )
    return f"{declared.help}{known}" + (f" Default: {','.join(declared.default)}." if declared.default else "")


def _is_list(declared: Setting) -> bool:
    return get_origin(declared.type) in (tuple, frozenset) and declared.parse is None


def _literals(kind: Any) -> tuple[Any, ...]:
    if get_origin(kind) is Literal:
        return get_args(kind)
    return tuple(value for each in get_args(kind) for value in _literals(each))


def _click_type(declared: Setting) -> dict[str, Any]:
    parse = parse_path if declared.type is Path and declared.parse is None else declared.parse
    if declared.choices:
        read = {} if parse is None else {"callback": lambda _, __, word: None if word is None else parse(word)}
        return {"type": _Choice(declared.choices, case_sensitive=not declared.any_case), **read}
    if parse is not None:
        return {"type": Parsed(parse, "path" if declared.type is Path else "text")}
    if declared.type is bool:
        return {"is_flag": False, "flag_value": "true", "type": _Switch()}
    if _is_list(declared):
        return {"multiple": True, "type": _Words(), "callback": _read_list(declared)}
    return {"type": declared.type}


def _read_list(declared: Setting) -> Callable[[click.Context, click.Parameter, Sequence[str]], Any]:
    known = {str(each): each for each in _literals(get_args(declared.type)[0])}

    def read(_: click.Context, __: click.Parameter, values: Sequence[str]) -> Any:
        words = [word for value in values for part in value.split(",") if (word := part.strip())]
        for word in words:
            if known and word not in known:
                there = ", ".join(known)
                raise click.BadParameter(f"{word!r} is unknown{suggest(word, known)}; known values: {there}")
        kind = get_origin(declared.type) or tuple
        return kind(dict.fromkeys(known.get(word, word) for word in words)) or declared.default

    return read


def file_struct(name: str, declared: Sequence[Setting], **more: Any) -> type[msgspec.Struct]:
    """Builds the schema of a section of a config file: all declared keys below the name, and the keys in more. All keys are optional."""
    below = {key.removeprefix(f"{name}."): each for each in declared for key in each.keys if key.startswith(f"{name}.")}
    kinds: dict[str, Any] = {key: each.in_file | None for key, each in below.items() if "." not in key} | more
    for section in dict.fromkeys(key.partition(".")[0] for key in below if "." in key):
        kinds[section] = file_struct(f"{name}.{section}", declared)
    members = [(key, kind, _empty(kind)) for key, kind in kinds.items()]
    return msgspec.defstruct(name.replace(".", "_"), members, frozen=True, kw_only=True)


def values_in(section: Any, name: str, declared: Sequence[Setting]) -> dict[str, Any]:
    """Returns name -> value for the settings whose keys are in a section. section: an instance of the class from `file_struct`."""
    found = {
        each.name: functools.reduce(getattr, key.removeprefix(f"{name}.").split("."), section)
        for each in declared
        for key in each.keys
        if key.startswith(f"{name}.")
    }
    return {key: value for key, value in found.items() if value not in (None, "")}


def _empty(kind: Any) -> Any:
    is_section = isinstance(kind, type) and issubclass(kind, msgspec.Struct)
    return kind() if is_section else None
