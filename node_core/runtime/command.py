"""The command lines of the agents. All problems of flags, environment and config file are reported at once, and the exit status is 2.

click reads flags and environment variables. The values of a config file become click's default_map. Each value is read and parsed once.
"""

import os
import re
import sys
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import click
from click.core import ParameterSource

from node_core.decode import Document
from node_core.errors import SettingsError
from node_core.runtime.examples import ExamplesCommand
from node_core.runtime.setting import GroupedOption, SettingOption, make_option, settings_of
from node_core.schema import similar, suggest
from node_core.values import replace
from node_core.version import VERSION

OWN_PREFIXES = ("GPUNODE_", "NFD_", "GFD_", "DEVICE_PLUGIN_", "DP_")
"""Prefixes of environment variables that belong to these programs."""
_SERVICE_VARIABLE = re.compile(r"_SERVICE_(HOST|PORT(_\w+)?)$|_PORT(_[0-9]+_(TCP|UDP|SCTP)(_(PROTO|PORT|ADDR))?)?$")
"""Source: Kubernetes documentation, Service, environment variables."""
COMPATIBILITY, OTHER = "Accepted for compatibility, without effect", "Other options"
"""The last headings of --help."""
USAGE = 2
"""Exit status for flags, environment variables or files that are not valid. No other failure ends an agent."""
PROBLEMS = "gpunode.problems"
"""Key in a click context: the problems of config files, until the whole command line is read."""
NOTES = "gpunode.notes"
"""Key in a click context: one sentence for each setting that has no effect."""
CHANGED = "gpunode.changed"
"""Key in a click context: flag -> text of each setting that differs from its default, for the log."""
MAX_SHOWN = 200
VALUE_SOURCES = "gpunode.value_sources"
"""Key in a click context: setting name -> the config file and the key of the value, for problems."""
CONFIG_FILES = "gpunode.config_files"
"""Key in a click context: the fingerprints of the config files, also of files that are missing."""


