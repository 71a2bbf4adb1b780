"""gfd's own flags, and the settings they become."""

from pathlib import Path
from typing import Any

import click

from gfd.agent import OUTPUT_FILE, GfdSettings
from node_core.assembly import CLUSTER, Destination
from node_core.runtime.flags import bool_option, options, taken_option
from node_core.runtime.nvidia_config import NvidiaConfig, plan_sharing

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


def premium_problem(settings: GfdSettings) -> str | None:
    """Why the premium rules cannot be kept, or None. Pure."""
    if settings.publish in CLUSTER or not any(rule.taint for rule in settings.premium):
        return None
    return f"premium: taints need the cluster, and --publish {settings.publish} does not go there: publish to node or node-feature"


def gfd_settings(values: dict[str, Any]) -> GfdSettings:
    """From click's values. In one process with other agents labels go to the Node."""
    config: NvidiaConfig | None = values.get("nvidia_config")
    output_file = values.get("output_file", OUTPUT_FILE)
    return GfdSettings(
        mig_strategy=values["mig_strategy"],
        timestamp=not values["no_timestamp"],
        machine_type_file=values["machine_type_file"],
        publish=choose_destination(values.get("publish"), values.get("use_node_feature_api"), output_file),
        output_file=output_file,
        namespace=values.get("namespace"),
        sharing=plan_sharing(config.sharing) if config else None,
        premium=tuple(config.premium) if config else (),
    )
