"""gpu-device-plugin's own flags, and the settings they become."""

from typing import Any

import click

from device_plugin.agent import PluginSettings
from node_core.kubelet.sockets import KUBELET_SOCKET
from node_core.runtime.flag_types import PathType
from node_core.runtime.flags import options

plugin_options = options(
    click.option(
        "--device-list-strategy",
        envvar="DEVICE_LIST_STRATEGY",
        default="envvar",
        type=click.Choice(["envvar"]),
        help="How containers are told their GPUs.",
    ),
    click.option(
        "--device-id-strategy",
        envvar="DEVICE_ID_STRATEGY",
        default="uuid",
        type=click.Choice(["uuid", "index"]),
        help="What GPUs are called in NVIDIA_VISIBLE_DEVICES.",
    ),
    click.option(
        "--kubelet-socket",
        envvar="KUBELET_SOCKET",
        default=str(KUBELET_SOCKET),
        type=PathType(),
        help="The kubelet's registration socket; ours lie beside it.",
    ),
)


def plugin_settings(values: dict[str, Any]) -> PluginSettings:
    """From click's values."""
    return PluginSettings(
        mig_strategy=values["mig_strategy"],
        id_strategy=values["device_id_strategy"],
        kubelet_socket=values["kubelet_socket"],
    )
