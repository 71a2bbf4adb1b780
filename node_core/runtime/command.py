"""Command lines of the agents: every problem of flags, environment and config file at once, one line each, and exit status 2.

click reads flags and environment; a config file enters as click's default_map.
"""

import sys
from collections.abc import Mapping, Sequence
from typing import Any

import click
from click.core import ParameterSource

from node_core.decode import Document, closest
from node_core.errors import SettingsError

USAGE = 2
"""Exit status for wrong flags, environment or files; the only failure that ends an agent."""

PROBLEMS = "gpunode.problems"
"""Where a context keeps what is wrong with a config file until all of the command line was read."""

CONFIG_FILES = "gpunode.config_files"
"""Where a context keeps the fingerprints of the config files that it read or would have read."""


class AgentCommand(click.Command):
    """Collects every problem of flags, environment and config file before it gives up.

    --help names each flag's environment variables and default. Long flags are also taken with one dash (`-oneshot`), as the Go
    programs take them that these agents replace.
    """

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        kwargs.setdefault("context_settings", {"help_option_names": ["-h", "--help"]})
        super().__init__(*args, **kwargs)
        for option in self.params:
            if isinstance(option, click.Option):
                option.show_envvar = True
                option.show_default = True

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        args = [self._two_dashes(arg) for arg in args]
        problems = self._problems(args, ctx)
        if problems and not ctx.resilient_parsing:
            raise SettingsError(problems)
        return super().parse_args(ctx, args)

    def _problems(self, args: list[str], ctx: click.Context) -> list[str]:
        """A rehearsal in a context of its own, which goes on after an error where click would stop."""
        rehearsal = click.Context(
            self, parent=ctx.parent, info_name=ctx.info_name, obj=ctx.obj, ignore_unknown_options=True
        )
        problems: list[str] = rehearsal.meta.setdefault(PROBLEMS, [])
        values, rest, order = self._parse_leniently(rehearsal, args, problems)
        problems += self._leftovers(rehearsal, rest)
        for parameter in click.core.iter_params_for_processing(order, self.get_params(rehearsal)):
            try:
                parameter.handle_parse_result(rehearsal, values, [])
            except click.UsageError as error:
                problems.append(_describe(error, rehearsal))
        return problems

    def _parse_leniently(self, ctx: click.Context, args: list[str], problems: list[str]) -> Any:
        """click's parser, which gives up at a flag without its value: that flag is noted and left out."""
        while True:
            try:
                return self.make_parser(ctx).parse_args(list(args))
            except click.BadOptionUsage as error:
                problems.append(f"{error.option_name}: {error.message}")
                left = [arg for arg in args if not _names(arg, error.option_name)]
                args = left if len(left) < len(args) else []

    def _two_dashes(self, arg: str) -> str:
        flags = {name for parameter in self.params for name in (*parameter.opts, *parameter.secondary_opts)}
        return f"-{arg}" if f"-{arg.partition('=')[0]}" in flags and not arg.startswith("--") else arg

    def _leftovers(self, ctx: click.Context, rest: Sequence[str]) -> list[str]:
        flags = [name for parameter in self.get_params(ctx) for name in parameter.opts if name.startswith("--")]
        unknown = [arg.partition("=")[0] for arg in rest if arg.startswith("-")]
        if unknown:
            return [f"{flag}: unknown flag{closest(flag, flags)}" for flag in unknown]
        return [f"{arg!r}: unexpected argument" for arg in rest]


def _names(arg: str, flag: str) -> bool:
    """Whether a word of the command line is this flag, or a bundle of short ones that has it: `-vo` and `-o`."""
    is_bundle = len(flag) == 2 and arg.startswith("-") and not arg.startswith("--") and flag[1] in arg
    return arg.partition("=")[0] == flag or is_bundle


def _describe(error: click.UsageError, ctx: click.Context) -> str:
    parameter = getattr(error, "param", None)
    if not isinstance(parameter, click.Option):
        return error.format_message()
    assert parameter.name is not None  # noqa: S101  # nosec B101 # click names every parameter
    source = ctx.get_parameter_source(parameter.name)
    variables = parameter.envvar if isinstance(parameter.envvar, list | tuple) else [parameter.envvar]
    where = parameter.opts[0]
    if source == ParameterSource.ENVIRONMENT:
        where = f"{'/'.join(str(name) for name in variables)} ({where})"
    elif source == ParameterSource.DEFAULT_MAP:
        where = f"config file ({where})"
    message = error.message if isinstance(error, click.BadParameter) else error.format_message()
    return f"{where}: {message}"


def parse_command(
    command: click.Command, arguments: Sequence[str], prog: str, *, configs: Mapping[str, Document] | None = None
) -> dict[str, Any] | None:
    """The values of a command line, and its `config_files`; None when it only asked for help or version. Raises SettingsError.

    configs: by the name of the option that reads a config file, what is taken instead of the file.
    """
    try:
        with command.make_context(prog, list(arguments), obj=configs) as ctx:
            return {**ctx.params, "config_files": ctx.meta.get(CONFIG_FILES, {})}
    except click.exceptions.Exit:
        return None
    except click.UsageError as error:
        raise SettingsError([error.format_message()]) from error


def report_usage(error: SettingsError, prog: str) -> int:
    """Prints every problem on its own line; the exit status."""
    for problem in error.problems:
        print(f"{prog}: {problem}", file=sys.stderr)
    return USAGE
