"""Flags that several agents have, as decorators: flag > environment > config file > default."""

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import click
from click.core import ParameterSource

from node_core.decode import Document, parse_yaml, read_document
from node_core.errors import SettingsError
from node_core.runtime.command import CONFIG_FILES, PROBLEMS
from node_core.runtime.config_watch import fingerprint
from node_core.runtime.flag_types import Address, Interval, NodeName, PathType
from node_core.runtime.instance import DEFAULT_DIRECTORY
from node_core.version import VERSION

_INLINE = "gpunode.inline"
"""Where a context keeps the defaults that win over those of config files."""
Load = Callable[[Any, str], tuple[Any, Mapping[str, Any]]]
"""What a file says, and what to call it in problems -> a decoded struct, and defaults for options by name. Raises SettingsError."""


def config_option(
    *flags: str,
    name: str,
    envvar: Sequence[str],
    load: "Load",
    default: Path | None = None,
) -> "Options":
    """The eager option that reads a config file. name: of its value, the decoded struct.

    default: read where it is there and no other file is named.
    """

    def read(ctx: click.Context, _: click.Parameter, path: Path | None) -> Any:
        if (given := (ctx.obj or {}).get(name)) is not None:
            return _take(ctx, given.source, lambda: given, load)
        if path is None:
            return None
        ctx.meta.setdefault(CONFIG_FILES, {})[path] = fingerprint(path)
        if ctx.get_parameter_source(name) == ParameterSource.DEFAULT and not path.exists():
            return None
        return _take(ctx, str(path), lambda: read_document(path), load)

    return click.option(
        *flags,
        name,
        envvar=list(envvar),
        type=PathType(),
        default=default,
        is_eager=True,
        callback=read,
        help="YAML or JSON config file.",
    )


def inline_config_option(flag: str, *, name: str, load: "Load") -> "Options":
    """The eager option that holds what a config file may hold, and wins over it. name: of its value, the decoded struct."""

    def read(ctx: click.Context, _: click.Parameter, text: str | None) -> Any:
        return None if not text else _take(ctx, flag, lambda: _inline(text, flag), load, wins=True)

    return click.option(
        flag,
        name,
        is_eager=True,
        callback=read,
        metavar="YAML",
        help="What the config file may hold; it wins over the file.",
    )


def _inline(text: str, flag: str) -> Document:
    return Document(source=flag, content=text.encode(errors="surrogateescape"))


def _take(ctx: click.Context, where: str, read: Callable[[], Document], load: Load, *, wins: bool = False) -> Any:
    """Makes what is loaded the defaults of other options, or notes every problem of it."""
    try:
        decoded, defaults = load(parse_yaml(read()), where)
    except SettingsError as error:
        ctx.meta.setdefault(PROBLEMS, []).extend(error.problems)
        return None
    options = {parameter.name for parameter in ctx.command.params}
    idle = [
        f"{where}: {name.replace('_', '-')} has no effect on {ctx.info_name}"
        for name in defaults
        if name not in options
    ]
    ctx.meta.setdefault(PROBLEMS, []).extend(idle)
    winning = ctx.meta.setdefault(_INLINE, {})
    if wins:
        winning.update(defaults)
    ctx.default_map = {**(ctx.default_map or {}), **defaults, **winning}
    return decoded


Options = Callable[[Callable[..., Any]], Callable[..., Any]]
"""A decorator that adds click options to a command."""


def options(*each: Options) -> Options:
    """Several options as one decorator, in the order in which --help shows them."""

    def decorate(function: Callable[..., Any]) -> Callable[..., Any]:
        for option in reversed(each):
            function = option(function)
        return function

    return decorate


def bool_option(flag: str, *, envvar: str | list[str], default: bool | None, help_text: str) -> Options:
    """A flag that may stand alone or have a value, as Go's do: `--oneshot`, `--oneshot=false`."""
    return click.option(
        flag, envvar=envvar, is_flag=False, flag_value="true", default=default, type=bool, help=help_text
    )


def taken_option(
    flag: str, envvar: str | None, why: str, *, may_stand_alone: bool = False, hidden: bool = False
) -> Options:
    """A flag that upstream has and that does nothing here, so that old manifests keep working. why: it does nothing."""
    return click.option(
        flag,
        envvar=envvar,
        is_flag=False,
        flag_value="true" if may_stand_alone else None,
        expose_value=False,
        hidden=hidden,
        help=f"Taken for compatibility, without effect: {why}.",
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
        bool_option("--oneshot", envvar=f"{agent}_ONESHOT", default=False, help_text="Publish once and exit."),
    )


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
            "--tls-cert-file",
            type=PathType(),
            envvar="TLS_CERT_FILE",
            help="Certificate of --http-address, read anew when it changes; plain HTTP without.",
        ),
        click.option("--tls-private-key-file", type=PathType(), envvar="TLS_PRIVATE_KEY_FILE", help="Its key."),
        bool_option(
            "--metrics-auth",
            envvar="METRICS_AUTH",
            default=False,
            help_text="Let only those read /metrics whose token the cluster lets get it.",
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
            type=PathType(may_be_empty=True),
            help="Where the lock lies that keeps a second agent of a kind off the Node; empty for none.",
        ),
        click.version_option(VERSION),
    )