class AgentCommand(ExamplesCommand):
    """Collects all problems of flags, environment and config file before parsing fails.

    --help shows the environment variables and the default of each flag. Long flags are also accepted with one dash (`-oneshot`), as in
    the Go programs that these agents replace.
    """

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """Replaces the method of click, which stops at the first problem. Raises SettingsError."""
        ctx.ignore_unknown_options = True
        problems: list[str] = ctx.meta.setdefault(PROBLEMS, [])
        values, rest, order = self._split([self._two_dashes(arg) for arg in args], ctx, problems)
        problems += self._leftovers(ctx, rest)
        for parameter in click.core.iter_params_for_processing(order, self.get_params(ctx)):
            try:
                parameter.handle_parse_result(ctx, values, [])
            except click.UsageError as error:
                problems.append(_describe(error, ctx))
            name = str(parameter.name)
            _record_change(ctx, parameter, values)
            if isinstance(parameter, SettingOption) and ctx.get_parameter_source(name) == ParameterSource.DEFAULT:
                ctx.params[name] = parameter.setting.default
            elif (
                isinstance(parameter, SettingOption) and parameter.setting.find_idle is not None and name in ctx.params
            ):
                notes = parameter.setting.find_idle(ctx.params[name])
                ctx.meta.setdefault(NOTES, []).extend(f"{_place(ctx, parameter)}: {note}" for note in notes)
        if problems and not ctx.resilient_parsing:
            raise SettingsError(problems)
        return []

    def format_options(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Replaces the method of click, which shows one list: writes a section for each heading."""
        sections: dict[str, list[tuple[str, str]]] = {}
        for option in self.get_params(ctx):
            if (record := option.get_help_record(ctx)) is not None:
                sections.setdefault(getattr(option, "heading", "") or OTHER, []).append(record)
        last = [heading for heading in (COMPATIBILITY, OTHER) if heading in sections]
        for heading in (*(each for each in sections if each not in last), *last):
            with formatter.section(heading):
                formatter.write_dl(sections[heading])

    def _split(self, args: list[str], ctx: click.Context, problems: list[str]) -> Any:
        """Runs click's parser, which stops at a flag without a value. Reports the flag, and parses again without the flag."""
        while True:
            try:
                return self.make_parser(ctx).parse_args(list(args))
            except click.BadOptionUsage as error:
                problems.append(f"{error.option_name}: {error.message}")
                left = [arg for arg in args if not _names(arg, error.option_name)]
                args = left if len(left) < len(args) else []

    def _two_dashes(self, arg: str) -> str:
        flags = {name for parameter in self.params for name in (*parameter.opts, *parameter.secondary_opts)}
        return f"-{arg}" if arg.startswith("-") and f"-{arg.partition('=')[0]}" in flags else arg

    def _leftovers(self, ctx: click.Context, rest: Sequence[str]) -> list[str]:
        flags = [name for parameter in self.get_params(ctx) for name in parameter.opts if name.startswith("--")]
        unknown = [arg.partition("=")[0] for arg in rest if arg.startswith("-")]
        if unknown:
            return [f"{flag}: unknown flag{suggest(flag, flags)}" for flag in unknown]
        return [f"{arg!r}: unexpected argument" for arg in rest]


def agent_command(
    name: str,
    *parts: type | click.Option,
    agent: str,
    help: str,  # noqa: A002 - as click calls it
    examples: Sequence[tuple[str, str]] = (),
    statuses: Mapping[str, str] | None = None,
    changes: Mapping[str, Mapping[str, Any]] | None = None,
) -> AgentCommand:
    """Builds the command of a program. parts: settings classes and other options, in the order of --help. The first of equal names wins.

    agent: the prefix of environment names. examples, statuses: see ExamplesCommand. changes: name of a setting -> the
    fields of Setting that differ in this program; without flags, the program does not have the setting.
    """
    options: dict[str | None, click.Parameter] = {}
    for part in parts:
        for option in [part] if isinstance(part, click.Option) else _options_of(part, agent, changes or {}):
            options.setdefault(option.name, option)
    names = {"help_option_names": ["-h", "--help"]}
    params = [*options.values(), _version_option()]
    return AgentCommand(name, params=params, help=help, examples=examples, statuses=statuses, context_settings=names)


def ignored_option(
    flag: str, env: str | None, why: str, *, may_stand_alone: bool = False, hidden: bool = False
) -> click.Option:
    """Builds an option for an upstream flag that has no effect here, so that old manifests work.

    flag: its names, separated by spaces. why: the reason, for --help.
    """
    return GroupedOption(
        flag.split(),
        heading=COMPATIBILITY,
        envvar=env,
        is_flag=False,
        flag_value="true" if may_stand_alone else None,
        expose_value=False,
        hidden=hidden,
        show_envvar=True,
        help=f"Accepted for compatibility, but has no effect: {why}.",
    )


def parse_command(
    command: click.Command, arguments: Sequence[str], prog: str, *, configs: Mapping[str, Document] | None = None
) -> dict[str, Any] | None:
    """Returns the values of a command line and those below, or None after --help or --version. Raises SettingsError.

    config_files, changed, notes, misspelt: see CommonSettings. given: the names of the values that flags set.

    configs: name of an option that reads a config file -> the document to use in place of the file.
    """
    try:
        with command.make_context(prog, list(arguments), obj=configs) as ctx:
            given = (name for name in ctx.params if ctx.get_parameter_source(name) == ParameterSource.COMMANDLINE)
            return {
                **ctx.params,
                "config_files": ctx.meta.get(CONFIG_FILES, {}),
                "misspelt": tuple(find_misspelt(command, os.environ)),
                "changed": dict(ctx.meta.get(CHANGED, {})),
                "notes": tuple(dict.fromkeys(ctx.meta.get(NOTES, ()))),
                "given": frozenset(given),
            }
    except click.exceptions.Exit:
        return None
    except click.UsageError as error:
        raise SettingsError([error.format_message()]) from error


def find_misspelt(command: click.Command, environment: Mapping[str, str]) -> Iterator[str]:
    """Yields a sentence for each environment variable whose name is similar to one of the command, and has its prefix.

    The variables that Kubernetes adds for a Service, such as GPUNODE_SERVICE_HOST or GPUNODE_PORT, are not meant for the command.
    """
    known = {name for option in command.params for name in _environment_names(option)}
    for prefix in OWN_PREFIXES:
        rests = [name.removeprefix(prefix) for name in known if name.startswith(prefix)]
        for name in sorted(environment):
            if not name.startswith(prefix) or name in known or _SERVICE_VARIABLE.search(name):
                continue
            if (near := similar(name.removeprefix(prefix), rests)) is not None:
                yield f"{name} is not an environment variable of this program. Did you mean {prefix}{near}?"


def _environment_names(option: click.Parameter) -> Sequence[str]:
    names = option.envvar or ()
    return [names] if isinstance(names, str) else names


def report_usage(error: SettingsError, prog: str) -> int:
    """Prints each problem on a separate line. Returns the exit status."""
    for problem in error.problems:
        print(f"{prog}: {problem}", file=sys.stderr)
    return USAGE


def _options_of(cls: type, agent: str, changes: Mapping[str, Mapping[str, Any]]) -> list[click.Option]:
    declared = (replace(each, **changes.get(each.name, {})) for each in settings_of(cls))
    return [make_option(each, agent) for each in declared if each.flags]


def _version_option() -> click.Option:
    def show(ctx: click.Context, _: click.Parameter, is_set: bool) -> None:
        if is_set and not ctx.resilient_parsing:
            click.echo(f"{ctx.command_path}, version {VERSION}")
            ctx.exit()

    return click.Option(
        ["--version"], is_flag=True, expose_value=False, is_eager=True, callback=show, help="Show the version and exit."
    )


def _record_change(ctx: click.Context, parameter: click.Parameter, values: Mapping[str, Any]) -> None:
    raw, source = parameter.consume_value(ctx, values)
    if source is ParameterSource.DEFAULT or raw in (None, ()) or raw == parameter.default:
        return
    text = ",".join(map(str, raw)) if isinstance(raw, list | tuple) else str(raw)
    ctx.meta.setdefault(CHANGED, {})[parameter.opts[0].lstrip("-")] = text[:MAX_SHOWN]


def _names(arg: str, flag: str) -> bool:
    """Whether an argument of the command line is this flag, or a group of short flags that contains this flag: `-vo` contains `-o`."""
    is_bundle = len(flag) == 2 and arg.startswith("-") and not arg.startswith("--") and flag[1] in arg
    return arg.partition("=")[0] == flag or is_bundle


def _describe(error: click.UsageError, ctx: click.Context) -> str:
    parameter = getattr(error, "param", None)
    if not isinstance(parameter, click.Option):
        return error.format_message()
    message = error.message if isinstance(error, click.BadParameter) else error.format_message()
    return f"{_place(ctx, parameter)}: {message}"


def _place(ctx: click.Context, parameter: click.Option) -> str:
    """Returns where the value comes from: a flag, an environment variable, or a file and a key."""
    source = ctx.get_parameter_source(str(parameter.name))
    flag = parameter.opts[0]
    if source == ParameterSource.ENVIRONMENT:
        variables = parameter.envvar if isinstance(parameter.envvar, list | tuple) else [parameter.envvar]
        return f"{'/'.join(str(name) for name in variables)} ({flag})"
    if source == ParameterSource.DEFAULT_MAP:
        place: str = ctx.meta.get(VALUE_SOURCES, {}).get(parameter.name, f"config file ({flag})")
        return place
    return flag
