"""nfd-lite's own flags, and the settings they become."""

from typing import Any

import click
import re2

from nfd_lite.agent import OUTPUT_FILE, NfdSettings, WhiteList
from nfd_lite.config import load_worker_config, source_settings
from nfd_lite.sources import ALL
from node_core.decode import closest
from node_core.runtime.flags import config_option, options


class LabelSources(click.ParamType[frozenset[str]]):
    """Comma-separated names of sources; `all`; `-name` takes one away."""

    name = "sources"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> frozenset[str]:
        if isinstance(value, frozenset):
            return value
        chosen: set[str] = set()
        known = [source.name for source in ALL]
        for word in filter(None, (part.strip() for part in value.split(","))):
            name = word.removeprefix("-")
            if name != "all" and name not in known:
                self.fail(f"{name!r} is no source{closest(name, known)}; there are {', '.join(known)}", param, ctx)
            names = set(known) if name == "all" else {name}
            chosen = chosen - names if word.startswith("-") else chosen | names
        return frozenset(chosen)


class Pattern(click.ParamType[WhiteList]):
    """A regular expression, by RE2 as Node Feature Discovery has it: no pattern takes more than linear time."""

    name = "regex"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> WhiteList:
        quiet = re2.Options()
        quiet.log_errors = False
        try:
            pattern: WhiteList = re2.compile(value, quiet)
        except re2.error as error:
            self.fail(f"{value!r} is not a regular expression: {error}", param, ctx)
        return pattern


nfd_options = options(
    config_option("--config", name="nfd_config", envvar=["NFD_CONFIG"], load=load_worker_config),
    click.option(
        "--label-sources",
        default="all",
        type=LabelSources(),
        help="Sources that make labels: names, all, -name.",
    ),
    click.option("--label-white-list", type=Pattern(), help="Publish only labels in whose name this is found."),
)


def nfd_settings(values: dict[str, Any]) -> NfdSettings:
    """From click's values. In one process with other agents labels go to the Node."""
    return NfdSettings(
        label_sources=values["label_sources"],
        source_settings=source_settings(values["nfd_config"]),
        white_list=values["label_white_list"],
        publish=values.get("publish") or "node",
        output_file=values.get("output_file", OUTPUT_FILE),
    )
