"""gfd's own flags, and the settings they become."""

from typing import Any

import click

from gfd.agent import GfdSettings
from node_core.runtime.settings import PathType, options

gfd_options = options(
    click.option("--no-timestamp", envvar="GFD_NO_TIMESTAMP", is_flag=True, help="Leave nvidia.com/gfd.timestamp out."),
    click.option(
        "--machine-type-file",
        envvar="GFD_MACHINE_TYPE_FILE",
        default="/sys/class/dmi/id/product_name",
        show_default=True,
        help="Host file with the machine type.",
    ),
    click.option(
        "--output-file",
        "--output",
        "-o",
        envvar="GFD_OUTPUT_FILE",
        default="/etc/kubernetes/node-feature-discovery/features.d/gfd",
        type=PathType(),
        show_default=True,
        help="With --publish file: the file.",
    ),
)


def gfd_settings(values: dict[str, Any]) -> GfdSettings:
    """From click's values. Without --publish labels go to the Node."""
    return GfdSettings(
        mig_strategy=values["mig_strategy"],
        timestamp=not values["no_timestamp"],
        machine_type_file=values["machine_type_file"],
        publish=values.get("publish", "node"),
        output_file=values["output_file"],
    )
