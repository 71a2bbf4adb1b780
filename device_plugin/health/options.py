"""Flags about the health of GPUs."""

from typing import Any

import click

from device_plugin.health.checks import DISABLE, ENABLE
from device_plugin.health.startup_taint import parse_startup_taint
from node_core.domain.taints import Taint
from node_core.runtime.flags import options


class TaintType(click.ParamType["Taint | None"]):
    """`key[=value]:Effect`; empty for none."""

    name = "taint"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Taint | None:
        if not value or isinstance(value, Taint):
            return value or None
        try:
            return parse_startup_taint(value)
        except ValueError as error:
            self.fail(str(error), param, ctx)


health_options = options(
    click.option(
        "--disable-health-checks",
        envvar=DISABLE,
        default="",
        help="Xids that do not matter, with commas between; xids: none of them does; all: nor does what GPUs say of themselves.",
    ),
    click.option(
        "--enable-health-checks",
        envvar=ENABLE,
        default="",
        help="Xids that take a GPU away whatever else is said of them, or all. It wins over --disable-health-checks.",
    ),
    click.option(
        "--startup-taint",
        envvar="STARTUP_TAINT",
        type=TaintType(),
        help="A taint as nvidia.com/gpu-not-ready:NoSchedule. A new Node gets it, and loses it when the kubelet has our devices.",
    ),
)
