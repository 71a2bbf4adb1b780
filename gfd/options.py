"""gfd's own flags, and the settings they become."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import click

from gfd.agent import OUTPUT_FILE, GfdSettings
from gfd.labelers import DECLARED
from node_core.assembly import CLUSTER, Destination
from node_core.decode import closest
from node_core.domain.family import FAMILIES
from node_core.domain.premium import PremiumRule
from node_core.errors import SettingsError
from node_core.runtime.flags import bool_option, options, taken_option
from node_core.runtime.named_options import named_problems, named_settings
from node_core.runtime.nvidia_config import NvidiaConfig, plan_sharing
from node_core.runtime.nvidia_devices import plan_rules

FIXED = (
    "oneshot", "sleep_interval", "output_file", "use_node_feature_api", "driver_root", "device_discovery_strategy"
)  # fmt: skip
"""Parameters that a config file may have and that are settled when the process begins."""

gfd_options = options(
    bool_option(
        "--no-timestamp", envvar="GFD_NO_TIMESTAMP", default=False, help_text="Leave nvidia.com/gfd.timestamp out."
    ),
    click.option(
        "--machine-type-file",
        envvar="GFD_MACHINE_TYPE_FILE",
        default="/sys/class/dmi/id/product_name",
        help="Host file with the machine type.",
    ),
)


destination_options = options(
    bool_option(
        "--use-node-feature-api",
        envvar=["GFD_USE_NODE_FEATURE_API", "USE_NODE_FEATURE_API"],
        default=None,
        help_text="As upstream: true is --publish node-feature; false is --publish file, or stdout where --output-file is empty.",
    ),
    click.option(
        "--namespace", envvar="NAMESPACE", help="Of the NodeFeature object; the pod's own if nothing is said."
    ),
    taken_option("--pod-name", "POD_NAME", "labels belong to the Node and outlive our pod"),
    taken_option("--kube-api-qps", "KUBE_API_QPS", "there is nothing to limit, only writes when something changed"),
    taken_option("--kube-api-burst", "KUBE_API_BURST", "as --kube-api-qps"),
)


def choose_destination(
    publish: Destination | None, use_node_feature_api: bool | None, output_file: Path
) -> Destination:
    """--publish if it is said; else what upstream's flags mean, where an empty output file is standard output; else the Node. Pure."""
    if publish is not None:
        return publish
    if use_node_feature_api is None:
        return "node"
    if use_node_feature_api:
        return "node-feature"
    return "stdout" if output_file == Path() else "file"


def premium_problems(settings: GfdSettings) -> Iterator[str]:
    """Why the premium rules cannot be kept, a sentence each. Pure."""
    for rule in settings.premium:
        yield from (f"premium rule {rule.name!r}: {problem}" for problem in _rule_problems(rule))
    if settings.publish not in CLUSTER and any(rule.taint for rule in settings.premium):
        yield f"premium: taints need the cluster, and --publish {settings.publish} does not go there: publish to node or node-feature"


def follow_problems(settings: GfdSettings) -> Iterator[str]:
    """Why no label of the Node can be followed, a sentence each. Pure."""
    if settings.named is not None and settings.publish not in CLUSTER:
        flag = "--config-dir" if isinstance(settings.named.place, Path) else "--config-map"
        yield (
            f"{flag}: a label of the Node chooses, and --publish {settings.publish} does not follow the Node: "
            "publish to node or node-feature, or name a --config-file"
        )


def _rule_problems(rule: PremiumRule) -> Iterator[str]:
    family = rule.match.family
    if family is not None and family.lower() not in FAMILIES:
        known = ", ".join(FAMILIES)
        yield f"match.family: no GPU is of the family {family!r}{closest(family.lower(), list(FAMILIES))}; there are {known}"
    for key in rule.labels:
        if any(each.matches(key) for each in DECLARED):
            free = key.replace("nvidia.com/", "nvidia.com/premium.", 1)
            yield f"labels: {key} is what gfd itself says of the node (did you mean {free}?)"


def gfd_settings(values: dict[str, Any]) -> GfdSettings:
    """From click's values. In one process with other agents labels go to the Node. Raises SettingsError."""
    settings = _settings(values)
    if problems := [*named_problems(values), *follow_problems(settings), *premium_problems(settings)]:
        raise SettingsError(problems)
    return settings


def _settings(values: dict[str, Any]) -> GfdSettings:
    config: NvidiaConfig = values["nvidia_config"] or NvidiaConfig()
    output_file = values.get("output_file", OUTPUT_FILE)
    return GfdSettings(
        mig_strategy=values["mig_strategy"],
        timestamp=not values["no_timestamp"],
        machine_type_file=values["machine_type_file"],
        publish=choose_destination(values.get("publish"), values.get("use_node_feature_api"), output_file),
        output_file=output_file,
        namespace=values.get("namespace"),
        sharing=plan_sharing(config.sharing),
        names=plan_rules(config.device_sections).names,
        premium=tuple(config.premium),
        named=named_settings(values),
    )
