"""The flags of `named_config`, and how settings come of the config that a label names. For all agents that read NVIDIA's config file."""

from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, TypeVar

import click
import structlog

from node_core.decode import Document
from node_core.runtime.command import parse_command
from node_core.runtime.flag_types import ConfigMapType, PathType
from node_core.runtime.flags import options
from node_core.runtime.list_options import list_option
from node_core.runtime.named_config import DEFAULT_FALLBACKS, FALLBACKS, LABEL, NamedConfigOptions

log = structlog.get_logger(__name__)

Settings = TypeVar("Settings")

PLACES = {"--config-dir": "config_dir", "--config-map": "config_map"}
"""The flags that say where the configs are, and their parameters."""
NOWHERE = tuple(word for flag in PLACES for word in (flag, ""))

named_options = options(
    click.option(
        "--config-dir",
        envvar="CONFIG_FILE_SRCDIR",
        type=PathType(may_be_empty=True),
        help="A folder of config files; a label of the Node names the one that counts.",
    ),
    click.option(
        "--config-map",
        envvar="CONFIG_MAP",
        type=ConfigMapType(),
        metavar="NAMESPACE/NAME",
        help="Instead of --config-dir: a ConfigMap, followed by the API, whose entries are the config files.",
    ),
    click.option(
        "--node-label", envvar="NODE_LABEL", default=LABEL, help="With --config-dir or --config-map: that label."
    ),
    click.option(
        "--default-config",
        envvar="DEFAULT_CONFIG",
        default="",
        help="With them: the config of Nodes without the label.",
    ),
    list_option(
        "--fallback-strategies",
        envvar="FALLBACK_STRATEGIES",
        default=DEFAULT_FALLBACKS,
        known=FALLBACKS,
        help_text="With them: which config, where neither the label nor --default-config names one; the first that there is."
        " named: that of the name default. single: the only one. empty: none.",
    ),
)


def named_settings(values: Mapping[str, Any]) -> NamedConfigOptions | None:
    """From click's values; None without a folder and a ConfigMap."""
    places = [values[name] for name in PLACES.values() if _is_said(values, name)]
    if not places:
        return None
    return NamedConfigOptions(
        place=places[0],
        label=values["node_label"],
        default=values["default_config"],
        fallbacks=values["fallback_strategies"],
    )


def named_problems(values: Mapping[str, Any]) -> Iterator[str]:
    """Why the configs cannot be followed, a sentence each."""
    said = [flag for flag, name in {**PLACES, "--config-file": "nvidia_config"}.items() if _is_said(values, name)]
    if len(said) > 1:
        yield f"{said[0]}: stands beside {' and '.join(said[1:])}: take one of them"


def _is_said(values: Mapping[str, Any], name: str) -> bool:
    return values[name] not in (None, Path())


def reread_with(
    command: click.Command,
    arguments: Sequence[str],
    prog: str,
    settings: Callable[[dict[str, Any]], Settings],
    *,
    fixed: Collection[str] = (),
) -> Callable[[Document | None], Settings]:
    """Settings by the same command line and environment with the config that a label names; they win over it as over a file.

    settings: of click's values. fixed: parameters that are settled when the process begins; a file that wants them otherwise is told so.
    """

    def parse(**configs: Document) -> dict[str, Any]:
        return parse_command(command, [*arguments, *NOWHERE], prog, configs=configs) or {}

    def reread(config: Document | None) -> Settings:
        plain = parse()
        values = plain if config is None else parse(nvidia_config=config)
        made = settings({**values, **{name: plain[name] for name in fixed if name in plain}})
        for option in command.params:
            if option.name in fixed and values[option.name] != plain[option.name]:
                why = "a config that a label names cannot set it: use its flag"
                log.warning("setting_ignored", setting=option.opts[0].lstrip("-"), why=why)
        return made

    return reread
