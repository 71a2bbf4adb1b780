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
from node_core.errors import SettingsError
from node_core.runtime.instance import DEFAULT_DIRECTORY

USAGE = 2
"""Exit status for wrong flags, environment or files; the only failure that ends an agent."""

_PROBLEMS = "gpunode.problems"


class AgentCommand(click.Command):
    """Collects every problem of flags, environment and config file before it gives up.

    go_flags: also take long flags with one dash (`-oneshot`), as Go programs do.
    """

    def __init__(self, *args: Any, go_flags: bool = False, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._go_flags = go_flags

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
        values, rest, order = self.make_parser(rehearsal).parse_args(list(args))
        problems += self._leftovers(rehearsal, rest)
        for parameter in click.core.iter_params_for_processing(order, self.get_params(rehearsal)):
            try:
                parameter.handle_parse_result(rehearsal, values, [])
            except click.UsageError as error:
                problems.append(_describe(error, rehearsal))
        return problems

    def _two_dashes(self, arg: str) -> str:
        is_go = self._go_flags and len(arg) > 2 and arg[0] == "-" and arg[1].isalpha()
        return f"-{arg}" if is_go else arg

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


class PathType(click.Path):
    """A path that need not exist; pathlib's."""

    def __init__(self) -> None:
        super().__init__(path_type=Path)


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
        show_envvar=True,
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


def publish_options(*, agent: str, output_file: str) -> Options:
    """Where and how often, of the agents that publish labels. agent: the prefix of their environment names."""
    return options(
        click.option(
            "--publish",
            envvar=f"{agent}_PUBLISH",
            default="node",
            type=click.Choice(["node", "stdout", "file"]),
            show_default=True,
            help="Where labels go.",
        ),
        click.option(
            "--output-file",
            "--output",
            "-o",
            envvar=f"{agent}_OUTPUT_FILE",
            default=output_file,
            type=PathType(),
            show_default=True,
            help="With --publish file: the file.",
        ),
        click.option(
            "--oneshot", envvar=f"{agent}_ONESHOT", is_flag=True, help="Publish once and exit.", show_envvar=True
        ),
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class CommonSettings:
    """What every agent takes. interval: seconds, None for never. lock_dir: None for no lock."""

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
        click.option("--node-name", envvar="NODE_NAME", default="", help="Name of this Node.", show_envvar=True),
        click.option(
            "--kubeconfig", envvar="KUBECONFIG", help="Cluster to talk to; in a pod its own.", show_envvar=True
        ),
        click.option(
            "--simulate",
            envvar="GPUNODE_SIMULATE",
            metavar="NAME|FILE",
            help="Simulate GPUs from a scenario.",
            show_envvar=True,
        ),
        click.option(
            "--host-root",
            envvar="HOST_ROOT",
            default="/",
            type=PathType(),
            help="Where the host's / is.",
            show_envvar=True,
        ),
        click.option(
            "--sleep-interval",
            envvar=f"{agent}_SLEEP_INTERVAL",
            default="60s",
            type=Interval(),
            help="Between full passes.",
            show_default=True,
        ),
        click.option(
            "--http-address",
            envvar="HTTP_ADDRESS",
            default=address,
            help="/healthz, /readyz, /metrics; empty for none.",
            show_default=True,
        ),
        click.option(
            "--log-format",
            envvar="LOG_FORMAT",
            default="auto",
            type=click.Choice(["auto", "json", "console"]),
            show_default=True,
        ),
        click.option(
            "--log-level",
            envvar="LOG_LEVEL",
            default="info",
            type=click.Choice(["debug", "info", "warning", "error"]),
            show_default=True,
        ),
        click.option(
            "--lock-dir",
            envvar="GPUNODE_LOCK_DIR",
            default=DEFAULT_DIRECTORY,
            type=PathType(),
            hidden=True,
        ),
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
