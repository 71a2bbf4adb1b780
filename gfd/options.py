"""gfd's own flags, and the settings they become."""

from typing import Any

import click

from gfd.agent import OUTPUT_FILE, GfdSettings
from node_core.runtime.nvidia_config import NvidiaConfig, plan_sharing
from node_core.runtime.settings import options

gfd_options = options(
    click.option("--no-timestamp", envvar="GFD_NO_TIMESTAMP", is_flag=True, help="Leave nvidia.com/gfd.timestamp out."),
    click.option(
        "--machine-type-file",
        envvar="GFD_MACHINE_TYPE_FILE",
        default="/sys/class/dmi/id/product_name",
        show_default=True,
        help="Host file with the machine type.",
    ),
)


def gfd_settings(values: dict[str, Any]) -> GfdSettings:
    """From click's values. In one process with other agents labels go to the Node."""
    config: NvidiaConfig | None = values.get("nvidia_config")
    return GfdSettings(
        mig_strategy=values["mig_strategy"],
        timestamp=not values["no_timestamp"],
        machine_type_file=values["machine_type_file"],
        publish=values.get("publish", "node"),
        output_file=values.get("output_file", OUTPUT_FILE),
        sharing=plan_sharing(config.sharing) if config else None,
    )
