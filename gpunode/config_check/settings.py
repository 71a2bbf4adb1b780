"""The settings that an agent has with a config file, and where each value comes from."""

import os
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import click
from click.core import ParameterSource

from gpunode.config_check.agents import Agent, make_context
from gpunode.config_check.find import ConfigFile, Kind
from nfd_lite.config import WITHOUT_EFFECT, SourceKeys, source_settings
from nfd_lite.rules.evaluate import identify_rules
from nfd_lite.rules.model import Rule
from nfd_lite.rules_command import rule_problems, rule_warnings
from nfd_lite.settings import NfdSettings
from node_core.decode import parse_yaml, remove_keys
from node_core.errors import SettingsError
from node_core.runtime.command import CHANGED, NOTES, VALUE_SOURCES
from node_core.runtime.setting import SettingOption, settings_of

DEFAULT = "default"
RULES = "sources.custom"
WITH_FLAGS = ("flags.", "imex.", "core.", RULES)
"""The sections whose settings have flags, and the rules, of which only the number is shown."""


@dataclass(frozen=True, slots=True, kw_only=True)
class EffectiveSetting:
    """name: of the flag, or the path in the file. origin: `default`, or the file, environment variable or flag with the value.

    is_in_files: whether files of this kind can contain the setting.
    """

    name: str
    value: str
    origin: str
    is_in_files: bool = True

    @property
    def is_default(self) -> bool:
        return self.origin == DEFAULT


@dataclass(frozen=True, slots=True, kw_only=True)
class Result:
    """problems, notes: a sentence for each, with the path of the value. settings: empty if the agent refuses the file."""

    agent: str
    problems: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()
    settings: tuple[EffectiveSetting, ...] = ()


def read_settings(agent: Agent, file: ConfigFile, arguments: Sequence[str]) -> Result:
    """Returns the settings of an agent with a file, the environment of this process and these flags."""
    source = f"{file.document.source}: "
    try:
        with make_context(agent, file.document, arguments) as ctx:
            rules = _custom_rules(agent.settings(dict(ctx.params)))
            warnings = (f"{RULES}: {name}: {why}" for name, rule in rules for why in rule_warnings(rule))
            return Result(
                agent=agent.name,
                problems=tuple(f"{RULES}: {name}: {why}" for name, rule in rules for why in rule_problems(rule)),
                notes=(*(each.removeprefix(source) for each in dict.fromkeys(ctx.meta.get(NOTES, ()))), *warnings),
                settings=(*_flags(ctx, agent, source), *_only_in_files(ctx, agent, file)),
            )
    except SettingsError as error:
        problems = [each.removeprefix(source) for each in error.problems]
        return Result(agent=agent.name, problems=(*problems, *_value_problems(agent, file, problems)))


def _custom_rules(settings: object) -> list[tuple[str, Rule]]:
    """Returns the rules of the file by name."""
    sets = settings.rules.configured if isinstance(settings, NfdSettings) else ()
    return [(id_.shown, rule) for each in identify_rules(sets) for id_, rule in each]


def _value_problems(agent: Agent, file: ConfigFile, known: Sequence[str]) -> Iterator[str]:
    """Yields the wrong values of settings in a file that the decoder refuses, so that no problem is hidden by another.

    known: problems that already are reported.
    """
    try:
        data = parse_yaml(file.document)
    except SettingsError:
        return
    leaves, ctx = dict(_leaves(data)), click.Context(agent.command)
    for option in agent.options:
        for key in agent.keys(option):
            if leaves.get(key) is None or any(each.startswith((f"{key}:", f"{key}[")) for each in known):
                continue
            try:
                value = leaves[key]
                option.process_value(ctx, [value] if option.multiple and isinstance(value, str) else value)
            except click.BadParameter as error:
                yield f"{key}: {error.message}"


def _flags(ctx: click.Context, agent: Agent, source: str) -> Iterator[EffectiveSetting]:
    changed: Mapping[str, str] = ctx.meta.get(CHANGED, {})
    for option in agent.options:
        flag = option.opts[0].lstrip("-")
        default = option.default if isinstance(option.default, str) else _text(option.setting.default)
        value = changed.get(flag, default)
        yield EffectiveSetting(
            name=flag,
            value={"True": "true", "False": "false"}.get(value, value),
            origin=_origin(ctx, option, source),
            is_in_files=bool(agent.keys(option)),
        )


def _origin(ctx: click.Context, option: SettingOption, source: str) -> str:
    match ctx.get_parameter_source(str(option.name)):
        case ParameterSource.COMMANDLINE:
            return f"flag {option.opts[0]}"
        case ParameterSource.ENVIRONMENT:
            names = [option.envvar] if isinstance(option.envvar, str) else option.envvar or ()
            return f"environment {next((name for name in names if os.environ.get(name)), '')}"
        case ParameterSource.DEFAULT_MAP:
            place: str | None = ctx.meta.get(VALUE_SOURCES, {}).get(option.name)
            return "flag --port" if place is None else f"file {_key(place.removeprefix(source))}"
    return DEFAULT


def _key(place: str) -> str:
    """Returns the key of a value in the file. Keys at the top level of nfd-master.conf are named like their settings."""
    first, *others = place.split("_")
    return place if "." in place else first + "".join(map(str.title, others))


def _only_in_files(ctx: click.Context, agent: Agent, file: ConfigFile) -> Iterator[EffectiveSetting]:
    """Yields the settings that have no flag. The default of a list that the file does not contain is shown, too."""
    is_nfd, config = file.kind is Kind.NFD, ctx.params[agent.config]
    data, _ = remove_keys(parse_yaml(file.document), WITHOUT_EFFECT if is_nfd else {})
    leaves = {path: value for path, value in _leaves(data) if value is not None}
    if is_nfd and config is not None:
        effective = source_settings(config, feature_sources=ctx.params["feature_sources"])
        for each in settings_of(SourceKeys):
            (path,) = each.keys
            origin = DEFAULT if leaves.pop(path, None) is None else f"file {path}"
            yield EffectiveSetting(name=path, value=_text(getattr(effective, each.name)), origin=origin)
        if rules := config.sources.custom:
            yield EffectiveSetting(
                name=RULES, value=f"{len(rules)} rule{'s' * (len(rules) > 1)}", origin=f"file {RULES}"
            )
    for path, value in leaves.items():
        if "." in path and not path.startswith(WITH_FLAGS):
            yield EffectiveSetting(name=path, value=_text(value), origin=f"file {path}")


def _leaves(data: Any, path: str = "") -> Iterator[tuple[str, Any]]:
    """Yields each value of a document with its path. A list of single values is one value."""
    if isinstance(data, Mapping):
        for key, value in data.items():
            yield from _leaves(value, f"{path}.{key}" if path else str(key))
    elif isinstance(data, list) and any(isinstance(each, Mapping | list) for each in data):
        for index, each in enumerate(data):
            yield from _leaves(each, f"{path}[{index}]")
    else:
        yield path, data


def _text(value: Any) -> str:
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, frozenset):
        return ",".join(sorted(map(str, value)))
    if isinstance(value, list | tuple):
        return ",".join(map(str, value))
    return "" if value is None else str(value)
