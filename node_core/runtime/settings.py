"""Command lines of the agents: flag > environment > config file > default, and all problems at once.

click reads flags and environment; the config file enters as click's default_map. Unlike click alone, a wrong command line or
file is reported with every problem, one line each, and exit status 2.
"""

import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import click
from click.core import ParameterSource

from node_core.decode import closest
from node_core.domain.duration import parse_interval
from node_core.domain.labels import node_name_problem
from node_core.errors import SettingsError
from node_core.runtime.http import parse_address
from node_core.runtime.instance import DEFAULT_DIRECTORY
from node_core.version import VERSION

USAGE = 2
"""Exit status for wrong flags, environment or files; the only failure that ends an agent."""

_PROBLEMS = "gpunode.problems"


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
        rehearsal = click.Context(self, parent=ctx.parent, info_name=ctx.info_name, ignore_unknown_options=True)
        problems: list[str] = rehearsal.meta.setdefault(_PROBLEMS, [])
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
                args = [arg for arg in args if arg.partition("=")[0] != error.option_name]

    def _two_dashes(self, arg: str) -> str:
        flags = {name for parameter in self.params for name in (*parameter.opts, *parameter.secondary_opts)}
        return f"-{arg}" if f"-{arg.partition('=')[0]}" in flags and not arg.startswith("--") else arg

    def _leftovers(self, ctx: click.Context, rest: Sequence[str]) -> list[str]:
        flags = [name for parameter in self.get_params(ctx) for name in parameter.opts if name.startswith("--")]
        unknown = [arg.partition("=")[0] for arg in rest if arg.startswith("-")]
        if unknown:
            return [f"{flag}: unknown flag{closest(flag, flags)}" for flag in unknown]
        return [f"{arg!r}: unexpected argument" for arg in rest]


def _describe(error: click.UsageError, ctx: click.Context) -> str:
    parameter = getattr(error, "param", None)
    if not isinstance(parameter, click.Option):
        return error.format_message()
    assert parameter.name is not None  # noqa: S101 - click names every parameter
    source = ctx.get_parameter_source(parameter.name)
    variables = parameter.envvar if isinstance(parameter.envvar, list | tuple) else [parameter.envvar]
    where = parameter.opts[0]
    if source == ParameterSource.ENVIRONMENT:
        where = f"{'/'.join(str(name) for name in variables)} ({where})"
    elif source == ParameterSource.DEFAULT_MAP:
        where = f"config file ({where})"
    message = error.message if isinstance(error, click.BadParameter) else error.format_message()
    return f"{where}: {message}"


class Interval(click.ParamType["float | Infinite"]):
    """Seconds between passes, None for `infinite`; see domain.duration."""

    name = "duration"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> "float | Infinite":
        if isinstance(value, Infinite):
            return value
        try:
            seconds = parse_interval(value)
        except ValueError as error:
            self.fail(str(error), param, ctx)
        return INFINITE if seconds is None else seconds


class Address(click.ParamType[str]):
    """host:port to listen on; empty for nowhere."""

    name = "host:port"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> str:
        try:
            if value:
                parse_address(value)
        except ValueError as error:
            self.fail(str(error), param, ctx)
        return str(value)


class PathType(click.Path):
    """A path that need not exist; pathlib's."""

    def __init__(self, *, may_be_empty: bool = False) -> None:
        super().__init__(path_type=Path)
        self._may_be_empty = may_be_empty

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        if not str(value) and not self._may_be_empty:
            self.fail("is empty: name a path", param, ctx)
        return super().convert(value, param, ctx)


class NodeName(click.ParamType[str]):
    """The name of a Node; empty where none is needed."""

    name = "name"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> str:
        if value and (problem := node_name_problem(value)):
            self.fail(problem, param, ctx)
        return str(value)


@dataclass(frozen=True, slots=True)
class Infinite:
    """No periodic passes; click itself uses None for a missing value."""


INFINITE = Infinite()


def config_option(
    *flags: str, name: str, envvar: Sequence[str], load: Callable[[Path], tuple[Any, Mapping[str, Any]]]
) -> "Options":
    """The eager option that reads a config file. name: of its value. load: path -> (decoded struct, defaults by parameter name)."""

    def read(ctx: click.Context, _: click.Parameter, path: Path | None) -> Any:
        if path is None:
            return None
        try:
            decoded, defaults = load(path)
        except SettingsError as error:
            ctx.meta.setdefault(_PROBLEMS, []).extend(error.problems)
            return None
        options = {parameter.name for parameter in ctx.command.params}
        idle = [
            f"{path}: {name.replace('_', '-')} has no effect on {ctx.info_name}"
            for name in defaults
            if name not in options
        ]
        ctx.meta.setdefault(_PROBLEMS, []).extend(idle)
        ctx.default_map = {**(ctx.default_map or {}), **defaults}
        return decoded

    return click.option(
        *flags,
        name,
        envvar=list(envvar),
        type=PathType(),
        is_eager=True,
        callback=read,
        help="YAML or JSON config file.",
    )


