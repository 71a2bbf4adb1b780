"""Options for config files and inline configs. A file is read once, for the values and for the fingerprint."""

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import click
from click.core import ParameterSource

from node_core.decode import Document, parse_yaml, read_document
from node_core.errors import SettingsError
from node_core.runtime.command import CONFIG_FILES, NOTES, PROBLEMS, VALUE_SOURCES
from node_core.runtime.setting import GroupedOption, Parsed, SettingOption, parse_path

Load = Callable[[Any, str], tuple[Any, Mapping[str, Any], Sequence[str]]]
"""(content of a file, name of the file in problems) -> (decoded value, setting name -> value, notes). Raises SettingsError.

notes: a sentence for each key that has no effect, without the name of the file.
"""
_INLINE = "gpunode.inline"
"""Key in a click context: the values that take precedence over config files."""


def config_option(flag: str, *, name: str, env: Sequence[str], load: Load, default: Path | None = None) -> click.Option:
    """Builds the option that reads a config file. name: the name of the value, which is the decoded file.

    default: the file to read if this file exists and the option is not used.
    """

    def read(ctx: click.Context, _: click.Parameter, path: Path | None) -> Any:
        if (given := (ctx.obj or {}).get(name)) is not None:
            return _take(ctx, given, load)
        if path is None:
            return None
        is_default = ctx.get_parameter_source(name) == ParameterSource.DEFAULT
        fingerprints = ctx.meta.setdefault(CONFIG_FILES, {})
        fingerprints[path] = ""
        if is_default and not path.exists():
            return None
        try:
            document = read_document(path)
        except SettingsError as error:
            return _refuse(ctx, error)
        fingerprints[path] = document.fingerprint
        return _take(ctx, document, load)

    return GroupedOption(
        [flag, name],
        heading="Config files",
        envvar=list(env),
        type=Parsed(parse_path, "path"),
        default=default,
        is_eager=True,
        callback=read,
        show_envvar=True,
        show_default=True,
        help="YAML or JSON config file.",
    )


def inline_config_option(flag: str, *, name: str, load: Load) -> click.Option:
    """Builds the option for an inline config, which takes precedence over the file. name: the name of the value, the decoded text."""

    def read(ctx: click.Context, _: click.Parameter, text: str | None) -> Any:
        if not text:
            return None
        return _take(ctx, Document(source=flag, content=text.encode(errors="surrogateescape")), load, wins=True)

    return GroupedOption(
        [flag, name],
        heading="Config files",
        default=None,
        is_eager=True,
        callback=read,
        metavar="YAML",
        help="Content for the config file, as YAML. The content takes precedence over the file.",
    )


def _take(ctx: click.Context, document: Document, load: Load, *, wins: bool = False) -> Any:
    """Uses the values of a document as the defaults of settings, or reports all problems."""
    try:
        data = parse_yaml(document)
        decoded, values, notes = load(data, document.source)
    except SettingsError as error:
        return _refuse(ctx, error)
    known = {parameter.name for parameter in ctx.command.params}
    idle = [f"{name.replace('_', '-')} has no effect on {ctx.info_name}" for name in values if name not in known]
    ctx.meta.setdefault(NOTES, []).extend(f"{document.source}: {note}" for note in (*notes, *idle))
    ctx.meta.setdefault(VALUE_SOURCES, {}).update({name: _place(ctx, document.source, name, data) for name in values})
    winning = ctx.meta.setdefault(_INLINE, {})
    if wins:
        winning.update(values)
    ctx.default_map = {**(ctx.default_map or {}), **values, **winning}
    return decoded


def _place(ctx: click.Context, source: str, name: str, data: Any) -> str:
    """Returns the file and the key of a value, for problems."""
    keys = [
        key
        for each in ctx.command.params
        if isinstance(each, SettingOption) and each.name == name
        for key in each.setting.keys
    ]
    return next((f"{source}: {key}" for key in keys if _contains(data, key.split("."))), f"{source}: {name}")


def _contains(data: Any, path: Sequence[str]) -> bool:
    if not path:
        return data is not None
    return isinstance(data, Mapping) and _contains(data.get(path[0]), path[1:])


def _refuse(ctx: click.Context, error: SettingsError) -> None:
    ctx.meta.setdefault(PROBLEMS, []).extend(error.problems)
