"""The settings of nfd-lite, in addition to the settings of every agent."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, ClassVar

import click

from gpu_core.assembly import Destination
from nfd_lite.config import (
    CoreFlags,
    Restrictions,
    WorkerFile,
    decode_worker_config,
    merge_configs,
    source_settings,
)
from nfd_lite.rule_pass import RuleSettings
from nfd_lite.rules.custom import decode_custom_rules
from nfd_lite.rules.custom_files import CUSTOM_DIR
from nfd_lite.rules.outputs import OutputPolicy
from nfd_lite.sources import FEATURES_DIR, SourceSettings
from nfd_lite.upstream_flags import UPSTREAM_FLAGS
from node_core.runtime.command import ignored_option
from node_core.runtime.config_file import config_option, inline_config_option
from node_core.runtime.setting import build, setting

CONFIG_FILE = Path("/etc/kubernetes/node-feature-discovery/nfd-worker.conf")
OUTPUT_FILE = Path("/etc/kubernetes/node-feature-discovery/features.d/nfd-lite")


@dataclass(frozen=True, slots=True, kw_only=True)
class NamespaceFlags:
    """The namespaces in which rules may set labels."""

    HEADING: ClassVar = "Rules"

    extra_label_ns: tuple[str, ...] = setting(
        "--extra-label-ns", (), "Label namespaces that rules may always use, even if --deny-label-ns matches them."
    )
    deny_label_ns: tuple[str, ...] = setting(
        "--deny-label-ns",
        (),
        "Label namespaces that rules must not use: a name, *.name for the namespaces below a name, or * for all.",
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class HostFlags:
    """The host folders of feature files and rules, and whether rules may set taints."""

    HEADING: ClassVar = "Rules"

    features_dir: Path = setting(
        "--features-dir", Path(FEATURES_DIR), "Host folder of feature files, which the source `local` reads."
    )
    custom_dir: Path = setting(
        "--custom-dir", Path(CUSTOM_DIR), "Host folder of drop-in files with custom rules or NodeFeatureRules."
    )
    enable_taints: bool = setting("--enable-taints NFD_ENABLE_TAINTS", False, "Allow rules to taint this Node.")


@dataclass(frozen=True, slots=True, kw_only=True)
class DriverFlags:
    """Whether driver pods run in the cluster."""

    HEADING: ClassVar = "Sources and labels"

    driver_label: bool = setting(
        "--driver-label NFD_DRIVER_LABEL",
        False,
        "Set the label nvidia.com/gpu.deploy.driver=pre-installed on a node whose host has an NVIDIA driver of its own, so that no"
        " driver pod starts there. Needs the folder /usr of the host below --host-root. A value that another client has set stays.",
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class NfdSettings(CoreFlags):
    """See Collector and RuleSettings.

    cluster_rules: evaluate the NodeFeatureRules of the cluster. merges_node_features: merge NodeFeatures of other writers for this Node.
    """

    HEADING: ClassVar = "Rules"

    source_settings: SourceSettings = field(default_factory=SourceSettings)
    publish: Destination = "node"
    output_file: Path = OUTPUT_FILE
    rules: RuleSettings = field(default_factory=RuleSettings)
    restrictions: Restrictions = field(default_factory=Restrictions)
    cluster_rules: bool = setting(
        "--node-feature-rules NFD_NODE_FEATURE_RULES",
        True,
        "Evaluate the NodeFeatureRules of the cluster. Used with --publish node.",
    )
    merges_node_features: bool = setting(
        "--merge-node-features NFD_MERGE_NODE_FEATURES",
        False,
        "Merge NodeFeature objects that other writers created for this Node. Anyone who may create them can then label the Node.",
    )


NFD: tuple[type | click.Option, ...] = (
    config_option("--config", name="nfd_config", env=["NFD_CONFIG"], load=decode_worker_config, default=CONFIG_FILE),
    inline_config_option("--options", name="nfd_inline", load=decode_worker_config),
    NfdSettings,
    DriverFlags,
    HostFlags,
    NamespaceFlags,
    ignored_option("--owner-refs", None, "published labels belong to the Node and remain when the pod ends"),
    ignored_option("--no-owner-refs", None, "see --owner-refs", may_stand_alone=True),
    ignored_option("--feature-gates", None, "nfd-lite has no feature gates"),
    *UPSTREAM_FLAGS,
)
"""The command line of nfd-lite, as an own program and in `gpunode run`."""


def nfd_settings(values: Mapping[str, Any]) -> NfdSettings:
    """Builds the settings from the values of a command line. `gpunode run` always publishes to the Node. Raises SettingsError."""
    output_file = values.get("output_file", OUTPUT_FILE)
    config = merge_configs(values["nfd_config"], values["nfd_inline"]) or WorkerFile()
    return build(
        NfdSettings,
        values,
        source_settings=source_settings(
            config,
            feature_sources=values["feature_sources"],
            features_dir=str(values["features_dir"]),
            own_file=str(output_file),
            labels_driver=values["driver_label"],
        ),
        publish="nothing" if values["no_publish"] else values.get("publish") or "node",
        output_file=output_file,
        rules=_rule_settings(values, config),
        restrictions=config.restrictions,
    )


def output_policy(values: Mapping[str, Any]) -> OutputPolicy:
    """Builds the policy from the values of NamespaceFlags."""
    return OutputPolicy(
        extra_label_ns=frozenset(values["extra_label_ns"]), deny_label_ns=frozenset(values["deny_label_ns"])
    )


def _rule_settings(values: Mapping[str, Any], config: Any) -> RuleSettings:
    custom = config.sources.custom
    return RuleSettings(
        configured=(decode_custom_rules(custom),) if custom else (),
        custom_dir=str(values["custom_dir"]),
        policy=output_policy(values),
        taints=values["enable_taints"],
        node_feature_labels=not config.restrictions.deny_node_feature_labels,
    )