Options = Callable[[Callable[..., Any]], Callable[..., Any]]
"""A decorator that adds click options to a command."""


def options(*each: Options) -> Options:
    """Several options as one decorator, in the order in which --help shows them."""

    def decorate(function: Callable[..., Any]) -> Callable[..., Any]:
        for option in reversed(each):
            function = option(function)
        return function

    return decorate


def taken_option(flag: str, envvar: str, why: str) -> Options:
    """A flag that upstream has and that does nothing here, so that old manifests keep working. why: it does nothing."""
    return click.option(
        flag, envvar=envvar, expose_value=False, help=f"Taken for compatibility, without effect: {why}."
    )


def publish_options(
    *, agent: str, output_file: str, destinations: Sequence[str] = ("node", "file", "stdout")
) -> Options:
    """Where and how often, of the agents that publish labels. agent: the prefix of their environment names."""
    return options(
        click.option(
            "--publish",
            envvar=f"{agent}_PUBLISH",
            type=click.Choice(destinations),
            help="Where labels go; to the Node if nothing is said.",
        ),
        click.option(
            "--output-file",
            "--output",
            "-o",
            envvar=f"{agent}_OUTPUT_FILE",
            default=output_file,
            type=PathType(may_be_empty=True),
            help="With --publish file: the file.",
        ),
        click.option("--oneshot", envvar=f"{agent}_ONESHOT", is_flag=True, help="Publish once and exit."),
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class CommonSettings:
    """What every agent takes. interval: seconds, None for never. lock_dir: where the files of `runtime.instance` lie."""

    node_name: str
    kubeconfig: str | None
    simulate: str | None
    host_root: Path
    oneshot: bool
    interval: float | None
    address: str
    log_format: str
    log_level: str
    lock_dir: Path


def common_options(*, agent: str, address: str) -> Options:
    """The flags of CommonSettings, with the agent's own environment names first where upstream has them."""
    return options(
        click.option("--node-name", type=NodeName(), envvar="NODE_NAME", default="", help="Name of this Node."),
        click.option("--kubeconfig", envvar="KUBECONFIG", help="Cluster to talk to; in a pod its own."),
        click.option(
            "--simulate",
            envvar="GPUNODE_SIMULATE",
            metavar="NAME|FILE",
            help="Simulate GPUs from a scenario.",
        ),
        click.option(
            "--host-root",
            envvar="HOST_ROOT",
            default="/",
            type=PathType(),
            help="Where the host's / is.",
        ),
        click.option(
            "--sleep-interval",
            envvar=f"{agent}_SLEEP_INTERVAL",
            default="60s",
            type=Interval(),
            help="Between full passes.",
        ),
        click.option(
            "--http-address",
            type=Address(),
            envvar="HTTP_ADDRESS",
            default=address,
            help="/healthz, /readyz, /metrics; empty for none.",
        ),
        click.option(
            "--log-format",
            envvar="LOG_FORMAT",
            default="auto",
            type=click.Choice(["auto", "json", "console"]),
        ),
        click.option(
            "--log-level",
            envvar="LOG_LEVEL",
            default="info",
            type=click.Choice(["debug", "info", "warning", "error"]),
        ),
        click.option(
            "--lock-dir",
            envvar="GPUNODE_LOCK_DIR",
            default=DEFAULT_DIRECTORY,
            type=PathType(),
            help="Where the lock lies that keeps a second agent of a kind off the Node.",
        ),
        click.version_option(VERSION),
    )


def common_settings(values: dict[str, Any]) -> CommonSettings:
    """Takes the common flags out of click's values."""
    interval = values.pop("sleep_interval")
    return CommonSettings(
        node_name=values.pop("node_name"),
        kubeconfig=values.pop("kubeconfig"),
        simulate=values.pop("simulate"),
        host_root=values.pop("host_root"),
        oneshot=values.pop("oneshot", False),
        interval=None if isinstance(interval, Infinite) else interval,
        address=values.pop("http_address"),
        log_format=values.pop("log_format"),
        log_level=values.pop("log_level"),
        lock_dir=values.pop("lock_dir"),
    )


def parse_command(command: click.Command, arguments: Sequence[str], prog: str) -> dict[str, Any] | None:
    """The values of a command line; None when it only asked for help or version. Raises SettingsError."""
    try:
        with command.make_context(prog, list(arguments)) as ctx:
            return dict(ctx.params)
    except click.exceptions.Exit:
        return None
    except click.UsageError as error:
        raise SettingsError([error.format_message()]) from error


def report_usage(error: SettingsError, prog: str) -> int:
    """Prints every problem on its own line; the exit status."""
    for problem in error.problems:
        print(f"{prog}: {problem}", file=sys.stderr)
    return USAGE
