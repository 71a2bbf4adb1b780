"""nfd-lite's own flags, and the settings they become."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import click
import re2

from nfd_lite.agent import OUTPUT_FILE, NfdSettings
from nfd_lite.collector import WhiteList
from nfd_lite.config import (
    NfdConfig,
    WorkerConfig,
    config_notes,
    decode_worker_config,
    merge_configs,
    source_settings,
)
from nfd_lite.rule_pass import RuleSettings
from nfd_lite.rules.custom import decode_custom_rules
from nfd_lite.rules.custom_files import CUSTOM_DIR
from nfd_lite.rules.outputs import OutputPolicy
from nfd_lite.sources import ALL, FEATURES_DIR
from nfd_lite.sources.api import OFF
from node_core.decode import closest
from node_core.runtime.flag_types import PathType
from node_core.runtime.flags import (
    Options,
    bool_option,
    config_option,
    inline_config_option,
    options,
    taken_option,
)

CONFIG_FILE = Path("/etc/kubernetes/node-feature-discovery/nfd-worker.conf")
CUSTOM = "custom"
_KLOG = (
    *(
        "add_dir_header",
        "alsologtostderr",
        "log_backtrace_at",
        "log_dir",
        "log_file",
        "log_file_max_size",
        "logtostderr",
    ),
    *("one_output", "skip_headers", "skip_log_headers", "stderrthreshold", "v", "vmodule"),
)


class SourceNames(click.ParamType[frozenset[str]]):
    """Comma-separated names of sources; `all` but those of OFF; `-name` takes one away."""

    name = "sources"

    def __init__(self, known: tuple[str, ...]) -> None:
        self._known = known

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> frozenset[str]:
        if isinstance(value, frozenset):
            return value
        chosen: set[str] = set()
        for word in filter(None, (part.strip() for part in value.split(","))):
            name = word.removeprefix("-")
            if name != "all" and name not in self._known:
                known = f"there are {', '.join(self._known)}"
                self.fail(f"{name!r} is no source{closest(name, list(self._known))}; {known}", param, ctx)
            names = set(self._known) - OFF if name == "all" else {name}
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


def _words(_ctx: click.Context, _param: click.Parameter, value: str) -> tuple[str, ...]:
    return tuple(filter(None, (word.strip() for word in value.split(","))))


def _port(ctx: click.Context, _: click.Parameter, port: int | None) -> None:
    if port is not None:
        ctx.default_map = {**(ctx.default_map or {}), "http_address": f":{port}"}


port_option: Options = click.option(
    "--port",
    type=click.IntRange(0, 65535),
    is_eager=True,
    expose_value=False,
    callback=_port,
    help="As upstream: --http-address :PORT, which wins.",
)
SOURCES = tuple(source.name for source in ALL)

namespace_options = (
    click.option(
        "--extra-label-ns",
        default="",
        callback=_words,
        help="Label namespaces that rules may use whatever else is said.",
    ),
    click.option(
        "--deny-label-ns",
        default="",
        callback=_words,
        help="Label namespaces that rules may not use: names, *.suffix, or *.",
    ),
)

rule_options = (
    click.option(
        "--custom-dir",
        default=CUSTOM_DIR,
        type=PathType(),
        help="Host folder of drop-ins: custom rules, NodeFeatureRules.",
    ),
    bool_option(
        "--node-feature-rules",
        envvar="NFD_NODE_FEATURE_RULES",
        default=True,
        help_text="Evaluate the cluster's NodeFeatureRules for this Node, where labels go to the Node.",
    ),
    bool_option(
        "--merge-node-features",
        envvar="NFD_MERGE_NODE_FEATURES",
        default=False,
        help_text="Merge NodeFeature objects that others wrote of this Node; whoever may create them can label it.",
    ),
    bool_option("--enable-taints", envvar="NFD_ENABLE_TAINTS", default=False, help_text="Let rules taint this Node."),
    *namespace_options,
)

nfd_options = options(
    config_option("--config", name="nfd_config", envvar=["NFD_CONFIG"], load=decode_worker_config, default=CONFIG_FILE),
    inline_config_option("--options", name="nfd_inline", load=decode_worker_config),
    click.option(
        "--feature-sources",
        default="all",
        type=SourceNames(SOURCES),
        help="Sources that are read: names, all, -name; all but extra and fake. Rules know nothing of the others.",
    ),
    click.option(
        "--label-sources",
        default="all",
        type=SourceNames((*SOURCES, CUSTOM)),
        help="Sources that make labels: names, all, -name.",
    ),
    click.option("--label-white-list", type=Pattern(), help="Publish only labels in whose name this is found."),
    click.option(
        "--features-dir", default=FEATURES_DIR, type=PathType(), help="Host folder of the local source's feature files."
    ),
    bool_option("--no-publish", envvar="NFD_NO_PUBLISH", default=False, help_text="Look, and write nothing."),
    click.option(
        "--no-publish-features",
        default="",
        callback=_words,
        help="Features that a NodeFeature object is not to hold, such as kernel.config or cpu.*.",
    ),
    *rule_options,
    port_option,
    taken_option("--owner-refs", None, "what we publish belongs to the Node and outlives our pod"),
    taken_option("--no-owner-refs", None, "as --owner-refs", may_stand_alone=True),
    taken_option("--feature-gates", None, "there is nothing to gate"),
    *(taken_option(f"--{name}", None, "see --log-level", may_stand_alone=True, hidden=True) for name in _KLOG),
)


def nfd_settings(values: dict[str, Any]) -> NfdSettings:
    """From click's values. In one process with other agents labels go to the Node. Raises SettingsError for custom rules that are none."""
    output_file = values.get("output_file", OUTPUT_FILE)
    config = nfd_config(values)
    return NfdSettings(
        label_sources=values["label_sources"],
        source_settings=source_settings(
            _config(values),
            feature_sources=values["feature_sources"],
            features_dir=str(values["features_dir"]),
            own_file=str(output_file),
        ),
        white_list=values["label_white_list"],
        publish="nothing" if config.no_publish else values.get("publish") or "node",
        output_file=output_file,
        rules=_rule_settings(values, config),
        cluster_rules=values["node_feature_rules"],
        others=values["merge_node_features"],
        hidden_features=config.no_publish_features,
        notes=config.notes,
    )


def _rule_settings(values: dict[str, Any], config: NfdConfig) -> RuleSettings:
    return RuleSettings(
        configured=decode_custom_rules(config.custom_rules) if config.custom_rules else None,
        custom_dir=str(values["custom_dir"]),
        policy=output_policy(values),
        taints=values["enable_taints"],
    )


def output_policy(values: Mapping[str, Any]) -> OutputPolicy:
    """From click's values of namespace_options."""
    return OutputPolicy(
        extra_label_ns=frozenset(values["extra_label_ns"]), deny_label_ns=frozenset(values["deny_label_ns"])
    )


def nfd_config(values: dict[str, Any]) -> NfdConfig:
    """From click's values, what concerns publishing and rules."""
    config = _config(values) or WorkerConfig()
    return NfdConfig(
        custom_rules=config.sources.custom or [],
        no_publish=values["no_publish"],
        no_publish_features=values["no_publish_features"],
        notes=config_notes(config),
    )


def _config(values: dict[str, Any]) -> WorkerConfig | None:
    return merge_configs(values["nfd_config"], values["nfd_inline"])
